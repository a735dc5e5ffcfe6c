"""The encryption that the platform's services share, beside values that the Node.js SDK has encrypted."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from applications.errors import CannotDecrypt, KeyMissing
from worker.documents import php
from worker.documents.cipher import PREFIX, PlatformCipher

BY_NODE: list[dict[str, Any]] = json.loads((Path(__file__).parent / "sealed_by_node.json").read_text())
SECRET = "secret-of-the-tests"


def read_back(value: Any) -> Any:
    """Return what PHP's serialization, which has no empty object, makes of a JSON value."""
    if isinstance(value, dict):
        return {key: read_back(one) for key, one in value.items()} or []
    return [read_back(one) for one in value] if isinstance(value, list) else value


def as_floats(value: Any) -> Any:
    """Return a value with numbers as JavaScript has them."""
    if isinstance(value, dict):
        return {key: as_floats(one) for key, one in value.items()}
    if isinstance(value, list):
        return [as_floats(one) for one in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


@pytest.mark.parametrize("case", BY_NODE, ids=range(len(BY_NODE)))
def test_what_node_has_sealed_opens(case: dict[str, Any]) -> None:
    assert PlatformCipher(case["secret"]).open(case["sealed"]) == read_back(case["value"])


@pytest.mark.parametrize("case", BY_NODE, ids=range(len(BY_NODE)))
def test_each_part_is_guarded(case: dict[str, Any]) -> None:
    cipher = PlatformCipher(case["secret"])
    for at in range(4):
        parts = case["sealed"].removeprefix(PREFIX).split(":")
        parts[at] = ("B" if parts[at][0] == "A" else "A") + parts[at][1:]
        with pytest.raises(CannotDecrypt, match="alice / shop does not open"):
            cipher.open(PREFIX + ":".join(parts), "alice", "shop")


@pytest.mark.parametrize(
    ("sealed", "said"),
    [
        ("", "no version"),
        ("001_a:b:c:d", "version '001'"),
        ("00_", "version '00_'"),
        ("v1.key.abc", "no version"),
        ("002_", "has 1 of 4 parts"),
        ("002_a:b", "has 2 of 4 parts"),
        ("002_%:%:%:%", "no base64"),
    ],
)
def test_what_is_none_of_the_platforms_is_told(sealed: str, said: str) -> None:
    with pytest.raises(CannotDecrypt, match=f"alice / shop .*{said}"):
        PlatformCipher(SECRET).open(sealed, "alice", "shop")


def test_another_secret_does_not_open() -> None:
    sealed = PlatformCipher(SECRET).seal({"a": "canary"})
    with pytest.raises(CannotDecrypt, match="CRYPT_SECRET is another one") as raised:
        PlatformCipher("another").open(sealed, "alice")
    assert "canary" not in str(raised.value)


def test_nonce_and_salt_are_new_each_time() -> None:
    cipher = PlatformCipher(SECRET)
    parts = [cipher.seal({"a": 1}).split(":")[1:] for _ in range(5)]
    assert all(len(set(column)) == len(parts) for column in zip(*parts, strict=True))


@pytest.mark.parametrize("secret", ["", "sécret"])
def test_a_secret_that_no_sdk_can_use_is_refused(secret: str) -> None:
    with pytest.raises(KeyMissing, match="CRYPT_SECRET"):
        PlatformCipher(secret)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(json_values)
def test_values_come_back_as_they_were(value: Any) -> None:
    assert as_floats(php.read(php.write(value))) == as_floats(read_back(value))


@given(st.binary(max_size=60))
def test_bytes_that_are_no_serialization_are_refused(raw: bytes) -> None:
    for text in (raw, b"a:1:{" + raw, b"s:" + raw, b'a:2:{i:0;s:1:"' + raw):
        try:
            php.read(text)
        except ValueError:
            continue


@pytest.mark.parametrize("number", [2**60, 1e21, 1e-7, 1.25e30, 5e-324, -1.5e-7, 1e16])
def test_numbers_are_written_as_node_reads_them(number: float) -> None:
    text = php.write(number).decode()
    assert "E" not in text or "." in text.partition("E")[0]
    assert float(php.read(text.encode())) == float(number)


@pytest.mark.parametrize("number", ["NAN", "INF", "-INF", "INFINITY", "1e999", "-1.5E+400"])
def test_a_number_that_json_has_none_for_is_null(number: str) -> None:
    assert php.read(f'a:1:{{s:1:"a";d:{number};}}'.encode()) == {"a": None}


@pytest.mark.parametrize("value", [math.nan, math.inf, 10**400, {1, 2}, [object()]])
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"JSON|JavaScript"):
        php.write(value)


def test_depth_has_an_end() -> None:
    deep: Any = None
    for _ in range(1000):
        deep = [deep]
    with pytest.raises(ValueError, match="nested deeper"):
        php.write(deep)
    with pytest.raises(ValueError, match="nested deeper"):
        php.read(b"a:1:{i:0;" * 1000 + b"N;" + b"}" * 1000)


def test_lone_surrogates_become_what_node_makes_of_them() -> None:
    assert php.read(php.write({"a": "x\ud800y"})) == {"a": "x\ufffdy"}
