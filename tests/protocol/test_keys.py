"""Keys of messages, as node settings spell them."""

from typing import Any

import pytest

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


@pytest.mark.parametrize("text", ["", "order.id", "header:", "body:", "cookie:a"])
def test_what_names_no_key_is_refused_with_the_way_to_write_it(text: str) -> None:
    with pytest.raises(ValueError, match="write header:NAME, or body:EXPRESSION"):
        parse_key(text)


def test_a_wrong_expression_is_refused_with_its_place() -> None:
    with pytest.raises(ValueError, match="no JMESPath"):
        parse_key("body:order.[")
