"""Actions in one declaration, and the requests that come of them."""

import base64
from types import MappingProxyType
from typing import Any

import pytest
from aiohttp import web
from pydantic import Base64Bytes, BaseModel, Field
from support.calls import bench, data_of

from applications import Application
from applications.http.paths import fill_path, fill_query
from connectors import (
    Endpoints,
    FormBody,
    Forward,
    JsonBody,
    MultipartBody,
    NoBody,
    RawBody,
    Rules,
    Trash,
    XmlBody,
)


class Shop(Application):
    key = "shop"
    base_url = "http://shop.invalid"
    headers = MappingProxyType({"X-Token": "hunter2", "Accept": "application/json"})


class Order(BaseModel):
    id: int
    note: str | None = None
    total: float = Field(1.5, alias="totalPrice")
    tags: list[str] = []


class Upload(BaseModel):
    name: str
    file: Base64Bytes


shop = Endpoints(Shop, rules=Rules(success="404"))


async def echo(request: web.Request) -> web.StreamResponse:
    """Answer what was asked."""
    body: Any = await request.text()
    if request.content_type == "multipart/form-data":
        body = body.replace("\r\n", "|")
    return web.json_response(
        {
            "method": request.method,
            "path": request.raw_path,
            "type": request.content_type,
            "token": request.headers.get("X-Token"),
            "accept": request.headers.get("Accept"),
            "body": body,
        }
    )


async def asked(action: Any, data: Any) -> Any:
    async with bench(echo) as at:
        outcome = await at.call(action, data)
        assert isinstance(outcome, Forward), outcome
        return data_of(outcome)


async def test_path_query_and_body_share_the_fields() -> None:
    put = shop.put("put", "/orders/{id}", Order, Any, query={"tag": "{tags}", "v": 2, "note": "{note}"})
    seen = await asked(put, {"id": 7, "totalPrice": 3, "tags": ["a", "b"]})
    assert seen["path"] == "/orders/7?tag=a&tag=b&v=2"
    assert (seen["method"], seen["type"], seen["body"]) == ("PUT", "application/json", '{"totalPrice":3.0}')
    assert (seen["token"], seen["accept"]) == ("hunter2", "application/json")


async def test_defaults_are_sent_and_fields_without_value_are_not() -> None:
    seen = await asked(shop.post("p", "/orders", Order, Any), {"id": 7})
    assert seen["body"] == '{"id":7,"totalPrice":1.5,"tags":[]}'
    cleared = await asked(shop.patch("p", "/orders/{id}", Order, Any), {"id": 7, "note": None})
    assert cleared["body"] == '{"note":null,"totalPrice":1.5,"tags":[]}'


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (JsonBody(wrap="order"), "application/json", '{"order":{"totalPrice":1.5,"tags":["x"]}}'),
        (JsonBody(only="tags"), "application/json", '["x"]'),
        (FormBody(), "application/x-www-form-urlencoded", "totalPrice=1.5&tags=x"),
        (XmlBody("order"), "application/xml", "<order><totalPrice>1.5</totalPrice><tags>x</tags></order>"),
        (RawBody("note", "text/plain"), "text/plain", ""),
        (NoBody(), "application/octet-stream", ""),
    ],
)
async def test_bodies(body: Any, content_type: str, expected: str) -> None:
    seen = await asked(shop.post("p", "/orders/{id}", Order, Any, body=body), {"id": 7, "tags": ["x"]})
    assert seen["type"] == content_type
    assert seen["body"].endswith(expected)


async def test_files_go_into_a_multipart_form() -> None:
    upload = shop.post("up", "/files", Upload, Any, body=MultipartBody())
    seen = await asked(upload, {"name": "a.bin", "file": base64.b64encode(b"12345").decode()})
    assert seen["type"] == "multipart/form-data"
    assert 'name="name"||a.bin|' in seen["body"]
    assert 'name="file"; filename="file"|Content-Type: application/octet-stream||12345|' in seen["body"]


async def test_plain_data_works_without_models() -> None:
    seen = await asked(shop.post("p", "/orders/{id}/lines", Any, Any), {"id": "a b", "lines": [1]})
    assert (seen["path"], seen["body"]) == ("/orders/a%20b/lines", '{"lines":[1]}')
    assert (await asked(shop.post("p", "/orders", Any, Any), [1, 2]))["body"] == "[1,2]"


@pytest.mark.parametrize("value", ["..", ".", "", None])
async def test_a_value_that_would_lead_elsewhere_is_refused(value: Any) -> None:
    async with bench(echo) as at:
        outcome = await at.call(shop.delete("d", "/orders/{id}", Any, Any), {"id": value})
    assert isinstance(outcome, Trash)
    assert "path /orders/{id}" in outcome.reason
    assert at.calls == []


async def test_a_slash_in_a_value_stays_a_value() -> None:
    seen = await asked(shop.get("g", "/orders/{id}", Any, Any), {"id": "../admin?x#y"})
    assert seen["path"] == "/orders/..%2Fadmin%3Fx%23y"
    assert fill_path("/contents/{+path}", {"path": "a b/c.txt"}) == "/contents/a%20b/c.txt"
    with pytest.raises(ValueError, match=r"'\.\.' cannot stand for"):
        fill_path("/contents/{+path}", {"path": "a/../../b"})


def test_a_query_leaves_out_what_has_no_value() -> None:
    query = {"a": "{a}", "b": "{b}", "since": "created:>{a}", "flag": "{flag}", "n": 5}
    assert fill_query(query, {"a": 1, "b": None, "flag": True}) == {
        "a": "1",
        "since": "created:>1",
        "flag": "true",
        "n": 5,
    }


async def test_the_output_is_taken_from_its_place_and_checked() -> None:
    class Reply(BaseModel):
        id: int

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"data": {"order": {"id": "x" if "bad" in request.path else 3, "more": 1}}})

    async with bench(answer) as at:
        good = await at.call(shop.get("g", "/good", Any, Reply, at="data.order"), {})
        assert data_of(good) == {"id": 3}
        bad = await at.call(shop.get("g", "/bad", Any, Reply, at="data.order"), {})
    assert isinstance(bad, Trash)
    assert "Reply: at $.id: Input should be a valid integer" in bad.reason


async def test_an_input_that_does_not_fit_is_trashed_before_any_call() -> None:
    async with bench(echo) as at:
        outcome = await at.call(shop.get("g", "/orders/{id}", Order, Any), "no json")
        assert isinstance(outcome, Trash)
        assert "Invalid JSON" in outcome.reason
        outcome = await at.call(shop.get("g", "/orders/{id}", Order, Any), {"id": "hunter2"})
    assert outcome.reason.startswith("ValidationError: Order: at $.id: Input should be a valid integer")
    assert "hunter2" not in outcome.reason
    assert at.calls == []


async def test_an_empty_reply_leaves_the_message_as_it_is() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=204)

    async with bench(answer) as at:
        outcome = await at.call(shop.delete("d", "/orders/{id}", Any, Any), {"id": 7})
        assert data_of(outcome) == {"id": 7}
        outcome = await at.call(shop.delete("d", "/orders/{id}", Any, Order), {"id": 7})
    assert "the body is empty" in outcome.reason


async def test_each_call_is_noted_without_its_path() -> None:
    async with bench(echo) as at:
        await at.call(shop.get("g", "/orders/{id}", Any, Any), {"id": "hunter2"}, user="bob")
        ((call,), host) = at.calls, at.url.removeprefix("http://").partition(":")[0]
    assert (call.method, call.host, call.status, call.application, call.user) == ("GET", host, 200, "shop", "bob")
    assert 0 < call.seconds < 10
    assert "hunter2" not in repr(call)


def test_a_place_without_a_field_is_told_when_the_module_is_read() -> None:
    with pytest.raises(ValueError, match=r"g: /orders/\{number\} wants \{number\}, but Order has no such field"):
        shop.get("g", "/orders/{number}", Order, Any)
    with pytest.raises(ValueError, match=r"wants \{since\}"):
        shop.get("g", "/orders", Order, Any, query=["since"])
    shop.get("g", "/orders/{totalPrice}", Order, Any, query="note")
