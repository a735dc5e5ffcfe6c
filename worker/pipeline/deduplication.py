"""The wrapper around the handling of a message at a node with `deduplicate`."""

from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import uuid4

import structlog

from worker.deduplication.marks import Mark, Marks, Taken
from worker.errors import StoreError
from worker.pipeline.decisions import Duplicate
from worker.protocol import headers as h
from worker.protocol.keys import NO_KEY
from worker.protocol.message import Visit
from worker.protocol.topology import Deduplicate
from worker.protocol.transport import Delivery

log = structlog.get_logger()

LONGEST_PAUSE_SECONDS = 30

Value = TypeVar("Value")


class Once:
    """Lets one message of a key through within the window.

    The key is the message's from its first delivery, so a redelivery is no duplicate; it is confirmed when the message
    is done, and given up when it goes to the trash or its run is cancelled.
    """

    def __init__(self, marks: Marks, pause: Callable[[float], Awaitable[None]]) -> None:
        """`pause` raises `HandBack` when the worker stops."""
        self._marks = marks
        self._pause = pause

    async def handle(
        self,
        rule: Deduplicate,
        visit: Visit,
        delivery: Delivery,
        *,
        handle: Callable[[], Awaitable[bool | None]],
        drop: Callable[[Duplicate], Awaitable[object]],
    ) -> Taken:
        """Handle the message, or drop it as a duplicate. Return whose the key was.

        `handle` returns whether the message ended well, None when it is still on its way. A message without a key
        is never a duplicate, nor is one that a person sends on.
        """
        key = rule.by.of(visit.headers, visit.body)
        if key == NO_KEY or visit.header(h.USER_TASK_STATE):
            await handle()
            return Taken.OURS
        is_undated = delivery.timestamp is None
        mark, takes_over = _mark(rule, key, visit, is_undated=is_undated), is_undated and delivery.deliveries > 1
        taken = await self._until_answered(lambda: self._marks.take(mark, takes_over=takes_over))
        match taken:
            case Taken.OURS:
                await self._settle(mark, await handle())
            case Taken.DUPLICATE:
                log.info("message_duplicate", key=rule.by.text)
                await drop(Duplicate(f"duplicate: another message with the same {rule.by.text} came before"))
            case Taken.DONE:
                log.info("message_done_before", consequence="acknowledged")
        return taken

    async def _settle(self, mark: Mark, is_success: bool | None) -> None:
        if is_success is not None:
            settle = self._marks.confirm if is_success else self._marks.release
            await self._until_answered(lambda: settle(mark))

    async def _until_answered(self, call: Callable[[], Awaitable[Value]]) -> Value:
        pause = 1
        while True:
            try:
                return await call()
            except StoreError as error:
                log.error(  # noqa: TRY400 - the place in our code explains nothing
                    "deduplication_away",
                    cause=str(error),
                    consequence="the message waits in the broker",
                    retry_in_seconds=pause,
                )
                await self._pause(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def _mark(rule: Deduplicate, key: str, visit: Visit, *, is_undated: bool) -> Mark:
    """Return the claim of the message.

    One without a `published-timestamp` comes back with one when it is parked or paged, and it takes the process id
    along that it may get here. Delivered again as it came it cannot be told from others, so it takes over what is not
    done: it may be its own.
    """
    if is_undated and not visit.header(h.PROCESS_ID):
        visit.headers[h.PROCESS_ID] = str(uuid4())
    process = visit.header(h.PROCESS_ID)
    return Mark.of(node=visit.node.id, key=key, process=process, timestamp=visit.timestamp, seconds=rule.seconds)
