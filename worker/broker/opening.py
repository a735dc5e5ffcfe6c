"""Opening one connection to the broker, and saying clearly why it cannot be."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import aiormq
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from yarl import URL

from worker.broker.outbox import Outbox
from worker.broker.reading import ConnectionState, FrameReader
from worker.errors import BrokerError, SettingsError

CONNECT_SECONDS = 10
HEARTBEAT_SECONDS = 10
"""Lets the broker notice within 20 s that a worker is gone without a word, and deliver its messages to another one.
`?heartbeat=` in the broker's address wins."""

FILES = ("cafile", "certfile", "keyfile")
"""Options of an `amqps` address that name a file; `capath` names a folder."""


REFUSALS = ("ACCESS_REFUSED", "NOT_ALLOWED")
"""How the broker says that user, password or virtual host are wrong: trying again does not help."""


class AccessRefused(BrokerError):
    """The broker has answered, and lets nobody in with this address."""


class _Transport(TransportFactory):
    def __init__(self, scheme: str, state: ConnectionState) -> None:
        self._factory = TLSTransportFactory() if scheme == "amqps" else TCPTransportFactory()
        self._state = state

    async def create(self, url: URL, **kwargs: Any) -> tuple[Any, asyncio.StreamWriter]:
        reader, writer = await self._factory.create(url, **kwargs)
        return FrameReader(reader, self._state), writer


class Channel(aiormq.Channel):
    """A channel that says whether frames may be written to it.

    aiormq answers a broker that closes a channel some time before it calls the channel closed, and a frame behind the
    answer closes the connection.
    """

    takes_frames = True


class _Channels(dict[int, aiormq.abc.AbstractChannel | None]):
    """The open channels of a connection by number: one that aiormq takes out takes no more frames."""

    def pop(self, number: int, *default: Any) -> Any:
        channel = super().pop(number, *default)
        if isinstance(channel, Channel):
            channel.takes_frames = False
        return channel

    def __delitem__(self, number: int) -> None:
        self.pop(number)


class BrokerConnection(aiormq.Connection):
    """A connection whose frames are made readable first."""

    def __init__(self, url: URL, name: str) -> None:
        self.state = ConnectionState()
        super().__init__(
            url,
            transport_factory=_Transport(url.scheme, self.state),
            client_properties={"connection_name": f"orchesty-worker {name}"},
        )
        self.outbox = self.write_queue = Outbox()
        self.channels = _Channels()

    @property
    def most_channels(self) -> int:
        """How many channels the broker allows."""
        return self.connection_tune.channel_max or 65535


def broker_url(text: str) -> URL:
    """Return the address of the broker with what it leaves open. Raises `SettingsError`."""
    try:
        url = URL(text)
    except ValueError as error:
        raise SettingsError(f"the broker's address is not a URL: {error}") from None
    if url.scheme not in {"amqp", "amqps"} or not url.host:
        raise SettingsError("the broker's address must look like amqp://user:password@host:5672/%2F")
    return url.update_query({"heartbeat": HEARTBEAT_SECONDS} | dict(url.query))


async def open_connection(url: URL, name: str) -> BrokerConnection:
    """Connect. Raises `BrokerError` that says why it cannot be, `AccessRefused` if the address is wrong."""
    _check_files(url)
    connection = BrokerConnection(url, name)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await connection.connect()
    except TimeoutError:
        raise BrokerError(f"no answer within {CONNECT_SECONDS} s") from None
    except (OSError, aiormq.AMQPError) as error:
        cause = _cause(error, connection.state, url)
        raise (AccessRefused if cause.startswith(REFUSALS) else BrokerError)(cause) from error
    return connection


def _cause(error: Exception, state: ConnectionState, url: URL) -> str:
    if state.closed_for:
        return state.closed_for
    if isinstance(error, ssl.SSLError) or "SSL" in str(error):
        return f"TLS: {error}"
    if url.scheme == "amqp" and isinstance(error, aiormq.exceptions.IncompatibleProtocolError):
        return f"{error}; does it listen for TLS there? Then the address begins with amqps"
    return f"{type(error).__name__}: {error}"


def _check_files(url: URL) -> None:
    """See that the files of the address can be read: the error of the TLS library names none."""
    if url.scheme != "amqps":
        return
    for option in FILES:
        if path := url.query.get(option):
            try:
                Path(path).open("rb").close()
            except OSError as error:
                raise BrokerError(f"{option}={path} of the broker's address: {error.strerror}") from None
    if (path := url.query.get("capath")) and not Path(path).is_dir():
        raise BrokerError(f"capath={path} of the broker's address is not a folder")
