"""Topologies of a test's own: no two tests meet on the broker."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4


@dataclass(frozen=True)
class NodeEntry:
    """A node of a topology file; followers are named, and need not be in the file."""

    name: str
    followers: Sequence[str] = ()
    worker: str = "worker.null"
    application: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    is_consumed: bool = True
    """Whether the worker of the test consumes it; otherwise the test reads its queue."""


def pass_on(name: str, *followers: str, prefetch: int = 10) -> NodeEntry:
    """Return a node without an action."""
    return NodeEntry(name, followers, settings={"rabbitPrefetch": prefetch})


def custom_node(name: str, action: str, *followers: str, prefetch: int = 10, **settings: Any) -> NodeEntry:
    """Return a node with a custom node of this process."""
    own = {"actionPath": f"/custom-node/{action}/process", "rabbitPrefetch": prefetch, **settings}
    return NodeEntry(name, followers, "worker.custom_node", settings=own)


def connector(name: str, action: str, *followers: str, prefetch: int = 10, **settings: Any) -> NodeEntry:
    """Return a node with a connector."""
    own = {"actionPath": f"/connector/{action}/action", "rabbitPrefetch": prefetch, **settings}
    return NodeEntry(name, followers, "worker.http", settings=own)


def sink(name: str = "sink") -> NodeEntry:
    """Return a node whose queue the test reads itself."""
    return NodeEntry(name, is_consumed=False)


class TopologyFile:
    """A topology file whose node ids are its own."""

    def __init__(self, directory: Path, nodes: Sequence[NodeEntry]) -> None:
        self._token = uuid4().hex[:12]
        self.id = f"topology-{self._token}"
        self.names = {node.name for node in nodes} | {follower for node in nodes for follower in node.followers}
        self.consumed = tuple(node.name for node in nodes if node.is_consumed)
        self.path = directory / f"{self.id}.json"
        content = {"id": self.id, "name": "faults", "nodes": [self._entry(node) for node in nodes]}
        self.path.write_text(json.dumps(content))

    @property
    def state_url(self) -> str:
        """Return the URL of the database in which its runs are counted."""
        return f"sqlite:///{self.path.with_suffix('.state.sqlite')}"

    def node_id(self, name: str) -> str:
        """Return the id of a node or a follower."""
        return f"{name}-{self._token}"

    def queue(self, name: str) -> str:
        """Return the name of a node's queue."""
        return f"node.{self.node_id(name)}.1"

    def return_queue(self, name: str) -> str:
        """Return the name of the queue in which a node's limited messages come back."""
        return f"node.{self.node_id(name)}.limit"

    def exchange(self, name: str) -> str:
        """Return the name of a node's exchange."""
        return f"node.{self.node_id(name)}.hx"

    def _entry(self, node: NodeEntry) -> dict[str, Any]:
        return {
            "id": self.node_id(node.name),
            "name": node.name,
            "worker": node.worker,
            "application": node.application,
            "settings": dict(node.settings),
            "followers": [{"id": self.node_id(name), "name": name} for name in node.followers],
        }
