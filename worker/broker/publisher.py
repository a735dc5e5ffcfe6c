"""Publishing: mandatory, confirmed, many in flight, over reconnects."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice

import aiormq
import structlog

from applications.pauses import back_off
from worker.broker.lanes import USUAL_BYTES, Lanes
from worker.broker.link import CONNECTION_ERRORS, Session, raise_swallowed_cancel
from worker.errors import ChannelLost, PublishRefused, QueueFull, Unpublishable
from worker.patience import Patience
from worker.prometheus import CONFIRM_SECONDS, Histogram
from worker.protocol.transport import Publication

log = structlog.get_logger()

WINDOW = 512
"""Messages of one call that may wait for their confirm at the same time."""

LONGEST_PAUSE_SECONDS = 30
Failed = list[tuple[Publication, ChannelLost | PublishRefused]]


class Publisher:
    """Publishes until the broker has it.

    Lost connections are waited out. Refusals (an exchange that is missing, internal or not ours to write to, no queue,
    a negative confirm) are logged and tried again with growing pauses: the caller's own message stays unacknowledged
    meanwhile, so it waits in the broker. Cancelling a `publish` gives up; messages already sent may arrive.
    """

    def __init__(self, patience: Patience | None = None) -> None:
        """The pauses after refusals end with `patience`."""
        self._patience = patience or Patience()
        self._lanes: Lanes | None = None
        self._opened = asyncio.Event()
        self.confirm_seconds = Histogram(CONFIRM_SECONDS)
        """From publishing to the broker's confirm."""
        self.refusals = 0
        """Rounds in which the broker did not take a message."""

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._opened.is_set()

    @property
    def refused(self) -> Mapping[str, str]:
        """Why the broker refuses messages, by exchange."""
        return self._lanes.refused if self._lanes else {}

    @property
    def is_refused(self) -> bool:
        """Whether the broker refuses messages by more than a full queue."""
        return self._lanes is not None and self._lanes.is_refused

    async def wait_until_open(self) -> None:
        """Return when messages can be sent."""
        await self._opened.wait()

    async def serve(self, session: Session) -> None:
        """Send messages on this connection."""
        lanes = Lanes(session)
        with suppress(Unpublishable):  # those that are too large are refused one by one
            await lanes.measure(USUAL_BYTES)
        self._lanes = lanes
        self._opened.set()
        session.has_begun = True
        try:
            raise_swallowed_cancel()
            await asyncio.wait([session.underlay.closing])
        finally:
            self._opened.clear()
            self._lanes = None

    async def publish(self, publications: Sequence[Publication], *, is_patient: bool = True) -> None:
        """Return when the broker has confirmed all of them and routed the mandatory ones to a queue.

        Raises `Unpublishable`, before anything is sent, for what the broker takes at no time. Raises `PublishRefused`
        for what it refuses when it is not to be patient about that, and `HandBack` when patience ends.
        """
        waiting, refusals = publications, 0
        while waiting:
            await self._opened.wait()
            try:
                waiting, refused = await self._send(waiting, is_told=is_patient)
            except CONNECTION_ERRORS as error:
                if isinstance(error, Unpublishable):
                    raise
                log.debug("publish_again", cause=str(error))
                await asyncio.sleep(0)  # `serve` has yet to see that the connection has closed
                continue
            if refused is not None:
                if not is_patient:
                    raise refused
                await self._wait(waiting[0], refused, refusals)
                refusals += 1

    async def _wait(self, publication: Publication, refused: PublishRefused, refusals: int) -> None:
        pause = back_off(refusals, longest=LONGEST_PAUSE_SECONDS)
        self.refusals += 1
        log.error(
            "publish_refused",
            exchange=publication.exchange,
            routing_key=publication.routing_key,
            cause=str(refused),
            consequence="the message waits in the broker",
            retry_in_seconds=round(pause, 1),
        )
        await self._patience.pause(pause)

    async def _send(
        self, publications: Sequence[Publication], *, is_told: bool
    ) -> tuple[Sequence[Publication], PublishRefused | None]:
        """Send each; return those that are not with the broker, the first refused one first, and why it was."""
        lanes = self._lanes
        if lanes is None:
            raise ChannelLost("no connection")
        largest = max(len(publication.body) for publication in publications)
        if largest > lanes.proven_bytes:
            await lanes.measure(largest)
        lost: list[Publication] = []
        refused: list[Publication] = []
        cause: PublishRefused | None = None
        rest = iter(publications)
        while window := list(islice(rest, WINDOW)):
            for publication, error in await self._send_window(window, lanes):
                if isinstance(error, PublishRefused):
                    cause = cause or error
                    refused.append(publication)
                    lanes.note_refusal(publication, error, is_told=is_told)
                else:
                    lost.append(publication)
        return refused + lost, cause

    async def _send_window(self, window: Sequence[Publication], lanes: Lanes) -> Failed:
        sent = time.perf_counter()
        confirms = []
        for publication in window:
            lane = lanes[publication.exchange]
            channel = lane.channel
            if channel is not None and channel.is_open:
                confirms.append((publication, lane, channel.send(publication)))
            else:
                confirms.append((publication, lane, await lanes.send_first(publication, lane)))
        failed: Failed = []
        for publication, lane, confirm in confirms:
            try:
                await confirm
            except aiormq.exceptions.DeliveryError as error:
                failed.append((publication, _refusal(error)))
            except (ChannelLost, PublishRefused) as error:
                failed.append((publication, error))
            else:
                lane.refused_for = ""
                self.confirm_seconds.observe(time.perf_counter() - sent)
        return failed


def _refusal(error: aiormq.exceptions.DeliveryError) -> PublishRefused:
    frame = error.frame
    if isinstance(frame, aiormq.spec.Basic.Return):
        return PublishRefused(f"returned: {frame.reply_text} (no queue is bound)")
    return QueueFull("refused by the broker (negative confirm: queue full, or its leader is away)")
