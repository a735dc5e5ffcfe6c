"""One connection to the broker that is kept up: connect, serve, and again when it is lost."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any

import aio_pika
import aiormq
import structlog
from aio_pika.abc import AbstractConnection
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from yarl import URL

from worker.errors import BrokerError, SettingsError
from worker.patience import back_off

log = structlog.get_logger()

CONNECT_SECONDS = 10
CLOSE_SECONDS = 5
PROBE_SECONDS = 5
LONGEST_PAUSE_SECONDS = 10
HEARTBEAT_SECONDS = 10
"""Lets the broker notice within 20 s that a worker is gone without a word, and deliver its messages to another one.
`?heartbeat=` in the broker's address wins."""

PAUSE_SECONDS = (0.1, 1.5)
"""Between the loss of a connection and the next: not all workers come back at the same moment."""

CONNECTION_ERRORS = (OSError, aiormq.AMQPError, aiormq.exceptions.ChannelInvalidStateError, TimeoutError, BrokerError)
"""What a broken or refused connection raises. aiormq's word for a closed channel is none of its `AMQPError`s."""


class ConnectionLost(BrokerError):
    """The connection has ended; why it did, others may know better."""


class Outbox:
    """Collects frames and writes those of one turn of the event loop together.

    The order of `write` calls is the order on the wire. Nothing bounds it: each frame belongs to a message in work
    or to a publish that waits for its confirm, and both are bounded.
    """

    def __init__(self, connection: aiormq.abc.AbstractConnection) -> None:
        self._queue = connection.write_queue
        self._frames: list[bytes] = []
        self._filled = asyncio.Event()
        self._order = asyncio.Lock()

    def write(self, frames: bytes) -> None:
        """Send these frames soon."""
        self._frames.append(frames)
        self._filled.set()

    async def run(self) -> None:
        """Hand the frames to the connection, until cancelled."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            await self.flush()

    async def flush(self) -> None:
        """Return when everything written so far is with the connection, ahead of what aiormq sends next."""
        async with self._order:
            frames, self._frames = self._frames, []
            if frames:
                await self._queue.put(aiormq.abc.ChannelFrame(b"".join(frames), should_close=False))


class Session:
    """One life of a connection."""

    def __init__(self, connection: AbstractConnection) -> None:
        transport = connection.transport
        assert transport is not None, "aio_pika.connect returns an open connection"
        self.underlay: aiormq.abc.AbstractConnection = transport.connection
        self.outbox = Outbox(self.underlay)
        self._opened = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the connection was opened."""
        return time.monotonic() - self._opened

    async def channel(self, *, confirms: bool = False) -> aiormq.abc.AbstractChannel:
        """Open a channel. Raises a `CONNECTION_ERRORS` member when the connection is gone."""
        try:
            return await self.underlay.channel(publisher_confirms=confirms, timeout=CONNECT_SECONDS)
        except RuntimeError as error:  # aiormq's word for a closed connection
            raise BrokerError(str(error)) from error

    async def probe(self) -> None:
        """Ask the broker something. Raises a `CONNECTION_ERRORS` member when it does not answer in time."""
        async with asyncio.timeout(PROBE_SECONDS):
            channel = await self.channel()
            await channel.close()

    async def wait_until_lost(self) -> None:
        """Return never; raises when the connection closes."""
        closing = self.underlay.closing
        await asyncio.wait([closing])
        raise ConnectionLost(f"connection lost: {why_closed(closing)}")


class Link:
    """Keeps one connection up and lets `serve` use it."""

    def __init__(
        self,
        url: str,
        name: str,
        serve: Callable[[Session], Coroutine[Any, Any, None]],
        *,
        probe_seconds: float = 10,
    ) -> None:
        try:
            self._url = URL(url)
        except ValueError as error:
            raise SettingsError(f"the broker's address is no URL: {error}") from None
        if self._url.scheme not in {"amqp", "amqps"} or not self._url.host:
            raise SettingsError("the broker's address must look like amqp://user:password@host:5672/%2F")
        self._url = self._url.update_query({"heartbeat": HEARTBEAT_SECONDS} | dict(self._url.query))
        self.name = name
        self._serve = serve
        self._probe_seconds = probe_seconds
        self.losses = 0
        """Connections lost so far."""
        self.is_up = False
        """Whether there is a connection."""

    async def run(self) -> None:
        """Connect, serve and reconnect, until cancelled."""
        while True:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._live(), name=f"{self.name}: one connection")
            await asyncio.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311 - jitter

    async def _live(self) -> None:
        """Connect and serve until the connection is lost."""
        connection = await self._connect()
        try:
            raise_swallowed_cancel()
            self.is_up = True
            await self._use(Session(connection))
        except* CONNECTION_ERRORS as lost:
            self.losses += 1
            log.warning("broker_lost", connection=self.name, cause=_cause(lost))
        finally:
            self.is_up = False
            await _close(connection)

    async def _use(self, session: Session) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(session.wait_until_lost(), name=f"{self.name}: connection")
            group.create_task(session.outbox.run(), name=f"{self.name}: outbox")
            group.create_task(self._probe(session), name=f"{self.name}: probe")
            async with asyncio.TaskGroup() as serving:  # ends first: its last frames leave through the outbox
                serving.create_task(self._serve(session), name=f"{self.name}: serve")

    async def _probe(self, session: Session) -> None:
        """Notice a connection that is dead without saying so, long before its heartbeats do."""
        while True:
            await asyncio.sleep(self._probe_seconds)
            await session.probe()
            raise_swallowed_cancel()

    async def _connect(self) -> AbstractConnection:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(CONNECTION_ERRORS),
            wait=lambda state: back_off(state.attempt_number - 1, first=0.5, longest=LONGEST_PAUSE_SECONDS),
            before_sleep=self._say_waiting,
        ):
            with attempt:
                return await aio_pika.connect(
                    self._url,
                    timeout=CONNECT_SECONDS,
                    client_properties={"connection_name": f"orchesty-worker {self.name}"},
                )
        raise AssertionError("tenacity returns or raises")

    def _say_waiting(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning(
            "waiting_for_broker",
            broker=f"{self._url.host}:{self._url.port}",
            connection=self.name,
            attempt=state.attempt_number,
            retry_in_seconds=round(state.upcoming_sleep, 1),
            cause=f"{type(error).__name__}: {error}",
        )


def raise_swallowed_cancel() -> None:
    """Raise the cancel of this task that came during a call of aiormq.

    The calls wait by `asyncio.wait_for`, which before Python 3.12 drops a cancel that comes together with the answer
    (https://github.com/python/cpython/issues/86296). What waits for long or loops afterwards asks here first, in a task
    that has not yet left a `TaskGroup` by an error: before Python 3.13 those count as cancelled ever after.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def why_closed(closing: asyncio.Future[object]) -> str:
    """Return why a connection or channel, whose `closing` is done, was closed."""
    error = None if closing.cancelled() else closing.exception()
    return str(error or "closed by us")


async def _close(connection: AbstractConnection) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await connection.close()
    except CONNECTION_ERRORS as error:
        log.debug("connection_not_closed_cleanly", cause=str(error))


def _cause(group: BaseExceptionGroup[BaseException]) -> str:
    """Return what says most: a connection that ends takes much with it."""
    error = min(_leaves(group), key=lambda leaf: (isinstance(leaf, ConnectionLost), not isinstance(leaf, BrokerError)))
    return f"{type(error).__name__}: {error}"


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for part in error.exceptions for leaf in _leaves(part)]
    return [error]
