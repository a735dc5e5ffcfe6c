"""The stage of nodes with `deduplicate`: it lets one message of a key through within the window."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar
from uuid import uuid4

import structlog

from worker.deduplication.marks import Mark, Marks, Taken
from worker.errors import StoreError
from worker.patience import Patience
from worker.pipeline.decisions import Decided, DoneBefore, Way
from worker.protocol import headers as h
from worker.protocol.keys import NO_KEY
from worker.protocol.message import Visit
from worker.protocol.topology import Deduplicate
from worker.runs.run import MessageState

log = structlog.get_logger()

Value = TypeVar("Value")


class Deduplication:
    """Claims the key of each message.

    It is the message's from its first delivery, so a redelivery is no duplicate. It is confirmed when the message is
    done, and given up when it goes to the trash or its run is cancelled.
    """

    def __init__(self, rule: Deduplicate, marks: Marks, patience: Patience, dropped: Way) -> None:
        """`dropped` is the way of a duplicate."""
        self._rule = rule
        self._marks = marks
        self._patience = patience
        self._dropped = dropped

    async def stage(self, visit: Visit, call_next: Way) -> Decided:
        """Let the message go its way, or drop it.

        A message without a key is never a duplicate, nor is one that a person sends on.
        """
        key = self._rule.by.of(visit.headers, visit.body)
        if key == NO_KEY or visit.headers.text(h.USER_TASK_STATE):
            return await call_next(visit)
        visit = _named(visit)
        mark = self._mark(key, visit)
        takes_over = visit.delivery.timestamp is None and visit.delivery.deliveries > 1
        match await self._until_answered(partial(self._marks.take, mark, takes_over=takes_over)):
            case Taken.DUPLICATE:
                log.info("message_duplicate", key=self._rule.by.text)
                return await self._dropped(visit)
            case Taken.DONE:
                log.info("message_done_before", consequence="acknowledged")
                return Decided(visit, DoneBefore())
        decided = await call_next(visit)
        await self._settle(mark, decided)
        return decided

    async def _settle(self, mark: Mark, decided: Decided) -> None:
        """Confirm or give up the key, unless the message, or a further page of it, is still on its way."""
        if decided.state is None:
            return
        if decided.state is not MessageState.OK:
            await self._until_answered(partial(self._marks.release, mark))
        elif decided.settlement is None or decided.settlement.next_page is None:
            await self._until_answered(partial(self._marks.confirm, mark))

    async def _until_answered(self, call: Callable[[], Awaitable[Value]]) -> Value:
        return await self._patience.until_answered(call, errors=StoreError, told=_away)

    def _mark(self, key: str, visit: Visit) -> Mark:
        process = visit.headers.text(h.PROCESS_ID)
        node, seconds = visit.node.id, self._rule.seconds
        return Mark.of(node=node, key=key, process=process, timestamp=visit.timestamp, seconds=seconds)


def _named(visit: Visit) -> Visit:
    """Return the message with a process id, where it has neither that nor a `published-timestamp`.

    It comes back with a timestamp when it is parked or paged, and takes this id along. Delivered again as it came it
    cannot be told from others, so it takes over what is not done: that may be its own.
    """
    if visit.delivery.timestamp is not None or visit.headers.text(h.PROCESS_ID):
        return visit
    return visit.having({**visit.headers, h.PROCESS_ID: str(uuid4())})


def _away(error: Exception, seconds: float) -> None:
    log.error(
        "deduplication_away",
        cause=str(error),
        consequence="the message waits in the broker",
        retry_in_seconds=round(seconds, 1),
    )
