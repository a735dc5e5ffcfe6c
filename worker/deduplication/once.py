"""The wrapper around the handling of a message at a node with `deduplicate`."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from worker import headers as h
from worker.deduplication.marks import Mark, Marks, Taken
from worker.errors import StoreError
from worker.keys import NO_KEY
from worker.settle import Duplicate
from worker.topology import Deduplicate
from worker.visit import Visit

log = structlog.get_logger()

LONGEST_PAUSE_SECONDS = 30

Value = TypeVar("Value")


class Once:
    """Lets one message of a key through within the window.

    The key is the message's from its first delivery, so a redelivery is no duplicate; it is confirmed when the message
    is done, and given up when it goes to the trash.
    """

    def __init__(self, marks: Marks, pause: Callable[[float], Awaitable[None]]) -> None:
        """`pause` raises `HandBack` when the worker stops."""
        self._marks = marks
        self._pause = pause

    async def handle(
        self,
        rule: Deduplicate,
        visit: Visit,
        timestamp: int | None,
        *,
        handle: Callable[[], Awaitable[bool | None]],
        drop: Callable[[Duplicate], Awaitable[object]],
    ) -> None:
        """Handle the message, or drop it as a duplicate.

        `handle` returns whether the message ended well, None when it is still on its way. A message without a key
        is never a duplicate, nor is one that a person sends on.
        """
        key = rule.by.of(visit.headers, visit.body)
        if key == NO_KEY or visit.header(h.USER_TASK_STATE):
            await handle()
            return
        process = visit.header(h.PROCESS_ID)
        mark = Mark.of(node=visit.node.id, key=key, process=process, timestamp=timestamp, seconds=rule.seconds)
        match await self._until_answered(lambda: self._marks.take(mark)):
            case Taken.OURS:
                await self._settle(mark, await handle())
            case Taken.DUPLICATE:
                log.info("message_duplicate", key=rule.by.text)
                await drop(Duplicate(f"duplicate: another message with the same {rule.by.text} came before"))
            case Taken.DONE:
                log.info("message_done_before", consequence="acknowledged")

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
