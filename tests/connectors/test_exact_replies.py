"""Replies as services, proxies and appliances really send them, byte for byte: what becomes of the message."""

import gzip
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import pytest
from support.calls import Bench

from applications import Application
from applications.http.compression import decoded
from applications.http.compression import gzip as packed
from applications.http.errors import CARRIED_OUT, ReplyTruncated, ReplyUnreadable
from applications.http.formats import parse_json, write_json
from connectors import Connector, Endpoints, Forward, Limited, Message, PageNumber, Repeat, Rules, Trash, repeat_when
from connectors.outcome import Outcome
from connectors.rate import read_notice
from worker.testing import ByteService, Reply, answering, run_action


class Shop(Application):
    key = "shop"
    base_url = "http://shop.invalid"


shop = Endpoints(Shop)
fetch = shop.get("exact-fetch", "/thing", Any, Any)
order = shop.post("exact-order", "/thing", Any, Any)
change = shop.put("exact-change", "/thing", Any, Any)
limited = shop.post("exact-limited", "/thing", Any, Any, rules=Rules(limited="429 503"))
watching = shop.post(
    "exact-watching", "/t", Any, Any, rules=Rules(checks=[repeat_when(lambda r: r.json()["no"], "no", codes="4xx 5xx")])
)

CREATED = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n"
BODY = b'{"id": 1}'
LENGTH = b"Content-Length: 9\r\n"


async def called(action: Any, *replies: bytes, times: int = 1) -> tuple[Outcome, Bench, ByteService]:
    """Call the action with exact bytes as replies; return what came of it, who heard of limits, and what was asked."""
    async with ByteService(*replies) as service:
        bench = Bench(service.url, {}, "")
        try:
            for _ in range(times):
                outcome = await bench.call(action, {"id": 1})
        finally:
            await bench.http.close()
    return outcome, bench, service


UNREADABLE_HEADS = {
    "two lengths": CREATED + LENGTH * 2 + b"\r\n" + BODY,
    "a blank before a colon": CREATED + b"X-A : b\r\n" + LENGTH + b"\r\n" + BODY,
    "length and chunks": CREATED + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a negative length": CREATED + b"Content-Length: -1\r\n\r\n",
    "a zero byte in a header": CREATED + b"X: a\0b\r\n\r\n",
    "too long a line": CREATED + b"X: " + b"a" * 70_000 + b"\r\n\r\n",
    "too many headers": CREATED + b"".join(b"X-%d: 1\r\n" % number for number in range(1500)) + b"\r\n",
    "a body behind 204": b"HTTP/1.1 204 No Content\r\n" + LENGTH + b"\r\n" + BODY,
    "a version without a dot": b"HTTP/2 201 Created\r\n" + LENGTH + b"\r\n" + BODY,
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "no HTTP at all": b"<html>busy</html>",
    "a head that is cut off": b"HTTP/1.1 201 Created\r\nContent-Ty",
    "a status line that is cut off": b"HTTP/1.1 2",
}


@pytest.mark.parametrize("name", UNREADABLE_HEADS)
async def test_what_a_service_has_answered_is_not_ordered_again(name: str) -> None:
    outcome, _, service = await called(order, UNREADABLE_HEADS[name])
    assert isinstance(outcome, Trash)
    assert f"POST {service.url}/thing: {CARRIED_OUT}: HeadUnreadable: " in outcome.reason
    assert len(service.requests) == 1


@pytest.mark.parametrize("action", [fetch, change])
@pytest.mark.parametrize("name", ["two lengths", "a head that is cut off"])
async def test_what_is_safe_to_repeat_is_repeated(action: Any, name: str) -> None:
    outcome, _, _ = await called(action, UNREADABLE_HEADS[name])
    assert isinstance(outcome, Repeat)
    assert "HeadUnreadable" in outcome.reason


async def test_a_reason_does_not_quote_the_head() -> None:
    outcome, _, _ = await called(order, CREATED + b"Set-Cookie : hunter2\r\n" + b"X: hunter2" * 9000 + b"\r\n\r\n")
    assert isinstance(outcome, Trash)
    assert "hunter2" not in outcome.reason


BROKEN_BODIES = {
    "cut off": CREATED + b"Content-Length: 20\r\n\r\n" + BODY,
    "cut off within a chunk": CREATED + b"Transfer-Encoding: chunked\r\n\r\n9\r\n{",
    "cut off within gzip": CREATED + b"Content-Encoding: gzip\r\nContent-Length: 15\r\n\r\n" + packed(BODY)[:15],
    "not gzip": CREATED + b"Content-Encoding: gzip\r\n" + LENGTH + b"\r\n" + BODY,
    "an unknown encoding": CREATED + b"Content-Encoding: rot13\r\n" + LENGTH + b"\r\n" + BODY,
}


@pytest.mark.parametrize("name", BROKEN_BODIES)
async def test_an_order_whose_answer_breaks_off_is_not_made_again(name: str) -> None:
    outcome, _, service = await called(order, BROKEN_BODIES[name])
    assert isinstance(outcome, Trash)
    assert CARRIED_OUT in outcome.reason
    assert len(service.requests) == 1


@pytest.mark.parametrize("name", ["cut off", "cut off within a chunk", "cut off within gzip"])
async def test_a_question_whose_answer_breaks_off_is_asked_again(name: str) -> None:
    outcome, _, _ = await called(fetch, BROKEN_BODIES[name])
    assert isinstance(outcome, Repeat)


class Search(Connector[Any, Any]):
    """Asks by POST, and changes nothing."""

    name = "exact-search"
    application = Shop

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Search."""
        return message.with_data((await self.post("/search", json={}, is_repeatable=True)).json())


search = shop.list("exact-list", "/search", Any, Any, pages=PageNumber(), method="POST")
graphql = Endpoints(Shop, graphql_path="/graphql")
question = graphql.graphql("exact-question", "query Q { a }", Any, Any)
mutation = graphql.graphql("exact-mutation", "mutation M { a }", Any, Any)


@pytest.mark.parametrize("reply", [BROKEN_BODIES["cut off"], UNREADABLE_HEADS["two lengths"]])
@pytest.mark.parametrize(
    ("action", "end"), [(Search(), Repeat), (search, Repeat), (question, Repeat), (mutation, Trash)]
)
async def test_what_only_asks_is_asked_again_whatever_its_method(action: Any, end: type, reply: bytes) -> None:
    outcome, _, _ = await called(action, reply)
    assert isinstance(outcome, end)


async def test_an_order_that_was_not_answered_is_made_again() -> None:
    outcome, _, _ = await called(order, b"")
    assert isinstance(outcome, Repeat)


async def test_a_head_of_many_kilobytes_is_read() -> None:
    policy = b"Content-Security-Policy: " + b"a" * 40_000 + b"\r\n"
    outcome, _, _ = await called(order, CREATED + policy + LENGTH + b"\r\n" + BODY)
    assert isinstance(outcome, Forward)


REFUSALS = {name: reply.split(b"\r\n", 1)[1] for name, reply in BROKEN_BODIES.items()} | {
    "too large": b"Content-Length: 2000000\r\n\r\n" + b"x" * 2_000_000,
    "no body": b"Content-Length: 0\r\n\r\n",
    "html as JSON": b"Content-Type: application/json\r\nContent-Length: 6\r\n\r\n<html>",
}


@pytest.mark.parametrize("status", [b"429 Too Many Requests", b"503 Service Unavailable"])
@pytest.mark.parametrize("action", [order, limited, fetch, watching])
@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_is_obeyed_by_its_head(status: bytes, action: Any, name: str) -> None:
    outcome, bench, service = await called(action, b"HTTP/1.1 " + status + b"\r\nRetry-After: 77\r\n" + REFUSALS[name])
    assert isinstance(outcome, Limited if action is limited else Repeat)
    assert outcome.after is not None
    assert outcome.after.total_seconds() == 77
    assert status[:3].decode() in outcome.reason
    assert [notice.resume_after_seconds for notice in bench.notices] == [77]
    assert len(service.requests) == 1


def _raw_deflate(content: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(content) + compressor.flush()


def _zstd(content: bytes) -> bytes:
    from applications.http.compression import _zstandard  # noqa: PLC0415 - the module differs by version

    return bytes(_zstandard().compress(content))


ENCODED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip in capitals": ("X-GZIP", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", _raw_deflate),
    "brotli": ("br", brotli.compress),
    "zstandard": ("zstd", _zstd),
    "two frames of zstandard": ("zstd", lambda content: _zstd(content[:4]) + _zstd(content[4:])),
    "two members": ("gzip", lambda content: gzip.compress(content[:4]) + gzip.compress(content[4:])),
    "zeros behind gzip": ("gzip", lambda content: gzip.compress(content) + b"\0" * 1000),
    "line end behind gzip": ("gzip", lambda content: gzip.compress(content) + b"\r\n"),
    "padding behind deflate": ("deflate", lambda content: zlib.compress(content) + b"\0\0\0"),
    "gzip in gzip": ("gzip, gzip", lambda content: gzip.compress(gzip.compress(content))),
    "deflate, then brotli": ("deflate, br", lambda content: brotli.compress(zlib.compress(content))),
    "identity": ("identity", bytes),
    "none": ("none", bytes),
    "a charset": ("UTF-8", bytes),
    "another charset": ("iso-8859-1", bytes),
    "identity, then gzip": ("identity,gzip", gzip.compress),
    "nothing": ("", bytes),
}


@pytest.mark.parametrize("name", ENCODED)
async def test_an_encoding_is_undone_in_production_and_in_tests_alike(name: str) -> None:
    encoding, encode = ENCODED[name]
    content = encode(BODY)
    head = CREATED + f"Content-Encoding: {encoding}\r\nContent-Length: {len(content)}\r\n\r\n".encode()
    outcome, _, _ = await called(order, head + content)
    assert isinstance(outcome, Forward), outcome
    assert outcome.message.data == {"id": 1}
    headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
    result = await run_action(order, {"id": 1}, http=answering(Reply(201, content=content, headers=headers)))
    assert result.data == {"id": 1}
    assert result.exchanges[0].reply is not None
    assert result.exchanges[0].reply.content == BODY


@pytest.mark.parametrize("name", ENCODED)
def test_an_encoding_is_undone_in_pieces_of_any_size_and_within_its_bound(name: str) -> None:
    from applications.http.compression import decoder_of  # noqa: PLC0415 - beside its use

    encoding, encode = ENCODED[name]
    content = encode(BODY * 1000)
    for size in (1, 2, 3, 7, len(content)):
        decoder = decoder_of(encoding, 1 << 20)
        pieces = [content[at : at + size] for at in range(0, len(content), size)]
        plain = b"".join(b"".join(decoder.feed(piece)) if decoder else piece for piece in pieces)
        if decoder:
            decoder.finish()
        assert plain == BODY * 1000
    if decoder_of(encoding, 100):
        with pytest.raises(ReplyUnreadable, match="larger than 100 bytes"):
            decoded(content, encoding, 100)
        with pytest.raises(ReplyUnreadable):
            decoded(b"\xff" + content, encoding, 1 << 20)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_an_encoding_that_ends_too_early_is_noticed(encoding: str) -> None:
    encode = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "zstd": _zstd}[encoding]
    content = encode(bytes(range(256)) * 20)
    for length in range(1, len(content) - (8 if encoding == "gzip" else 0), 37):
        with pytest.raises(ReplyTruncated):
            decoded(content[:length], encoding, 1 << 20)


@pytest.mark.parametrize("encoding", ["gzip, " * 5 + "gzip", "rot13", "gzip, rot13", "compress", "aes128gcm"])
def test_an_encoding_that_nobody_knows_is_refused(encoding: str) -> None:
    with pytest.raises(ReplyUnreadable, match="content encoding"):
        decoded(b"", encoding, 100)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-1E+999", "1e0000400", "9" * 320 + ".0"])
@pytest.mark.parametrize("place", ["%s", "[%s]", '{"a": {"b": [1, %s]}}'])
async def test_a_number_that_others_cannot_read_is_refused_on_reading(number: str, place: str) -> None:
    content = (place % number).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content)
    outcome, _, _ = await called(fetch, head + content)
    assert isinstance(outcome, Trash)
    assert "not JSON" in outcome.reason
    with pytest.raises(ReplyUnreadable):
        parse_json(content.decode())


@pytest.mark.parametrize("text", ['{"a": "NaN Infinity 1e400"}', "1e308", "1" * 400, '{"note": "%s"}' % ("9" * 400)])
def test_what_only_looks_like_such_a_number_is_read(text: str) -> None:
    assert parse_json(text) == parse_json(text.encode())
    assert write_json(parse_json(text))


def test_large_integers_keep_their_digits() -> None:
    assert write_json(parse_json("[123456789012345678901234567890]")) == b"[123456789012345678901234567890]"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
async def test_such_a_number_is_never_sent(number: float) -> None:
    with pytest.raises(ValueError, match="JSON has no"):
        write_json({"a": [number]})


DATE = "Mon, 30 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("60", 60), ("60.5", 60.5), ("60s", 60), ("1m", 60), ("1 minute", 60), ("250ms", 0.25), ("6m0s", 360),
        ("60, 120", 120), ("60, 60", 60), ("Mon, 30 Nov 2026 10:00:30 GMT", 30), ("2026-11-30T10:00:30Z", 30),
        ("Mon, 30 Nov 2026 10:00:30 GMT, Mon, 30 Nov 2026 10:00:40 GMT", 40), ("Mon, 30 Nov 2026 09:00:00 GMT", 0),
        ("9" * 20, 86400), ("9" * 200, 86400), ("Thu, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("99999999999999999999-01-01", None), ("-5", None), ("soon", None), ("", None), ("NaN", None), ("1_0", None),
        ("\u0661", None),
    ],
)  # fmt: skip
def test_retry_after_is_read_in_all_its_forms(value: str, seconds: float | None) -> None:
    notice = read_notice("shop", "", 429, {"retry-after": value, "date": DATE})
    assert notice is not None
    assert notice.resume_after_seconds == seconds


def test_a_moment_is_told_from_a_time_to_wait() -> None:
    from applications.reply_times import read_date  # noqa: PLC0415 - beside its use

    now = read_date(DATE)
    assert now is not None
    for moment in (now.timestamp() + 30, (now.timestamp() + 30) * 1000):
        notice = read_notice("shop", "", 429, {"retry-after": f"{moment:.0f}", "date": DATE})
        assert notice is not None
        assert notice.resume_after_seconds == 30


@pytest.mark.parametrize(
    ("headers", "remaining", "reset"),
    [
        ({"ratelimit": '"burst";r=50;t=1, "daily";r=0;t=36000'}, 0, 36000),
        ({"ratelimit": '"burst";r=0;t=1, "daily";r=500;t=36000'}, 0, 1),
        ({"ratelimit": "burst;r=3;t=9"}, 3, 9),
        ({"ratelimit": "limit=100, remaining=0, reset=30"}, 0, 30),
        ({"ratelimit": "limit=100, remaining=0, reset=30, limit=1000, remaining=900, reset=3000"}, 0, 30),
        ({"ratelimit-limit": "10, 10;w=1", "ratelimit-remaining": "4", "ratelimit-reset": "7"}, 4, 7),
        ({"ratelimit-remaining": "5, 0", "ratelimit-reset": "10, 3600"}, 0, 3600),
        ({"ratelimit-remaining": "7, 7", "ratelimit-reset": "10"}, 7, 10),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "5", "ratelimit": '"hour";r=100;t=3600'}, 0, 5),
        ({"x-ratelimit-remaining": "0", "ratelimit-reset": "30"}, 0, 30),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset-after": "1.5"}, 0, 1.5),
        ({"x-rate-limit-requests-left": "0", "x-rate-limit-time-reset-ms": "1500"}, 0, 1.5),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 0, 360),
        ({"x-shopify-shop-api-call-limit": "39/40"}, 1, None),
        ({"ratelimit": '=;;,"', "x-ratelimit-remaining": "2"}, 2, None),
        ({"x-ratelimit-reset": "9" * 40}, None, 86400),
    ],
)
def test_figures_of_two_windows_are_not_mixed(headers: Any, remaining: int | None, reset: float | None) -> None:
    notice = read_notice("shop", "", 200, headers)
    assert notice is not None
    assert (notice.remaining, notice.reset) == (remaining, reset)
