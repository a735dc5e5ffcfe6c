"""The demonstration, scene by scene: a run, its trash, its results."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass

import httpx
from rich.console import Console

from examples.demo import texts
from examples.demo.account import USER
from examples.demo.board import Board
from examples.demo.commands import Commands
from examples.demo.errors import DemonstrationFailed
from examples.demo.results import Results
from examples.demo.screen import Screen, print_facts, until
from examples.demo.service import BROKEN, WorldService
from worker.app.process import Worker
from worker.broker.publisher import Publisher
from worker.cli.broker import connected, publish
from worker.protocol import headers as h
from worker.protocol.message import encode
from worker.protocol.start import random_ids, start_headers
from worker.protocol.topology import ROUTING_KEY, Topology
from worker.protocol.transport import Publication
from worker.settings.settings import Settings

PATIENCE_SECONDS = 120
SHORT_ID = 8


@dataclass(frozen=True, slots=True)
class Story:
    """Tells the demonstration on a console, while a worker consumes the topology."""

    console: Console
    settings: Settings
    topology: Topology
    worker: Worker
    service: WorldService
    board: Board
    results: Results
    commands: Commands

    async def tell(self) -> Sequence[str]:
        """Tell all of it. Return what did not come out as it must."""
        failures = []
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._run()
                await self._decide()
                self._sum_up()
        except TimeoutError:
            failures.append(f"not finished after {PATIENCE_SECONDS} s")
        except DemonstrationFailed as failure:
            failures.append(str(failure))
        return [*failures, *self.results.problems(self.board, self.service)]

    async def _run(self) -> None:
        """Start a run and show it until all messages but the broken one have gone through."""
        self.console.print(texts.RUN)
        await until(lambda: self.worker.is_ready)
        self.board.begin()
        await start(self.settings, self.topology)
        screen = Screen(self.console, self.board, self.results.countries, self.results.latest)
        await screen.watch(lambda: self._has_settled(missing=1))

    async def _decide(self) -> None:
        """Show the broken one in the trash, repair the cause and send it on."""
        self.console.print(texts.TRASH)
        await self.commands.show("trash", "list")
        entries = json.loads(await self.commands.ask("trash", "list", "--json"))
        if len(entries) != 1:
            raise DemonstrationFailed(f"{len(entries)} messages are in the trash, not 1")
        self.console.print(texts.CAUSE)
        async with httpx.AsyncClient(base_url=self.service.url, trust_env=False) as client:
            (await client.post(f"/admin/repair/{BROKEN}")).raise_for_status()
        await self.commands.show("trash", "approve", entries[0]["id"][:SHORT_ID])
        await until(lambda: self._has_settled(missing=0))
        self.console.print(f"\nIt went through to the file: {self.results.latest()}")

    def _has_settled(self, *, missing: int) -> bool:
        """Whether all is done but for what is missing, or more has gone to the trash than must."""
        return self.results.are_complete(self.board, missing=missing) or self.board.total("trashed") > 1

    def _sum_up(self) -> None:
        self.results.save_tally(self.service)
        self.console.print("\n[bold]Results[/]")
        print_facts(self.console, self.results.facts(self.board, self.service))
        self.console.print(texts.NEXT)


async def start(settings: Settings, topology: Topology) -> None:
    """Send the message that starts a run, as `orchesty-worker start` does, with a user and a limit."""
    node, publisher = topology.node("start"), Publisher()
    headers = start_headers(random_ids(), node, USER, {h.LIMITER_KEY: texts.LIMITER_KEY})
    async with connected(settings, publisher.serve):
        await publish(publisher, [Publication(node.exchange, ROUTING_KEY, encode(headers, "{}"))])
