"""Following one run by what its nodes report to the counter (standalone mode)."""

import asyncio
import json
from collections.abc import Callable

import aiormq

from worker.broker.link import Session
from worker.broker.objects import COUNTER_EXCHANGE, RPC_SECONDS, Declarations

QUIET_SECONDS = 1.0
"""A run counts as finished when this long nothing has been reported: a follower may report before its parent."""


class RunWatch:
    """Counts the reports of one run. `serve` it on a connection before the run starts."""

    def __init__(self, correlation_id: str, on_change: Callable[["RunWatch"], None]) -> None:
        self.total = 1
        self.succeeded = 0
        self.failed = 0
        self._correlation_id = correlation_id
        self._on_change = on_change
        self._reported = asyncio.Event()
        self.is_watching = asyncio.Event()

    async def serve(self, session: Session) -> None:
        """Receive the reports until the connection is lost."""
        declarations = Declarations(session)
        await declarations.exchange(COUNTER_EXCHANGE, "topic")
        channel = await session.channel()
        queue = (await channel.queue_declare(exclusive=True, timeout=RPC_SECONDS)).queue or ""
        await channel.queue_bind(queue, COUNTER_EXCHANGE, routing_key=self._correlation_id, timeout=RPC_SECONDS)
        await channel.basic_consume(queue, self._on_report, no_ack=True, timeout=RPC_SECONDS)
        self.is_watching.set()
        await asyncio.wait([channel.closing])

    async def wait(self) -> None:
        """Return when as many messages have ended as there are."""
        while True:
            self._reported.clear()
            if self.succeeded + self.failed < self.total:
                await self._reported.wait()
                continue
            try:
                async with asyncio.timeout(QUIET_SECONDS):
                    await self._reported.wait()
            except TimeoutError:
                return

    async def _on_report(self, message: aiormq.abc.DeliveredMessage) -> None:
        report = json.loads(json.loads(message.body)["body"])
        self.total += report["following"]
        if report["success"]:
            self.succeeded += 1
        else:
            self.failed += 1
        self._on_change(self)
        self._reported.set()
