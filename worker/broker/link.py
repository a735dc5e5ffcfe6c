"""One connection to the broker that is kept up: connect, serve, and again when it is lost."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import aiormq
import structlog
from aiormq.connection import DEFAULT_PORTS

from applications.pauses import back_off
from worker.broker.opening import CONNECT_SECONDS, BrokerConnection, Channel, broker_url, open_connection
from worker.errors import BrokerError

log = structlog.get_logger()

CLOSE_SECONDS = 5
PROBE_SECONDS = 5
FIRST_PAUSE_SECONDS = 1
"""Half of it is random: not all workers come back at the same moment."""
LONGEST_PAUSE_SECONDS = 10
SERVED_SECONDS = 5
"""A connection that ends earlier counts as one that could not serve."""
FRAME_BUFFER = 10
"""Frames of a channel that are read ahead, as with aiormq's own channels."""

CONNECTION_ERRORS = (OSError, aiormq.AMQPError, aiormq.exceptions.ChannelInvalidStateError, TimeoutError, BrokerError)
"""What a broken or refused connection raises. aiormq's word for a closed channel is none of its `AMQPError`s."""


class ConnectionLost(BrokerError):
    """The connection has ended; why it did, others may know better."""


class TooFewChannels(BrokerError):
    """The broker allows fewer channels on a connection than the worker needs."""

    def __init__(self, most: int, needed: int | None = None) -> None:
        what = f"these nodes need {needed}" if needed else "all are in use"
        super().__init__(
            f"the broker allows {most} channels on a connection, and {what}; raise channel_max in rabbitmq.conf, or "
            "divide the nodes over several workers with WORKER_NODES"
        )


class Session:
    """One life of a connection."""

    def __init__(self, connection: BrokerConnection) -> None:
        self.underlay = connection
        self.outbox = connection.outbox
        self.has_begun = False
        """Whether what it is for could begin."""
        self._opened = time.monotonic()
        self._numbers: set[int] = set()
        """Of channels that are not closed on both sides. aiormq gives a number away before it has answered the broker
        that closes the channel, which closes the connection.
        """
        self._number = 0
        self._freed = asyncio.Event()

    @property
    def age(self) -> float:
        """Seconds since the connection was opened."""
        return time.monotonic() - self._opened

    @property
    def blocked_for(self) -> str:
        """Why the broker takes no messages, while it does not."""
        return self.underlay.state.blocked_for

    @property
    def free_channels(self) -> int:
        """How many more channels the broker allows."""
        return self.underlay.most_channels - len(self._numbers)

    async def channel(self, *, confirms: bool = False) -> Channel:
        """Open a channel. Raises a `CONNECTION_ERRORS` member when the connection is gone, or has no channel left."""
        if self.underlay.is_closed:
            raise ConnectionLost(f"connection lost: {why_closed(self.underlay.closing)}")
        number = await self._free_number()
        channel = Channel(self.underlay, number, publisher_confirms=confirms, frame_buffer=FRAME_BUFFER)
        self._numbers.add(number)
        self.underlay.channels[number] = channel
        channel.closing.add_done_callback(lambda _: self._free(channel))
        await channel.open(timeout=CONNECT_SECONDS)
        return channel

    def _free(self, channel: Channel) -> None:
        channel.takes_frames = False
        self._numbers.discard(channel.number)
        self._freed.set()

    async def _free_number(self) -> int:
        """Return the next number that is free; the one that was so last comes again last."""
        most = self.underlay.most_channels
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                while len(self._numbers) >= most:
                    self._freed.clear()
                    await self._freed.wait()
        except TimeoutError:
            raise TooFewChannels(most) from None
        self._number = self._number % most + 1
        while self._number in self._numbers:
            self._number = self._number % most + 1
        return self._number

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
        """Raises `SettingsError` for an address that cannot be right."""
        self._url = broker_url(url)
        self.name = name
        self._serve = serve
        self._probe_seconds = probe_seconds
        self._failures = 0
        """Since a connection has served."""
        self._session: Session | None = None
        self.losses = 0
        """Connections lost so far."""
        self.cause = ""
        """Why there is no connection."""

    @property
    def is_up(self) -> bool:
        """Whether there is a connection."""
        return self._session is not None

    @property
    def blocked_for(self) -> str:
        """Why the broker takes no messages on this connection, while it does not."""
        return self._session.blocked_for if self._session else ""

    async def run(self) -> None:
        """Connect, serve and reconnect, until cancelled."""
        while True:
            async with asyncio.TaskGroup() as group:
                living = group.create_task(self._live(), name=f"{self.name}: one connection")
            await asyncio.sleep(living.result())

    async def _live(self) -> float:
        """Connect and serve until the connection is lost. Return after how many seconds to try again."""
        try:
            connection = await open_connection(self._url, self.name)
        except BrokerError as error:
            return self._wait(str(error))
        connection.state.on_blocked = lambda: self._tell_blocked(connection.state.blocked_for)
        session = Session(connection)
        try:
            raise_swallowed_cancel()
            self._session = session
            await self._use(session)
        except* CONNECTION_ERRORS as lost:
            cause = _cause(lost)
        finally:
            self._session = None
            await _close(connection)
        return self._lose(session, cause)

    def _wait(self, cause: str) -> float:
        pause = self._fail(cause)
        log.warning(
            "waiting_for_broker",
            broker=f"{self._url.host}:{self._url.port or DEFAULT_PORTS[self._url.scheme]}",
            connection=self.name,
            attempt=self._failures,
            retry_in_seconds=round(pause, 1),
            cause=cause,
        )
        return pause

    def _lose(self, session: Session, cause: str) -> float:
        self.losses += 1
        if session.has_begun and session.age > SERVED_SECONDS:
            self._failures = 0
        pause = self._fail(cause)
        log.warning("broker_lost", connection=self.name, cause=cause, retry_in_seconds=round(pause, 1))
        return pause

    def _fail(self, cause: str) -> float:
        """Return how long to wait: longer each time, until a connection serves."""
        self.cause = cause
        self._failures += 1
        return back_off(self._failures - 1, first=FIRST_PAUSE_SECONDS, longest=LONGEST_PAUSE_SECONDS)

    def _tell_blocked(self, cause: str) -> None:
        if cause:
            consequence = "messages wait to be published until the broker takes them again"
            log.warning("broker_blocked", connection=self.name, cause=cause, consequence=consequence)
        else:
            log.info("broker_unblocked", connection=self.name)

    async def _use(self, session: Session) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(session.wait_until_lost(), name=f"{self.name}: connection")
            group.create_task(self._probe(session), name=f"{self.name}: probe")
            async with asyncio.TaskGroup() as serving:  # ends first, as long as the connection is watched
                serving.create_task(self._serve(session), name=f"{self.name}: serve")

    async def _probe(self, session: Session) -> None:
        """Notice a connection that is dead without saying so, long before its heartbeats do."""
        while True:
            await asyncio.sleep(self._probe_seconds)
            if not session.blocked_for:  # the broker reads nothing meanwhile
                await session.probe()
            raise_swallowed_cancel()


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


async def _close(connection: BrokerConnection) -> None:
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
