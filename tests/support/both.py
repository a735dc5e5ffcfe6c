"""The same topology twice: in memory and on RabbitMQ."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from conftest import RunWorker

from connectors.action import Action
from support.queues import ProcessMessage, Queues
from support.topologies import TopologyFile
from support.waiting import eventually
from worker.testing import InMemoryTopology
from worker.trash.deciding import Decider
from worker.trash.entry import Entry, EntryState

SECONDS = 30


class Running(Protocol):
    """A topology that runs; nodes that are not consumed are sinks."""

    async def start(self, node: str, message: ProcessMessage) -> None:
        """Send a message to a node."""

    async def received(self, node: str, count: int) -> list[ProcessMessage]:
        """Return this many messages out of a sink."""

    async def waiting(self, count: int) -> Sequence[Entry]:
        """Return the entries of trash and user tasks, once there are so many."""

    async def decide(self, entry: Entry, state: EntryState) -> None:
        """Approve or reject an entry."""


class InMemory:
    """In memory."""

    def __init__(self, topology: TopologyFile, actions: Sequence[Action[Any, Any]]) -> None:
        self._taken: dict[str, int] = {}
        self.running = InMemoryTopology(topology.path, actions, nodes=topology.consumed)

    async def start(self, node: str, message: ProcessMessage) -> None:
        await self.running.start(node, body=message.body, headers=message.headers)

    async def received(self, node: str, count: int) -> list[ProcessMessage]:
        await self.running.run()
        first = self._taken.get(node, 0)
        messages = self.running.messages(node)[first:]
        assert len(messages) == count, messages
        self._taken[node] = first + count
        return [ProcessMessage(message.headers, message.body) for message in messages]

    async def waiting(self, count: int) -> Sequence[Entry]:
        await self.running.run()
        entries = [*await self.running.trash(), *await self.running.user_tasks()]
        assert len(entries) == count
        return entries

    async def decide(self, entry: Entry, state: EntryState) -> None:
        await (self.running.approve(entry) if state is EntryState.APPROVED else self.running.reject(entry))


class OnRabbitMQ:
    """On a real broker."""

    def __init__(self, topology: TopologyFile, queues: Queues) -> None:
        self._topology = topology
        self._queues = queues

    async def begin(self, run_worker: RunWorker, actions: Sequence[Action[Any, Any]]) -> None:
        """Start the worker; it counts no runs, as memory does not, so messages carry no step."""
        self._worker = (await run_worker(self._topology, *actions, process_state=False)).worker

    async def start(self, node: str, message: ProcessMessage) -> None:
        await self._queues.publish(self._topology.exchange(node), message)

    async def received(self, node: str, count: int) -> list[ProcessMessage]:
        return await self._queues.read(self._topology.queue(node), count, seconds=SECONDS)

    async def waiting(self, count: int) -> Sequence[Entry]:
        store = self._worker.handler.trash.store

        async def are_there() -> Sequence[Entry] | None:
            entries = await store.waiting()
            return entries if len(entries) == count else None

        return await eventually(are_there, seconds=SECONDS, what=f"{count} entries")

    async def decide(self, entry: Entry, state: EntryState) -> None:
        await Decider(self._worker.handler.trash.store, self._worker.parts.publisher).decide([entry.id], state)


def comparable(message: ProcessMessage) -> Mapping[str, Any]:
    """Return what must be the same wherever a topology runs: all headers, and the body as JSON."""
    return {"headers": dict(message.headers), "body": json.loads(message.body)}


def entry_facts(entry: Entry) -> Mapping[str, Any]:
    """Return what must be the same of an entry: all but its times, and the id that comes of them."""
    return {
        "type": entry.type,
        "node": entry.node_name,
        "reason": entry.reason,
        "headers": dict(entry.headers),
        "body": entry.text,
        "user": entry.user,
    }
