"""Publishing: mandatory, confirmed, many in flight, over reconnects."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from itertools import islice

import aiormq
import structlog

from worker.broker import frames
from worker.broker.link import CONNECTION_ERRORS, Session, raise_swallowed_cancel, why_closed
from worker.errors import BrokerError, ChannelLost, PublishRefused
from worker.patience import back_off
from worker.prometheus import CONFIRM_SECONDS, Histogram
from worker.protocol.transport import Publication

log = structlog.get_logger()

WINDOW = 512
"""Messages of one call that may wait for their confirm at the same time."""

LONGEST_PAUSE_SECONDS = 30
DECLARE_SECONDS = 10


class ConfirmChannel:
    """A channel in confirm mode, written to directly.

    The channel is ours alone, so the n-th publish has delivery tag n. aiormq reads the broker's confirms and
    returns and settles the future that stands in `channel.confirmations`.
    """

    def __init__(self, session: Session, channel: aiormq.abc.AbstractChannel) -> None:
        assert isinstance(channel, aiormq.Channel), "aiormq has one class of channels"
        self._channel = channel
        self._outbox = session.outbox
        self._loop = asyncio.get_running_loop()
        self._frame_max = session.underlay.connection_tune.frame_max
        self._tag = 0
        self._prefix = secrets.token_hex(4)
        self.closing = channel.closing
        self.closing.add_done_callback(self._fail_open)

    def send(self, publication: Publication) -> asyncio.Future[object]:
        """Send now; the future is done with the broker's confirm, or fails."""
        if self.closing.done():
            raise ChannelLost("channel is closed")
        self._tag = tag = self._tag + 1
        message_id = f"{self._prefix}{tag:012x}"
        timestamp = time.time_ns() // 1_000_000 if publication.timestamp is None else publication.timestamp
        confirm: asyncio.Future[object] = self._loop.create_future()
        self._channel.confirmations[tag] = confirm
        if publication.mandatory:
            self._channel.message_id_delivery_tag[message_id] = tag
            confirm.add_done_callback(lambda _: self._channel.message_id_delivery_tag.pop(message_id))
        self._outbox.write(
            frames.publish(
                self._channel.number,
                publication.exchange,
                publication.routing_key,
                publication.body,
                message_id=message_id.encode(),
                timestamp=timestamp,
                mandatory=publication.mandatory,
                frame_max=self._frame_max,
            )
        )
        return confirm

    def _fail_open(self, closing: asyncio.Future[object]) -> None:
        for confirm in tuple(self._channel.confirmations.values()):
            if not confirm.done():
                confirm.set_exception(ChannelLost(f"channel closed: {why_closed(closing)}"))
                confirm.exception()  # nobody may be waiting any more


class Publisher:
    """Publishes until the broker has it.

    Lost connections and channels are waited out, refusals (missing exchange, no queue, negative confirm) are logged
    and tried again with growing pauses: the caller's own message stays unacknowledged meanwhile, so it waits in the
    broker. Cancelling a `publish` gives up; messages already sent may arrive.
    """

    def __init__(self) -> None:
        self._channel: ConfirmChannel | None = None
        self._opened = asyncio.Event()
        self._session: Session | None = None
        self._known_exchanges: set[str] = {""}
        self.confirm_seconds = Histogram(CONFIRM_SECONDS)
        """From publishing to the broker's confirm."""
        self.refusals = 0
        """Rounds in which the broker did not take a message."""

    @property
    def is_open(self) -> bool:
        """Whether a channel is open."""
        return self._opened.is_set()

    async def wait_until_open(self) -> None:
        """Return when a channel is open."""
        await self._opened.wait()

    async def serve(self, session: Session) -> None:
        """Keep a channel open on this connection."""
        self._session = session
        try:
            while True:
                channel = ConfirmChannel(session, await session.channel(confirms=True))
                self._known_exchanges = {""}
                self._channel = channel
                self._opened.set()
                raise_swallowed_cancel()
                await asyncio.wait([channel.closing])
                self._opened.clear()
                if session.underlay.is_closed:
                    return
                log.warning("publish_channel_closed", cause=why_closed(channel.closing))
        finally:
            self._opened.clear()
            self._channel = self._session = None

    async def publish(self, publications: Sequence[Publication], *, is_patient: bool = True) -> None:
        """Return when the broker has confirmed all of them and routed the mandatory ones to a queue.

        Raises `PublishRefused` for what the broker refuses when it is not to be patient about that.
        """
        waiting, refusals = publications, 0
        while waiting:
            await self._opened.wait()
            try:
                waiting, refused = await self._send(waiting)
            except CONNECTION_ERRORS as error:
                log.debug("publish_again", cause=str(error))
                await asyncio.sleep(0)  # `serve` has yet to see that the channel has closed
                continue
            if refused is not None:
                if not is_patient:
                    raise refused
                pause = back_off(refusals, longest=LONGEST_PAUSE_SECONDS)
                refusals += 1
                self.refusals += 1
                log.error(
                    "publish_refused",
                    exchange=waiting[0].exchange,
                    routing_key=waiting[0].routing_key,
                    cause=str(refused),
                    consequence="the message waits in the broker",
                    retry_in_seconds=round(pause, 1),
                )
                await asyncio.sleep(pause)

    async def _send(self, publications: Sequence[Publication]) -> tuple[Sequence[Publication], PublishRefused | None]:
        """Send each; return those that are not with the broker, and why the first was refused."""
        left: list[Publication] = []
        refused: PublishRefused | None = None
        rest = iter(publications)
        while window := list(islice(rest, WINDOW)):
            for publication, error in await self._send_window(window):
                left.append(publication)
                if isinstance(error, PublishRefused):
                    refused = refused or error
        return left, refused

    async def _send_window(self, window: list[Publication]) -> list[tuple[Publication, BrokerError]]:
        for exchange in {publication.exchange for publication in window} - self._known_exchanges:
            try:
                await self._check_exchange(exchange)
            except PublishRefused as error:
                return [(publication, error) for publication in window]
        channel = self._channel
        if channel is None:
            raise ChannelLost("no channel")
        sent = time.perf_counter()
        confirms = [(publication, channel.send(publication)) for publication in window]
        failed: list[tuple[Publication, BrokerError]] = []
        for publication, confirm in confirms:
            try:
                await confirm
            except aiormq.exceptions.DeliveryError as error:
                failed.append((publication, PublishRefused(_reason(error))))
            except ChannelLost as error:
                failed.append((publication, error))
            else:
                self.confirm_seconds.observe(time.perf_counter() - sent)
        return failed

    async def _check_exchange(self, exchange: str) -> None:
        """Publishing to a missing exchange would close the channel under all other messages."""
        if self._session is None:
            raise ChannelLost("no connection")
        channel = await self._session.channel()
        try:
            await channel.exchange_declare(exchange, passive=True, timeout=DECLARE_SECONDS)
            self._known_exchanges.add(exchange)
        except aiormq.exceptions.ChannelNotFoundEntity:
            raise PublishRefused(f"exchange {exchange} does not exist") from None
        finally:
            await channel.close()


def _reason(error: aiormq.exceptions.DeliveryError) -> str:
    frame = error.frame
    if isinstance(frame, aiormq.spec.Basic.Return):
        return f"returned: {frame.reply_text} (no queue is bound)"
    return "refused by the broker (negative confirm: queue full, or its leader is away)"
