"""Odd messages and odd outcomes: what nobody should send or return, and somebody will."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from datetime import timedelta
from typing import Any, NoReturn

import msgspec

from connectors import CustomNode, Exponential, Forward, Limited, Message, Page, Repeat, Stop, Trash
from worker.protocol import headers as h
from worker.protocol.message import DEEPEST_HEADERS

AnyMessage = Message[Any]

KNOWN_HEADERS = sorted({value for name, value in vars(h).items() if name.isupper() and isinstance(value, str)})


def nested(depth: int, kind: Callable[[Any], Any] = lambda inner: {"a": inner}) -> Any:
    """Return an object in an object in an object."""
    inner: Any = {}
    for _ in range(depth):
        inner = kind(inner)
    return inner


ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 5, -1, 2**63, 2**64, 10**400, 1.5, -0.0, 1e308, "", " ", "\x00", "a\x00b", "\x1f", ".", "5",
    "-5", "1e5", "1e400", "NaN", "\u0663", "9" * 5000, "x" * 300, "é" * 300, "\U0001f600\u2028",
    "x" * 100_000, "reject",
       "accept", ";;;", "|", "a|b;1;1", [], [1, "a"], [[]], {}, {"a": 1}, {"": None}, nested(DEEPEST_HEADERS - 1),
)  # fmt: skip
"""Values that a header may have in a message that can be read."""


def odd_bytes() -> Iterator[bytes]:
    """Yield messages of which most cannot be read."""
    yield from (b"", b"hello", b"[]", b"5", b"null", b'{"body":5}', b'{"body":null}', b'{"headers":[],"body":""}')
    yield from (
        b"\xff\xfe",
        b"\x00" * 100,
        b'{"body":"\\ud800"}',
        b'{"body":"\xed\xa0\x80"}',
        b'{"body":"' + b"x" * 100,
    )
    for value in (b"NaN", b"1e400", b"-Infinity", b"9" * 5000, b'"\\udfff"', b"tru"):
        yield b'{"headers":{"user":' + value + b'},"body":""}'
    for depth in (DEEPEST_HEADERS, 900, 980, 1000, 1100, 5000, 100_000):
        for start, end in ((b'{"a":', b"}"), (b"[", b"]")):
            deep = start * depth + b"1" + end * depth
            yield b'{"headers":{"user":' + deep + b'},"body":""}'
            yield msgspec.json.encode({"headers": {"user": "u"}, "body": deep.decode()})


class Silent(Exception):
    """Says nothing."""

    def __str__(self) -> NoReturn:
        raise ZeroDivisionError

    __repr__ = __str__


class Base(BaseException):
    """No `Exception`."""


class Halting(Exponential):
    """A delay that cannot be computed, of a kind that hardly anything catches."""

    def after(self, hop: int, uniform: Callable[[float, float], float]) -> NoReturn:
        raise Base("in a delay")


class Moody(Message[Any]):
    """A message whose headers can be looked at twice."""

    looks = 0

    def __getattribute__(self, name: str) -> Any:
        if name == "headers":
            Moody.looks += 1
            if Moody.looks % 3 == 0:
                raise Base("in a message")
        return super().__getattribute__(name)


Make = Callable[[], BaseException]


def _raise(make: Make) -> Callable[[AnyMessage], Coroutine[Any, Any, Any]]:
    async def raising(_: AnyMessage) -> NoReturn:
        raise make()

    return raising


def _return(make: Callable[[AnyMessage], Any]) -> Callable[[AnyMessage], Awaitable[Any]]:
    async def returning(message: AnyMessage) -> Any:
        return make(message)

    return returning


def _in_group(make: Make) -> Callable[[AnyMessage], Awaitable[Any]]:
    async def parent(message: AnyMessage) -> AnyMessage:
        async with asyncio.TaskGroup() as group:
            group.create_task(_raise(make)(message))
        return message

    return parent


def _in_task(make: Make) -> Callable[[AnyMessage], Awaitable[Any]]:
    async def parent(message: AnyMessage) -> Any:
        return await asyncio.create_task(_raise(make)(message))

    return parent


async def _left_alone(message: AnyMessage) -> AnyMessage:
    """Start a task that ends the process, and do not wait for it."""
    asyncio.ensure_future(_raise(lambda: SystemExit(3))(message))  # noqa: RUF006 - that is the fault
    await asyncio.sleep(0)
    return message


_forward: Any = Forward
_trash: Any = Trash
_stop: Any = Stop
_limited: Any = Limited
_repeat: Any = Repeat
_page: Any = Page
_message: Any = Message
_exponential: Any = Exponential

_RAISED: tuple[Make, ...] = (
    lambda: ValueError("\ud800"), lambda: ValueError("x" * 10**6), Silent, Base, GeneratorExit, lambda: SystemExit(3),
    KeyboardInterrupt, asyncio.CancelledError, lambda: StopIteration(1), StopAsyncIteration, RecursionError,
    MemoryError, TimeoutError, lambda: BaseExceptionGroup("g", [Base(), ValueError("\ud800")]), lambda: Trash("\ud800"),
    lambda: ExceptionGroup("g", [Silent(), Trash("\ud800")]), lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd"),
    lambda: _trash(5), lambda: _repeat("5"), lambda: _stop(Silent()),
)  # fmt: skip

_MESSAGES: tuple[Callable[[Any], Any], ...] = (
    lambda _: None, lambda _: 5, lambda _: "x", lambda _: [], lambda _: Message, lambda _: ValueError(),
    lambda m: _message(None, m.body), lambda m: _message([], m.body), lambda m: _message(m.headers, 5),
    lambda m: _message(m.headers, None), lambda m: _message(m.headers, b"x"), lambda m: _message(m.headers, "\ud800"),
    lambda m: m.with_headers({"own": object()}), lambda m: m.with_headers({"own": float("nan")}),
    lambda m: m.with_headers({"own": [1e400]}), lambda m: m.with_headers({"own": 10**5000}),
    lambda m: m.with_headers({"own": nested(DEEPEST_HEADERS + 1)}), lambda m: m.with_headers({"own": nested(5000)}),
    lambda m: m.with_headers({"own": "\udfff"}), lambda m: m.with_headers({"\udfff": 1}),
    lambda m: m.with_headers({None: 1}), lambda m: m.with_headers({("a",): 1}), lambda m: m.with_headers({5: 1}),
    lambda m: m.with_data(float("nan")), lambda m: m.with_data({"a": [float("-inf")]}),
    lambda m: m.with_data(object()), lambda m: m.with_data(nested(300)), lambda m: m.with_data("\ud800"),
    lambda m: Moody(m.headers, m.body), lambda m: _forward(None), lambda m: _forward("x"), lambda m: _forward(m, "x"),
    lambda m: _forward(m, [["a"]]), lambda m: _forward(m, (None,)), lambda m: _forward(m, ("\ud800",)),
    lambda m: _forward(m, 5), lambda m: _trash(5), lambda m: _trash(b"x"), lambda m: _trash(None),
    lambda m: _trash("\ud800"), lambda m: _trash(ValueError()), lambda m: _trash("x", 5),
    lambda m: _trash("x", _message(None, "")), lambda m: _trash("x" * 10**6),
    lambda m: _trash("x", m.with_headers({"own": nested(5000)})), lambda m: _stop(5), lambda m: _stop("x", 5),
    lambda m: _stop("\ud800"), lambda m: _stop("x", _message([], "")), lambda m: _limited(5),
    lambda m: _limited("x", 5),
    lambda m: _limited("x", timedelta.max), lambda m: _limited("x", timedelta(hours=5)), lambda m: _limited("\ud800"),
    lambda m: _repeat("5"), lambda m: _repeat(5), lambda m: _repeat(None), lambda m: _repeat(timedelta.max),
    lambda m: _repeat(timedelta.min), lambda m: _repeat(timedelta(1), "\ud800"), lambda m: _repeat(timedelta(1), 5),
    lambda m: _repeat(timedelta(1), "", "5"), lambda m: _repeat(timedelta(1), "", None), lambda m: _repeat(Halting()),
    lambda m: _repeat(Exponential(timedelta(1), float("nan"))), lambda m: _repeat(_exponential(5, "x")),
    lambda m: _repeat(timedelta(1), message=m.with_headers({"repeat-hops": {}})),
    lambda m: _repeat(timedelta(1), message=5), lambda m: _page(None), lambda m: _page(5), lambda m: _page("abc"),
    lambda m: _page({"a": 1}), lambda m: _page(iter([1])), lambda m: _page(1 / 0 for _ in range(2)),
    lambda m: _page([object()]), lambda m: _page([float("nan")]), lambda m: _page(["\ud800"]),
    lambda m: _page([nested(300)]), lambda m: _page([_message(None, "x")]), lambda m: _page([_message({}, 5)]),
    lambda m: _page([m], []), lambda m: _page([m], "\ud800"), lambda m: _page([m], trail=5),
    lambda m: _page([m], confirmed=5), lambda m: _page([m], confirmed=lambda: None),
    lambda m: _page([m], confirmed=lambda: 1 / 0), lambda m: _page([m], confirmed=lambda: _raise(Base)(m)),
    lambda m: _page([m], message=5), lambda m: _page([m], to="x"), lambda m: _page([m, 5, None, {}]),
    lambda m: _page([object()], message=m.with_headers({h.AUDIT_CHECKPOINT: '{"role":"process_exit","fields":["a"]}'})),
    lambda m: _forward(m.with_headers({h.AUDIT_CHECKPOINT: {}})),
    lambda m: _forward(m.with_headers({h.AUDIT_CHECKPOINT: 5})),
    lambda m: _forward(_message({h.AUDIT_CHECKPOINT: '{"role":"process_step","fields":["a"]}'}, "\ud800")),
    lambda m: _trash.__new__(Trash), lambda m: _repeat.__new__(Repeat),
)  # fmt: skip

ODD_ENDS: tuple[Callable[[AnyMessage], Awaitable[Any]], ...] = (
    *(_raise(make) for make in _RAISED),
    *(_in_task(make) for make in _RAISED),
    *(_in_group(make) for make in _RAISED),
    _raise(lambda: BaseExceptionGroup("g", [asyncio.CancelledError()])),
    *(_return(make) for make in _MESSAGES),
    _left_alone,
)
"""Ways of an action to end that nobody should choose."""


class Odd(CustomNode[Any, Any]):
    """Ends as the message says: by the number of one of `ODD_ENDS`."""

    name = "odd"

    async def process(self, message: AnyMessage) -> Any:
        """Return or raise something odd."""
        return await ODD_ENDS[int(message.body) % len(ODD_ENDS)](message)


class OddInThread(CustomNode[Any, Any]):
    """The same in a thread, for what it raises."""

    name = "odd-in-thread"

    def process(self, message: AnyMessage) -> Any:
        """Raise something odd."""
        make = _RAISED[int(message.body) % len(_RAISED)]
        raise make()
