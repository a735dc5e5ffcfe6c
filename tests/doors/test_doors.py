"""Who gets in over HTTP while others hold connections, heads and bodies open."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import NoReturn

import pytest
import uvloop
from aiohttp import web
from support.odd import Base
from support.waiting import eventually

from worker.doors import bodies, connections
from worker.doors.bodies import read_body
from worker.doors.server import listening

ENDS: dict[str, type[BaseException]] = {
    error.__name__: error for error in (SystemExit, KeyboardInterrupt, GeneratorExit, Base, ValueError)
}
HEAD = b"POST /body HTTP/1.1\r\nHost: worker\r\n"
PROBE = b"GET /readyz HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n"


class Served:
    """A server behind the doors, and how to call it byte by byte."""

    def __init__(self) -> None:
        self.port = 0
        self.transport: asyncio.Transport | None = None
        self.go_on = asyncio.Event()
        self.entered = asyncio.Semaphore(0)
        self._open = AsyncExitStack()

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/readyz", self._probe)
        application.router.add_post("/body", self._body)
        application.router.add_post("/work", self._work)
        application.router.add_get("/large", self._large)
        application.router.add_post("/key", self._key)
        application.router.add_get("/raise", self._raise)
        application.router.add_get("/group", self._group)
        return application

    async def _probe(self, _: web.Request) -> web.Response:
        return web.Response(text="ready")

    async def _body(self, request: web.Request) -> web.Response:
        return web.Response(text=str(len(await read_body(request))))

    async def _work(self, request: web.Request) -> web.Response:
        await read_body(request)
        self.entered.release()
        await self.go_on.wait()
        return web.Response(text="done")

    async def _large(self, request: web.Request) -> web.Response:
        self.transport = request.transport
        self.entered.release()
        return web.Response(body=b"x" * 50_000_000)

    async def _key(self, _: web.Request) -> web.Response:
        return web.Response(status=401)

    async def _raise(self, request: web.Request) -> NoReturn:
        raise ENDS[request.query["what"]]

    async def _group(self, _: web.Request) -> web.Response:
        task = asyncio.current_task()
        assert task is not None
        cancels = task.cancelling()
        with suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(self._fail())
        return web.Response(text=str(cancels))

    async def _fail(self) -> NoReturn:
        raise ValueError

    async def connect(self, data: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._open.callback(writer.close)
        writer.write(data)
        await writer.drain()
        return reader, writer

    async def answer(self, data: bytes) -> str:
        reader, _ = await self.connect(data)
        return await answer_of(reader)

    def close(self) -> Awaitable[None]:
        self.go_on.set()
        return self._open.aclose()


async def answer_of(reader: asyncio.StreamReader) -> str:
    """Read until the other side closes, however it does."""
    answer = b""
    async with asyncio.timeout(10):
        with suppress(ConnectionError):
            while chunk := await reader.read(65536):
                answer += chunk
    return answer.decode()


@asynccontextmanager
async def serving() -> AsyncIterator[Served]:
    made = Served()
    async with listening(made.application(), "127.0.0.1", 0, 1) as made.port:
        try:
            yield made
        finally:
            await made.close()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving() as made:
        yield made


Seconds = Callable[[str, float], None]


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Seconds:
    def shorten(name: str, value: float) -> None:
        module = bodies if hasattr(bodies, name) else connections
        monkeypatch.setattr(module, name, value)

    return shorten


@asynccontextmanager
async def flood(served: Served, count: int, data: bytes) -> AsyncIterator[list[asyncio.StreamReader]]:
    yield [reader for reader, _ in [await served.connect(data) for _ in range(count)]]


@pytest.mark.parametrize("what", ENDS)
async def test_what_would_end_the_process_costs_the_request(served: Served, what: str) -> None:
    ending = f"GET /raise?what={what} HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n".encode()
    assert (await served.answer(ending)).startswith("HTTP/1.1 500 ")
    assert (await served.answer(PROBE)).endswith("ready")


async def test_a_request_leaves_no_cancel_to_the_next_one_of_its_connection(served: Served) -> None:
    group = b"GET /group HTTP/1.1\r\nHost: worker\r\n"
    answer = await served.answer(group + b"\r\n" + group + b"Connection: close\r\n\r\n")
    assert [line[-1] for line in answer.split("HTTP/1.1 200 OK")[1:]] == ["0", "0"]


@pytest.mark.parametrize("sent", [b"", b"P", HEAD, HEAD + b"X-Slow: "])
async def test_a_connection_that_brings_no_head_in_time_is_closed(
    served: Served, seconds: Seconds, sent: bytes
) -> None:
    seconds("HEAD_SECONDS", 0.2)
    assert (await served.answer(sent)).startswith("HTTP/1.1 408 ")


async def test_half_open_connections_keep_no_probe_out_and_all_of_them_end(served: Served, seconds: Seconds) -> None:
    seconds("HEAD_SECONDS", 2)
    async with flood(served, 300, HEAD) as readers:
        assert (await served.answer(PROBE)).endswith("ready")
        answers = await asyncio.gather(*map(answer_of, readers))
    assert all(answer.startswith("HTTP/1.1 408 ") for answer in answers)


async def test_the_newest_connection_takes_the_place_of_the_one_that_has_waited_longest(
    served: Served, seconds: Seconds
) -> None:
    seconds("MAX_REQUESTS", 8)
    seconds("SPARE", 2)
    async with flood(served, 25, HEAD) as readers:
        assert (await served.answer(PROBE)).endswith("ready")
        for reader in readers[:15]:
            assert await answer_of(reader) == ""
        assert not any(reader.at_eof() for reader in readers[-9:])


async def test_requests_over_the_limit_are_put_off_while_probes_are_answered(served: Served, seconds: Seconds) -> None:
    seconds("MAX_REQUESTS", 5)
    work = b"POST /work HTTP/1.1\r\nHost: worker\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    async with flood(served, 5, work) as readers:
        for _ in readers:
            await served.entered.acquire()
        refused = await served.answer(work)
        assert refused.startswith("HTTP/1.1 503 ")
        assert refused.endswith("too many requests at once; try again")
        assert (await served.answer(PROBE)).endswith("ready")
        served.go_on.set()
        assert all(answer.endswith("done") for answer in await asyncio.gather(*map(answer_of, readers)))
    assert (await served.answer(work)).endswith("done")


async def test_a_body_that_stops_coming_is_given_up(served: Served, seconds: Seconds) -> None:
    seconds("BODY_SECONDS", 0.2)
    seconds("LINGER_SECONDS", 0.2)
    answer = await served.answer(HEAD + b"Content-Length: 10\r\n\r\n12345")
    assert answer.startswith("HTTP/1.1 408 ")
    assert answer.endswith("the body did not come within 0.2 seconds")


@pytest.mark.parametrize(
    "body",
    [b"Content-Length: 11\r\n\r\n12345678901", b"Transfer-Encoding: chunked\r\n\r\nb\r\n12345678901\r\n0\r\n\r\n"],
)
async def test_a_body_that_is_too_large_is_refused(served: Served, seconds: Seconds, body: bytes) -> None:
    seconds("MAX_BODY_BYTES", 10)
    answer = await served.answer(HEAD + b"Connection: close\r\n" + body)
    assert answer.startswith("HTTP/1.1 413 ")
    assert answer.endswith("a body may have 10 bytes")


async def test_bodies_together_are_bounded_and_count_until_they_are_answered(served: Served, seconds: Seconds) -> None:
    seconds("MAX_BYTES_IN_FLIGHT", 15)
    work = b"POST /work HTTP/1.1\r\nHost: worker\r\nContent-Length: 10\r\nConnection: close\r\n\r\n1234567890"
    first, _ = await served.connect(work)
    await served.entered.acquire()
    body = HEAD + b"Content-Length: 10\r\nConnection: close\r\n\r\n1234567890"
    refused = await served.answer(body)
    assert refused.startswith("HTTP/1.1 503 ")
    assert refused.endswith("too many bytes at once; try again")
    served.go_on.set()
    assert (await answer_of(first)).endswith("done")
    assert (await served.answer(body)).endswith("10")


async def test_a_head_that_does_not_end_is_refused_before_it_fills_the_memory(served: Served) -> None:
    reader, writer = await served.connect(HEAD)
    line = b"X-Long: " + b"x" * 8000 + b"\r\n"
    with suppress(ConnectionError):
        for _ in range(20):
            writer.write(line)
            await writer.drain()
    assert (await answer_of(reader))[:13] in {"", "HTTP/1.1 431 "}


async def test_a_large_body_behind_a_small_head_is_no_large_head(served: Served) -> None:
    size = 8 * 1024 * 1024
    head = HEAD + f"Connection: close\r\nContent-Length: {size}\r\n\r\n".encode()
    assert (await served.answer(head + b"x" * size)).endswith(str(size))


async def test_a_caller_without_key_gets_its_answer_while_it_still_sends(served: Served) -> None:
    reader, writer = await served.connect(b"POST /key HTTP/1.1\r\nHost: worker\r\nContent-Length: 100000000\r\n\r\n")
    async with asyncio.timeout(5):
        assert (await reader.readline()).startswith(b"HTTP/1.1 401 ")
    writer.write(b"x" * 1_000_000)
    await writer.drain()


async def test_a_connection_is_used_again_and_closed_when_it_idles(served: Served, seconds: Seconds) -> None:
    seconds("IDLE_SECONDS", 0.3)
    reader, writer = await served.connect()
    for _ in range(3):
        writer.write(HEAD + b"Content-Length: 2\r\n\r\nab")
        async with asyncio.timeout(5):
            answer = await reader.readuntil(b"\r\n\r\n2")
        assert answer.startswith(b"HTTP/1.1 200 ")
    assert await answer_of(reader) == ""


async def test_the_second_head_of_a_connection_has_to_come_in_time_as_well(served: Served, seconds: Seconds) -> None:
    reader, writer = await served.connect(HEAD + b"Content-Length: 2\r\n\r\nab")
    await reader.readuntil(b"\r\n\r\n2")
    seconds("HEAD_SECONDS", 0.2)
    writer.write(b"GET /readyz HT")
    assert (await answer_of(reader)).startswith("HTTP/1.1 408 ")


async def test_an_answer_that_nobody_reads_is_given_up(served: Served, seconds: Seconds) -> None:
    seconds("IDLE_SECONDS", 0.2)
    await served.connect(b"GET /large HTTP/1.1\r\nHost: worker\r\n\r\n")
    await served.entered.acquire()
    await eventually(lambda: served.transport is not None and served.transport.is_closing(), what="the end")


async def test_line_breaks_are_no_head(served: Served, seconds: Seconds) -> None:
    seconds("HEAD_SECONDS", 0.2)
    assert (await served.answer(b"\r\n\r\n")).startswith("HTTP/1.1 408 ")


def test_the_loop_of_the_worker_keeps_the_doors_as_well(seconds: Seconds) -> None:
    seconds("HEAD_SECONDS", 0.3)

    async def call() -> tuple[str, ...]:
        async with serving() as served, flood(served, 5, HEAD) as readers:
            body = await served.answer(HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\nab")
            return await served.answer(PROBE), body, *await asyncio.gather(*map(answer_of, readers))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        probe, body, *slow = runner.run(call())
    assert (probe[-5:], body[-1:]) == ("ready", "2")
    assert {answer[:13] for answer in slow} == {"HTTP/1.1 408 "}


@pytest.mark.parametrize(
    "head",
    [b"GET / HTTP/1.1\r\nno header\r\n\r\n", b"GET / HTTP/1.1\r\nHost: b\x00\r\n\r\n", b"\x16\x03\x01\r\n\r\n"],
    ids=["no header", "NUL", "TLS"],
)
async def test_a_head_that_is_no_http_is_answered_and_fills_no_log(
    served: Served, head: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await served.answer(head)).startswith("HTTP/1.0 400")
    assert caplog.records == []
