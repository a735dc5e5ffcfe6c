"""The channels of a publisher: one for each exchange.

What the broker refuses (an exchange that is not there, is internal, or may not be written to) it answers by closing
the channel, and does not say what became of the other messages on it. So each exchange has a channel of its own, and
the first message goes there alone: a refusal costs nobody else anything, and nothing is sent twice.
"""

import asyncio
import re
import secrets
import struct
import time
from contextlib import suppress

import aiormq
from aiormq.channel import Returning

from worker.broker import frames
from worker.broker.link import CONNECTION_ERRORS, Session, why_closed
from worker.broker.opening import Channel
from worker.errors import ChannelLost, PublishRefused, QueueFull, Unpublishable
from worker.protocol.transport import Publication

USUAL_BYTES = 64 * 1024
SPARE_CHANNELS = 2
"""Of a connection, for questions."""
MOST_LANES = 1000
NOWHERE = "orchesty-worker.nowhere"
"""No queue has this name."""

_LIMIT = re.compile(r"max size (\d+)")


class ConfirmChannel:
    """A channel in confirm mode, written to directly.

    The channel is ours alone, so the n-th publish has delivery tag n. aiormq reads the broker's confirms and
    returns and settles the future that stands in `channel.confirmations`.
    """

    def __init__(self, session: Session, channel: Channel) -> None:
        self._channel = channel
        self._outbox = session.outbox
        self._loop = asyncio.get_running_loop()
        self._frame_max = session.underlay.connection_tune.frame_max
        self._tag = 0
        self._prefix = secrets.token_hex(4)
        self.closing = channel.closing
        self.closing.add_done_callback(self._fail_open)

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._channel.takes_frames

    @property
    def is_idle(self) -> bool:
        """Whether all messages are confirmed or returned."""
        return not self._unconfirmed()

    def send(self, publication: Publication) -> asyncio.Future[object]:
        """Send now; the future is done with the broker's confirm, or fails."""
        if not self.is_open:
            raise ChannelLost("channel is closed")
        tag = self._tag + 1
        message_id = f"{self._prefix}{tag:012x}"
        packed = self._pack(publication, message_id)
        self._tag = tag
        confirm: asyncio.Future[object] = self._loop.create_future()
        self._channel.confirmations[tag] = confirm
        if publication.mandatory:
            self._channel.message_id_delivery_tag[message_id] = tag
            confirm.add_done_callback(lambda _: self._channel.message_id_delivery_tag.pop(message_id))
        self._outbox.write(packed)
        return confirm

    def _pack(self, publication: Publication, message_id: str) -> bytes:
        timestamp = time.time_ns() // 1_000_000 if publication.timestamp is None else publication.timestamp
        try:
            return frames.publish(
                self._channel.number,
                publication.exchange,
                publication.routing_key,
                publication.body,
                message_id=message_id.encode(),
                timestamp=timestamp,
                mandatory=publication.mandatory,
                frame_max=self._frame_max,
            )
        except (ValueError, struct.error) as error:
            raise Unpublishable(f"it does not fit into a frame: {error}") from error

    async def ask(self) -> None:
        """Return when the broker has read what is sent; it answers a question that changes nothing.

        There is no limit to the time: a broker that is blocked reads it later, and what is sent again is there twice.
        """
        await self._channel.basic_qos(prefetch_count=0)

    def confirmed(self) -> asyncio.Future[object]:
        """Return what is done with the next confirm, of a channel that is not idle."""
        return self._unconfirmed()[0]

    def _unconfirmed(self) -> list[asyncio.Future[object]]:
        confirms = self._channel.confirmations.values()
        return [confirm for confirm in confirms if not confirm.done() and not isinstance(confirm, Returning)]

    async def close(self) -> None:
        """Close it."""
        await self._channel.close()

    def _fail_open(self, closing: asyncio.Future[object]) -> None:
        error = lost(closing)
        for confirm in tuple(self._channel.confirmations.values()):
            if not confirm.done():
                confirm.set_exception(error)
                confirm.exception()  # nobody may be waiting any more


def lost(closing: asyncio.Future[object]) -> ChannelLost | PublishRefused:
    """Return what the end of a channel means for what is not confirmed."""
    error = None if closing.cancelled() else closing.exception()
    if isinstance(error, aiormq.exceptions.AMQPChannelError):
        return PublishRefused(str(error))
    return ChannelLost(f"channel closed: {why_closed(closing)}")


class Lane:
    """The way to one exchange."""

    def __init__(self) -> None:
        self.channel: ConfirmChannel | None = None
        """None until a message has come through."""
        self.opening = asyncio.Lock()
        self.refused_for = ""
        """Why the broker has refused the latest message."""
        self.is_full = False
        """Whether it did so because a queue was full."""


class Lanes:
    """The ways to all exchanges, on one connection."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lanes: dict[str, Lane] = {}
        self._opening, self._measuring = asyncio.Lock(), asyncio.Lock()
        self.proven_bytes = 0
        """Bodies up to this size the broker takes."""
        self._most_bytes: int | None = None
        """The largest body that it takes; None until it refuses one."""

    @property
    def refused(self) -> dict[str, str]:
        """Why the broker refuses messages, by exchange."""
        return {exchange: lane.refused_for for exchange, lane in self._lanes.items() if lane.refused_for}

    @property
    def is_refused(self) -> bool:
        """Whether the broker refuses messages by more than a full queue."""
        return any(lane.refused_for and not lane.is_full for lane in self._lanes.values())

    def __getitem__(self, exchange: str) -> Lane:
        """Return the way to an exchange."""
        lane = self._lanes.get(exchange)
        if lane is None:
            lane = self._lanes[exchange] = Lane()
        return lane

    def note_refusal(self, publication: Publication, error: PublishRefused, *, is_told: bool) -> None:
        """Learn from a refusal; tell of it only where somebody waits until it is cured."""
        if is_told:
            lane = self[publication.exchange]
            lane.refused_for, lane.is_full = str(error), isinstance(error, QueueFull)
        self._learn(error)

    def _learn(self, error: PublishRefused) -> None:
        if found := _LIMIT.search(str(error)):
            self._most_bytes = self.proven_bytes = int(found[1])

    async def send_first(self, publication: Publication, lane: Lane) -> asyncio.Future[object]:
        """Send the message alone, on a channel that is the lane's when the broker has not closed it for that."""
        async with lane.opening:
            if lane.channel is not None and lane.channel.is_open:
                return lane.channel.send(publication)
            channel = await self._open()
            confirm = channel.send(publication)
            with suppress(*CONNECTION_ERRORS):  # why the channel has ended, the confirm knows
                await channel.ask()
                lane.channel = channel
            return confirm

    async def _open(self) -> ConfirmChannel:
        async with self._opening:
            while self._is_full() and not await self._make_room():
                pass
            return ConfirmChannel(self._session, await self._session.channel(confirms=True))

    def _is_full(self) -> bool:
        return self._session.free_channels <= SPARE_CHANNELS or len(self._used()) >= MOST_LANES

    def _used(self) -> list[Lane]:
        return [lane for lane in self._lanes.values() if lane.channel is not None and lane.channel.is_open]

    async def _make_room(self) -> bool:
        """Close a channel that nobody uses at the moment, or wait for a confirm."""
        used = self._used()
        if not used:
            return True
        for lane in used:
            if lane.channel is not None and lane.channel.is_idle:
                channel, lane.channel = lane.channel, None
                await channel.close()
                return True
        await asyncio.wait([lane.channel.confirmed() for lane in used if lane.channel], return_when="FIRST_COMPLETED")
        return False

    async def measure(self, size: int) -> None:
        """Find out whether the broker takes bodies of this size. Raises `Unpublishable` when it does not.

        RabbitMQ looks at the size before it looks for the exchange; so it is asked with a body that goes nowhere.
        """
        async with self._measuring:
            if self._most_bytes is None and size > self.proven_bytes:
                asked = max(USUAL_BYTES, 1 << (size - 1).bit_length())
                await self._ask(asked)
                self.proven_bytes = self._most_bytes or asked
        if size > self.proven_bytes:
            raise Unpublishable(f"it has {size:,} bytes, and the broker takes {self.proven_bytes:,}")

    async def _ask(self, size: int) -> None:
        channel = await self._session.channel(confirms=True)
        try:
            await ConfirmChannel(self._session, channel).send(Publication("", NOWHERE, bytes(size), mandatory=False))
        except PublishRefused as error:
            self._learn(error)
        else:
            await channel.close()
