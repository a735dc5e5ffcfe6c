"""The first message of a run: whatever starts one builds its headers here."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from uuid import uuid4

from connectors.topologies import Start
from worker.protocol import headers as h
from worker.protocol.identity import child_id
from worker.protocol.message import now_ms
from worker.protocol.topology import Node

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class RunIds:
    """Ids of a new run. Derived from what starts it, they make a second start the same run."""

    correlation_id: str
    process_id: str
    """The id of its first message."""


def random_ids() -> RunIds:
    """Return the ids of a run that nothing starts twice."""
    return RunIds(str(uuid4()), str(uuid4()))


def derived_ids(start: Start, node: Node) -> RunIds:
    """Return the ids of the run that an action starts at this node, or a method of an application."""
    by = start.by
    if h.PROCESS_ID not in by:
        return random_ids()
    run = child_id(h.text(by.get(h.PROCESS_ID)), h.text(by.get(h.NODE_ID)), node.id, start.body, 0)
    return RunIds(run, child_id(run, node.topology_id, node.id, "", 0))


def start_headers(ids: RunIds, node: Node | None, user: str | None, extra: Mapping[str, Any] = _NOTHING) -> h.Headers:
    """Return the headers of a run's first message; those in `extra` win.

    `node` is where it starts, if its topology is known here.
    """
    headers: h.Headers = {
        h.CORRELATION_ID: ids.correlation_id,
        h.PROCESS_ID: ids.process_id,
        h.PARENT_ID: "",
        h.CONTENT_TYPE: "application/json",
        h.PROCESS_STARTED: now_ms(),
    }
    if node is not None:
        headers |= {h.TOPOLOGY_ID: node.topology_id, h.TOPOLOGY_NAME: node.topology_name}
    if user is not None:
        headers[h.USER] = user
    headers.update(extra)
    return headers
