"""Replies that are not what they should be: each has a clear error, and nothing is lost."""

import gzip
import zlib
from types import MappingProxyType
from typing import Any

import httpx
import pytest
from aiohttp import web
from support.calls import bench, data_of
from support.services import serving

from applications import Application
from applications.http.compression import gunzip
from applications.http.csv_rows import parse_csv
from applications.http.wire import _is_at_home
from applications.http.xml import parse_xml, write_xml, xml_data
from connectors import Endpoints, Forward, Repeat, ReplyUnreadable, Trash


class Shop(Application):
    key = "shop"
    base_url = "http://shop.invalid"
    headers = MappingProxyType({"X-Token": "hunter2"})


shop = Endpoints(Shop)
fetch = shop.get("shop-fetch", "/thing", Any, Any)
send = shop.post("shop-send", "/thing", Any, Any)


async def reason_of(body: bytes, content_type: str = "application/json", action: Any = fetch, **headers: str) -> str:
    async def answer(request: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(body=body, headers={"Content-Type": content_type, **named})

    async with bench(answer, max_reply_bytes=1 << 20) as at:
        outcome = await at.call(action, {})
    assert isinstance(outcome, Trash | Repeat), outcome
    assert "hunter2" not in outcome.reason
    return outcome.reason


@pytest.mark.parametrize(
    ("body", "content_type", "problem"),
    [
        (b"<html>busy</html>", "application/json", "(application/json): not JSON: expected value at line 1 column 1"),
        (b'{"a": 1', "application/json", "(application/json): not JSON: EOF while parsing an object"),
        (b'{"a": "\xe9"}', "application/json", "not JSON"),
        (b"<a><b></a>", "text/xml", "(text/xml): not XML: mismatched tag: line 1"),
        (b"{}", "application/xml", "(application/xml): not XML"),
        (b"caf\xe9", "text/csv; charset=utf-8", "byte 3 is not utf-8"),
        (b"a,b\n1,2", "text/csv; charset=klingon", "the charset 'klingon' is unknown"),
        (b"a,b\n1,2\n1,2,3\n", "text/csv", "CSV, line 3: 3 fields, but 2 columns"),
        (b"a,a\n1,2\n", "text/csv", "CSV, line 1: a column has the name of another"),
        (b'a,b\n1,"2\n', "text/csv", "CSV, line 2: unexpected end of data"),
        (b'{"a":1}\n{"a":\n', "application/x-ndjson", "line 2 is not JSON"),
    ],
)
async def test_a_body_that_is_not_what_its_content_type_says(body: bytes, content_type: str, problem: str) -> None:
    reason = await reason_of(body, content_type)
    assert reason.startswith("ReplyUnreadable: GET http://127.0.0.1:")
    assert "/thing answered 200" in reason
    assert problem in reason


async def test_the_charset_of_the_reply_is_honoured() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        content = '{"name": "Žižkov"}'.encode("iso-8859-2")
        return web.Response(body=content, headers={"Content-Type": "application/json; charset=ISO-8859-2"})

    async with bench(answer) as at:
        assert data_of(await at.call(fetch, {})) == {"name": "Žižkov"}


async def test_a_byte_order_mark_is_no_part_of_json() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b'\xef\xbb\xbf{"id": 1}', headers={"Content-Type": "application/json"})

    async with bench(answer) as at:
        assert data_of(await at.call(fetch, {})) == {"id": 1}


BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><lolz>&c;</lolz>"""
OUTSIDE = b"""<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>"""


@pytest.mark.parametrize("document", [BOMB, OUTSIDE])
async def test_xml_entities_are_refused(document: bytes) -> None:
    assert "(text/xml): XML refused: EntitiesForbidden" in await reason_of(document, "text/xml")


async def test_a_reply_that_is_too_large_is_not_read_into_memory() -> None:
    reason = await reason_of(b" " * (2 << 20))
    assert "the body is larger than 1048576 bytes; read it with `stream`" in reason


async def test_of_300_mb_no_more_is_read_than_a_reply_may_have() -> None:
    sent = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Length": str(300 << 20), "Content-Type": "application/json"})
        await response.prepare(request)
        try:
            while sent < 300 << 20:
                await response.write(b" " * (1 << 20))
                sent += 1 << 20
        except ConnectionError:
            pass  # the worker has hung up
        return response

    async with bench(answer) as at:
        outcome = await at.call(fetch, {})
    assert isinstance(outcome, Trash)
    assert "the body is larger than 67108864 bytes; read it with `stream`" in outcome.reason
    assert sent < 100 << 20


async def test_a_compressed_bomb_is_too_large_as_well() -> None:
    assert "the body is larger than" in await reason_of(gzip.compress(b" " * (64 << 20)), Content_Encoding="gzip")


async def test_compressed_replies_are_read() -> None:
    plain = b'{"id": 1}'
    for encoding, packed in (
        ("gzip", gzip.compress(plain)),
        ("gzip", gzip.compress(plain[:4]) + gzip.compress(plain[4:])),
        ("deflate", zlib.compress(plain)),
        ("identity", plain),
    ):

        async def answer(request: web.Request, packed: bytes = packed, encoding: str = encoding) -> web.Response:
            return web.Response(body=packed, headers={"Content-Encoding": encoding})

        async with bench(answer) as at:
            assert data_of(await at.call(fetch, {})) == {"id": 1}


async def test_a_truncated_compressed_reply_is_asked_for_again() -> None:
    packed = gzip.compress(b'{"rows": [1, 2, 3, 4, 5, 6, 7, 8]}')

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=packed[:-9], headers={"Content-Encoding": "gzip"})

    async with bench(answer) as at:
        outcome = await at.call(fetch, {})
    assert isinstance(outcome, Repeat)
    assert "ReplyTruncated" in outcome.reason
    assert "compressed content ends too early" in outcome.reason


async def test_content_that_is_not_compressed_as_it_says() -> None:
    assert "compressed content is broken" in await reason_of(b'{"a":1}', Content_Encoding="gzip")
    assert "compressed content is broken" in await reason_of(b'{"a":1}', Content_Encoding="br")
    assert "content encoding 'rot13', which was not asked for" in await reason_of(b"abc", Content_Encoding="rot13")


async def test_a_reply_that_breaks_off_is_asked_for_again() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"a":')
        request.transport.close()
        return response

    async with bench(answer) as at:
        assert isinstance(await at.call(fetch, {}), Repeat)


async def test_redirects_without_end() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/thing")

    async with bench(answer) as at:
        outcome = await at.call(fetch, {})
    assert isinstance(outcome, Trash)
    assert "/thing: more than 20 redirects" in outcome.reason


@pytest.mark.parametrize(("host", "is_same_port"), [("127.0.0.2", True), ("127.0.0.1", False)])
async def test_a_redirect_to_another_host_or_port_carries_no_credentials(host: str, is_same_port: bool) -> None:
    seen: list[Any] = []

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers)
        return web.json_response({"at": "elsewhere"})

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers)
        raise web.HTTPFound("/moved" if request.path == "/thing" else f"{other}/file")

    async with bench(answer) as at:
        port = int(at.url.rpartition(":")[2]) if is_same_port else 0
        async with serving(elsewhere, port, host) as other:
            outcome = await at.call(fetch, {})
    assert isinstance(outcome, Forward)
    assert [headers.get("X-Token") for headers in seen] == ["hunter2", "hunter2", None]


@pytest.mark.parametrize(
    ("url", "is_home"),
    [
        ("https://shop.example/other", True),
        ("https://SHOP.example:443/", True),
        ("https://evil.example/", False),
        ("https://shop.example.evil.example/", False),
        ("https://shop.example@evil.example/", False),
        ("https://shop.example:8443/", False),
        ("http://shop.example/", False),
    ],
)
def test_a_redirect_stays_at_home_with_scheme_host_and_port(url: str, is_home: bool) -> None:
    assert _is_at_home(httpx.URL(url), httpx.URL("https://shop.example/api")) is is_home


def test_a_redirect_may_change_to_https_at_the_same_host_only() -> None:
    before = httpx.URL("http://shop.example/api")
    assert _is_at_home(httpx.URL("https://shop.example/api"), before)
    assert not _is_at_home(httpx.URL("https://evil.example/api"), before)
    assert not _is_at_home(httpx.URL("https://shop.example:8443/api"), before)


async def test_a_redirected_post_is_not_turned_into_a_get() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.method == "POST"
        raise web.HTTPMovedPermanently("/elsewhere")

    async with bench(answer) as at:
        outcome = await at.call(send, {"id": 1})
    assert isinstance(outcome, Trash)
    assert "/thing answered 301" in outcome.reason


def test_csv_and_xml_say_the_same_when_read_back() -> None:
    assert list(parse_csv('\ufeffa;b\n1;"x;\ny"\n\n', delimiter=";")) == [{"a": "1", "b": "x;\ny"}]
    data = {"@id": "7", "line": [{"sku": "a"}, {"sku": "b", "#text": "note"}], "empty": None, "ok": "true"}
    assert xml_data(parse_xml(write_xml("order", data))) == data
    assert xml_data(parse_xml(b'<a xmlns="urn:x"><b>1</b></a>')) == {"b": "1"}


def test_a_gzip_file_is_read_whole_or_not_at_all() -> None:
    packed = gzip.compress(b"abc" * 1000)
    assert gunzip(packed, max_bytes=3000) == b"abc" * 1000
    with pytest.raises(ReplyUnreadable, match="ends too early"):
        gunzip(packed[:-1], max_bytes=3000)
    with pytest.raises(ReplyUnreadable, match="larger than 2999 bytes"):
        gunzip(packed, max_bytes=2999)
