"""Starts other topologies for actions: by the platform's starting point, or by publishing to their first node."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import httpx

from connectors import RepeatLater, StopAndFail
from connectors.topologies import Start
from worker import headers as h
from worker.broker import Outlet, Publication
from worker.envelope import encode
from worker.errors import PublishRefused, TopologyError
from worker.topology import ROUTING_KEY, Node, Topology, load_topology
from worker.visit import now_ms

ANSWER_SECONDS = 30
AGAIN_AFTER = timedelta(seconds=30)
PREVIOUS_CORRELATION_ID = "previous-correlation-id"


class PlatformStarter:
    """Asks the platform's starting point."""

    def __init__(self, starting_point: str | None, api_key: str) -> None:
        self._base = starting_point
        self._key = api_key
        self._client: httpx.AsyncClient | None = None

    async def start(self, start: Start) -> None:
        """Call the starting point."""
        if self._base is None:
            raise StopAndFail(f"cannot start {start.topology}: STARTING_POINT_DSN names no starting point")
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False)
        previous = h.text(start.by.headers.get(h.CORRELATION_ID))
        sent = {"Orchesty-Api-Key": self._key, "Content-Type": "application/json", PREVIOUS_CORRELATION_ID: previous}
        url = f"http://{self._base}{_path(start)}"
        try:
            answer = await self._client.post(url, content=start.body.encode(), headers=sent)
        except httpx.TransportError as error:
            raise RepeatLater(AGAIN_AFTER, f"POST {url}: {type(error).__name__}: {error}", max_hops=100) from error
        if answer.is_server_error:
            raise RepeatLater(AGAIN_AFTER, f"POST {url} answered {answer.status_code}", max_hops=100)
        if not answer.is_success:
            raise StopAndFail(f"POST {url} answered {answer.status_code}: {answer.text[:200]}")

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()


class BrokerStarter:
    """Publishes to the first node. Names are looked up in the topology files beside the worker's own."""

    def __init__(self, own: Topology, folder: Path, publisher: Outlet) -> None:
        self._topologies: Sequence[Topology] = (own,)
        self._folder = folder
        self._publisher = publisher

    async def start(self, start: Start) -> None:
        """Publish; return when the broker has it."""
        node = _find(self._topologies, start)
        if node is None:
            self._topologies = (self._topologies[0], *await asyncio.to_thread(_read_all, self._folder))
            node = _find(self._topologies, start)
        if node is None:
            known = sorted({topology.name for topology in self._topologies})
            raise StopAndFail(
                f"there is no node {start.node!r} of a topology {start.topology!r}; the files in {self._folder} "
                f"have: {', '.join(known)}"
            )
        publication = Publication(node.exchange, ROUTING_KEY, encode(_headers(start, node), start.body))
        try:
            await self._publisher.publish((publication,), is_patient=False)
        except PublishRefused as error:
            reason = f"cannot start {start.topology}: {error}. Does a worker consume it?"
            raise RepeatLater(AGAIN_AFTER, reason, max_hops=100) from error

    async def close(self) -> None:
        """Nothing to close: the publisher is the worker's."""


def _path(start: Start) -> str:
    user = f"/user/{quote(start.user, safe='')}" if start.user else ""
    run = "run" if start.by_id else "run-by-name"
    return f"/topologies/{quote(start.topology, safe='')}/nodes/{quote(start.node, safe='')}{user}/{run}"


def _headers(start: Start, node: Node) -> h.Headers:
    """Return the headers of a new run. Its ids are derived, so that a replay has the same."""
    by = start.by.headers
    parent = h.text(by.get(h.PROCESS_ID))
    run = h.child_id(parent, h.text(by.get(h.NODE_ID)), node.id, start.body, 0)
    return {
        h.CORRELATION_ID: run,
        h.PROCESS_ID: h.child_id(run, node.topology_id, node.id, "", 0),
        h.PARENT_ID: "",
        PREVIOUS_CORRELATION_ID: h.text(by.get(h.CORRELATION_ID)),
        h.USER: start.user,
        "topology-name": node.topology_name,
        "process-started": now_ms(),
        "sequence-id": "1",
    } | ({h.SOURCE: by[h.SOURCE]} if h.SOURCE in by else {})


def _find(topologies: Sequence[Topology], start: Start) -> Node | None:
    """Find the node; of several topologies with the name, the worker's own comes first."""
    for topology in topologies:
        if start.topology != (topology.id if start.by_id else topology.name):
            continue
        for node in topology.nodes:
            if start.node == (node.id if start.by_id else node.name):
                return node
    return None


def _read_all(folder: Path) -> list[Topology]:
    """Read the topology files of a folder; what is no topology is another file's business."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(load_topology(path))
        except TopologyError:
            continue
    return found
