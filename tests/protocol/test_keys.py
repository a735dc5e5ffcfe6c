"""Keys of messages, as node settings spell them."""

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.protocol.keys import NO_KEY, parse_key

BODY = '{"order": {"id": 17, "paid": true, "lines": [{"sku": "A"}]}, "shop": "oak", "none": null}'


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("header:customer", "alice"),
        ("header:number", "7"),
        ("header:missing", NO_KEY),
        ("body:order.id", "17"),
        ("body: order.id", "17"),
        ("body:order.paid", "true"),
        ("body:order.lines[0].sku", "A"),
        ("body:join('/', [shop, to_string(order.id)])", "oak/17"),
        ("body:order.lines", '[{"sku": "A"}]'),
        ("body:none", NO_KEY),
        ("body:missing.place", NO_KEY),
        ("body:length(order.id)", NO_KEY),
    ],
)
def test_a_key_is_found_and_compared_as_text(text: str, key: str) -> None:
    headers: dict[str, Any] = {"customer": "alice", "number": 7}
    assert parse_key(text).of(headers, BODY) == key


@pytest.mark.parametrize("body", ["", "no JSON", "[1, 2", "7"])
def test_a_body_without_the_place_has_no_key(body: str) -> None:
    assert parse_key("body:order.id").of({}, body) == NO_KEY


@pytest.mark.parametrize("recursion_limit", [1000, 10_000])
@pytest.mark.parametrize(("depth", "key"), [(10, "7"), (198, "7"), (201, NO_KEY), (1100, NO_KEY), (100_000, NO_KEY)])
def test_how_deep_a_body_is_looked_into_is_no_matter_of_the_interpreter(
    depth: int, key: str, recursion_limit: int
) -> None:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(recursion_limit)
    body = '{"id": 7, "deep": ' + "[" * depth + "]" * depth + "}"
    assert parse_key("body:id").of({}, body) == key
    sys.setrecursionlimit(before)


@pytest.mark.parametrize("text", ["body:items[::0]", "body:to_number(items)", "body:sort_by(items, &a)"])
def test_an_expression_that_fails_finds_no_key(text: str) -> None:
    assert parse_key(text).of({}, '{"items": [1, {"a": 1}]}') == NO_KEY


@given(st.text(alphabet='{}[]":,0123456789.eE+-\\ud8aINfty NaN'), st.sampled_from(["a", "[0]", "a[::0]", "*", "@"]))
def test_no_body_and_no_expression_raise_an_error(body: str, place: str) -> None:
    assert isinstance(parse_key(f"body:{place}").of({}, body), str)


@pytest.mark.parametrize("text", ["", "order.id", "header:", "body:", "cookie:a"])
def test_what_names_no_key_is_refused_with_the_way_to_write_it(text: str) -> None:
    with pytest.raises(ValueError, match="write header:NAME, or body:EXPRESSION"):
        parse_key(text)


def test_a_wrong_expression_is_refused_with_its_place() -> None:
    with pytest.raises(ValueError, match="no JMESPath"):
        parse_key("body:order.[")
