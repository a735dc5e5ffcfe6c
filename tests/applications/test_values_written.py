"""Values as text: one writer for path, query, form, multipart form, headers and XML."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr

from applications import Application
from applications.access import Access
from applications.forms import Form, facts_of, flat
from applications.http.building import build
from applications.http.headers import merged
from applications.http.paths import values_of
from applications.http.values import Arrays, pairs_of, text_of
from applications.http.xml import parse_xml, write_xml, xml_data
from connectors.bodies import FormBody, JsonBody, MultipartBody, RawBody, XmlBody


class State(Enum):
    OPEN = "open"


class Level(IntEnum):
    HIGH = 3


class Colour(StrEnum):
    RED = "red"


class Old(str, Enum):  # noqa: UP042 - as many write it
    YES = "yes"


FORMS: list[tuple[Any, str]] = [
    ("a b", "a b"), ("", ""), (True, "true"), (False, "false"), (5, "5"), (10**30, "1" + "0" * 30), (1.5, "1.5"),
    (1e22, "1" + "0" * 22), (1e-7, "0.0000001"), (2.0, "2.0"), (Decimal("1E+2"), "100"), (Decimal("1.50"), "1.50"),
    (Decimal("1E-10"), "0.0000000001"), (State.OPEN, "open"), (Level.HIGH, "3"), (Colour.RED, "red"), (Old.YES, "yes"),
    (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"), (date(2026, 1, 2), "2026-01-02"),
    (timedelta(hours=1), "PT1H"), (UUID(int=5), f"{'0' * 8}-0000-0000-0000-{'0' * 11}5"),
    (SecretStr("s3cret"), "s3cret"), (Path("a/b"), "a/b"),
]  # fmt: skip
FORMLESS: list[Any] = [
    {"id": 5},
    [1],
    (1,),
    {1},
    b"x",
    bytearray(b"x"),
    math.nan,
    math.inf,
    -math.inf,
    Decimal("NaN"),
    object(),
    print,
]

ACCESS = Access("http://shop.invalid")


def in_path(value: Any) -> str:
    return build(ACCESS, "GET", "/{v}", {"v": value}, {}).url.removeprefix("http://shop.invalid/")


def in_query(value: Any) -> str:
    return build(ACCESS, "GET", "/", None, {"params": {"v": value}}).url.partition("?v=")[2]


def in_form(value: Any) -> str:
    return str(build(ACCESS, "POST", "/", None, {"form": {"v": value}}).body["content"].decode().removeprefix("v="))


def in_multipart(value: Any) -> str:
    return str(build(ACCESS, "POST", "/", None, {"form": {"v": value}, "files": {"f": b""}}).body["form"]["v"][0])


def in_header(value: Any) -> str:
    return str(build(ACCESS, "GET", "/", None, {"headers": {"V": value}}).headers["V"])


def in_xml(value: Any) -> str:
    return str(parse_xml(write_xml("v", value)).text or "")


def in_attribute(value: Any) -> str:
    return str(parse_xml(write_xml("v", {"@v": value})).get("v"))


def plain(text: str) -> str:
    from urllib.parse import unquote_plus  # noqa: PLC0415 - for one line

    return unquote_plus(text)


PLACES: dict[str, Callable[[Any], str]] = {
    "path": in_path, "query": in_query, "form": in_form, "multipart": in_multipart, "header": in_header, "xml": in_xml,
    "attribute": in_attribute,
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_value_is_written_alike_everywhere(place: str) -> None:
    for value, text in FORMS:
        if value or place != "path":
            assert plain(PLACES[place](value)) == text or value == "", (place, value)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", FORMLESS, ids=lambda value: type(value).__name__)
def test_what_has_no_form_is_refused_by_name(place: str, value: Any) -> None:
    has_form = isinstance(value, list | tuple | set) and place in {"query", "form", "multipart"}
    if has_form or (place == "xml" and isinstance(value, dict)):
        assert PLACES[place](value) is not None
        return
    with pytest.raises(ValueError, match=r"['{]@?[vV][}']"):
        PLACES[place](value)


@given(st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.decimals(allow_nan=False, allow_infinity=False)))
def test_a_number_keeps_its_value_and_has_no_exponent(number: float | Decimal) -> None:
    text = text_of(number, "here")
    assert type(number)(text) == number
    assert "e" not in text.lower()


def test_a_path_without_a_value_says_so() -> None:
    with pytest.raises(ValueError, match=r"no value for \{v\}"):
        in_path(None)


@pytest.mark.parametrize(
    ("arrays", "written"),
    [
        (Arrays.REPEAT, "a=1&a=true&b=2"),
        (Arrays.BRACKETS, "a%5B%5D=1&a%5B%5D=true&b=2"),
        (Arrays.COMMA, "a=1%2Ctrue&b=2"),
    ],
)
def test_lists_are_written_as_the_service_wants(arrays: Arrays, written: str) -> None:
    values = {"a": [1, None, True], "b": 2, "c": None, "d": []}
    assert build(ACCESS, "GET", "/", None, {"params": values, "arrays": arrays}).url.endswith(f"/?{written}")
    body = build(ACCESS, "POST", "/", None, {"form": values, "arrays": arrays}).body
    assert body["content"].decode() == written


def test_a_set_is_written_in_one_order() -> None:
    assert list(pairs_of({"a": {"c", "b", "a"}}, "query")) == [("a", "a"), ("a", "b"), ("a", "c")]


def test_none_is_left_out_of_forms() -> None:
    assert build(ACCESS, "POST", "/", None, {"form": {"x": None, "y": 1}}).body == {"content": b"y=1"}
    assert build(ACCESS, "POST", "/", None, {"form": {"x": None}, "files": {"f": b""}}).body["form"] == {}


class Price(BaseModel):
    amount: Decimal
    of: list[Decimal] = Field(default_factory=list, alias="parts")


class Order(BaseModel):
    price: Price
    total: Decimal
    state: State = State.OPEN


def test_decimals_of_models_are_written_out() -> None:
    order = Order(price=Price(amount=Decimal("1E+2"), parts=[Decimal("2E+1")]), total=Decimal("3E+3"))
    assert values_of(order) == {"price": {"amount": "100", "parts": ["20"]}, "total": "3000", "state": "open"}
    assert FormBody().write(order.price, frozenset()) == {"form": {"amount": "100", "parts": ["20"]}}
    assert xml_data(parse_xml(write_xml("o", {"p": order}))) == {
        "p": {"price": {"amount": "100", "parts": "20"}, "total": "3000", "state": "open"}
    }


@dataclass
class Item:
    id: int
    name: str
    note: str | None = None


@pytest.mark.parametrize("body", [JsonBody(), FormBody(), MultipartBody(files=()), XmlBody("item")])
def test_a_dataclass_leaves_out_what_the_path_takes(body: Any) -> None:
    written = body.write(Item(7, "a"), frozenset({"id"}))
    (kind,) = written.keys() - {"files"}
    fields = written[kind]["item"] if kind == "xml" else written[kind]
    assert {name: value for name, value in fields.items() if value is not None} == {"name": "a"}


def test_a_field_as_the_body_is_written_as_text() -> None:
    assert RawBody("v").write({"v": State.OPEN}, frozenset())["content"] == b"open"
    assert RawBody("v").write({"v": None}, frozenset())["content"] == b""
    assert RawBody("v").write({"v": 0}, frozenset())["content"] == b"0"


class Login(Form):
    regions: list[str] = Field(default_factory=list)
    is_live: bool = False
    note: str | None = None


def test_settings_stand_in_addresses_and_headers_as_values_do() -> None:
    text = flat(facts_of((Login,)), {"authorization_form": {"regions": ["eu", "us"], "is_live": False}})
    assert text["regions"] == "eu,us"
    assert text["is_live"] == "false"


def test_settings_that_a_login_brings_are_written_as_json() -> None:
    plain = {"sites": ["a", None, True], "plan": {"id": 5}, "since": 1.5, "until": None}
    assert Application.text_settings({}, plain) | {"x": ""} == {
        "sites": "a,true", "plan": '{"id":5}', "since": "1.5", "useLimit": "false", "x": "",
    }  # fmt: skip


class Prefixed(Application):
    key = "prefixed"
    base_url = "https://{host}/{prefix}"
    headers = MappingProxyType({"X-Note": "{note}"})

    class Login(Form):
        host: str
        prefix: str = ""
        note: str | None = None

    forms = (Login,)


def test_an_optional_setting_may_be_empty() -> None:
    text = Prefixed.text_settings({"authorization_form": {"host": "", "note": ""}}, {})
    assert Prefixed.missing_for_calls(text) == ["host"]
    assert Prefixed.missing_for_calls(Prefixed.text_settings({"authorization_form": {"host": "a"}}, {})) == ["note"]


@pytest.mark.parametrize("own", ["content-type", "Content-Type", "CONTENT-TYPE"])
def test_the_nearest_header_wins_whatever_its_case(own: str) -> None:
    access = Access("http://shop.invalid", {"Authorization": "app", "Content-Type": "application/vnd.api+json"})
    calls = {"headers": {own: "text/own", "authorization": "call"}, "json": 1}
    assert build(access, "POST", "/", None, calls).headers == {own: "text/own", "authorization": "call"}
    assert build(access, "POST", "/", None, {"json": 1}).headers["Content-Type"] == "application/vnd.api+json"


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"json": 1}, "application/vnd.api+json"),
        ({"form": {"a": 1}}, "application/x-www-form-urlencoded"),
        ({"xml": {"a": 1}}, "application/xml; charset=utf-8"),
        ({"content": b"x"}, "application/vnd.api+json"),
        ({"form": {"a": 1}, "files": {"f": b""}}, None),
    ],
)
def test_an_applications_content_type_stands_for_the_bodies_that_it_describes(options: Any, kind: str | None) -> None:
    access = Access("http://shop.invalid", {"content-type": "application/vnd.api+json"})
    found = {name.lower(): value for name, value in build(access, "POST", "/", None, options).headers.items()}
    assert found.get("content-type") == kind


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("X-Name", "Žofie", r"header 'X-Name': character 1 is U\+017D"),
        ("X-Name", "a\r\nX-Evil: 1", r"header 'X-Name': character 2 is U\+000D"),
        ("X-Name", "a\0", r"character 2 is U\+0000"),
        ("X Name", "a", "'X Name' is no name of a header"),
        ("", "a", "no name of a header"),
        ("X-Name", ["a"], "header 'X-Name': a list has no form"),
        ("X-Name", None, "header 'X-Name': there is no value"),
    ],
)
def test_a_header_that_cannot_be_sent_is_named(name: str, value: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        merged({name: value})
    assert "Evil" not in str(caught.value)
