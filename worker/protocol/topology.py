"""The topology file (version 2): which nodes there are, what they do and who follows."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from connectors.kind import Kind
from worker.errors import TopologyError
from worker.protocol.keys import Key

ROUTING_KEY = "1"
"""Key of everything that goes to a node's exchange, and of the binding of its queue."""

RESERVED_ENDINGS = (".limit", ".order", ".order.workers")
"""No node id ends so: what a worker declares for the node `x` would be found by the node `x.limit` or `x.order`."""


class Role(StrEnum):
    """What a node does with a message."""

    PASS_ON = "pass-on"  # noqa: S105 - no password
    CONNECTOR = "connector"
    CUSTOM_NODE = "custom-node"
    BATCH = "batch"
    USER_TASK = "user-task"


LIMITED_ROLES = frozenset({Role.CONNECTOR, Role.BATCH})


_ACTION_PATH = re.compile(
    r"/?(?:call/(?P<sdk>[^/]+)/)?(?P<kind>connector|custom-node|batch)/(?P<name>[^/]+)/(?:action|process)"
)
"""Behind a tunnel a service is called at `/call/{sdk}/{path}`."""


def exchange_of(node_id: str) -> str:
    """Name the exchange of a node."""
    return f"node.{node_id}.hx"


@dataclass(frozen=True, slots=True)
class Follower:
    """A node that gets this node's messages; it need not be in the same file."""

    id: str
    name: str
    exchange: str = field(init=False, repr=False)
    """The exchange to publish to."""

    def __post_init__(self) -> None:
        """Name the exchange once, not for each message."""
        object.__setattr__(self, "exchange", exchange_of(self.id))


@dataclass(frozen=True, slots=True)
class Repeater:
    """A node's own repeat settings; they win over what the action says."""

    interval_seconds: int
    max_hops: int


@dataclass(frozen=True, slots=True)
class Deduplicate:
    """Of messages with the same key, those that come within the window after the first are dropped."""

    by: Key
    seconds: float


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the topology."""

    id: str
    name: str
    topology_id: str
    topology_name: str
    role: Role
    application: str
    url: str
    action_path: str
    timeout_seconds: float
    prefetch: int
    headers: Mapping[str, str]
    followers: tuple[Follower, ...]
    repeater: Repeater | None
    stamp: Mapping[str, str]
    """The headers that every consumed message gets."""
    order_by: Key | None = None
    """Messages with the same key keep their order."""
    repeat_holds_line: bool = False
    """Whether a repeated message waits in its place; else those behind it pass."""
    deduplicate: Deduplicate | None = None
    configuration: Mapping[str, Any] = field(default_factory=dict)
    """What the node says to its action."""
    place: str = ""
    """Where the node stands: file and place in it, for errors."""
    is_elsewhere: bool = False
    """Whether its action is another service's, even if an action of this name is here."""
    is_here: bool = False
    """Whether the service that has its action is known to be this process."""

    @property
    def exchange(self) -> str:
        """The node's exchange."""
        return exchange_of(self.id)

    @property
    def queue(self) -> str:
        """The node's queue."""
        return f"node.{self.id}.1"

    @property
    def return_queue(self) -> str:
        """The queue of messages that come back from waiting for a limit."""
        return f"node.{self.id}.limit"

    @property
    def is_limitable(self) -> bool:
        """Whether limits can hold for its calls."""
        return bool(self.application) and self.role in LIMITED_ROLES

    @property
    def has_return_queue(self) -> bool:
        """Whether messages that waited for a limit come back beside the node's queue; where order counts, into it."""
        return self.is_limitable and self.prefetch > 1 and self.order_by is None

    @property
    def action(self) -> tuple[Kind, str] | None:
        """Kind and name of the action, when the path names one in the platform's way, and it may be here."""
        found = None if self.is_elsewhere else _ACTION_PATH.fullmatch(self.action_path)
        return (Kind(found["kind"]), found["name"]) if found else None

    @property
    def services(self) -> frozenset[str]:
        """The names by which the node knows the service that has its action: those of its `sdk`, and its address."""
        found = _ACTION_PATH.fullmatch(self.action_path)
        named = (self.headers.get("sdk"), found and found["sdk"], urlsplit(self.url).netloc)
        return frozenset(name for name in named if name)

    def follower(self, reference: str) -> Follower | None:
        """Find a follower by id, name or the old form `pipes.{topology}.{node}`."""
        wanted = reference.rsplit(".", 1)[-1] if reference.startswith("pipes.") else reference
        return next((f for f in self.followers if wanted in {f.id, f.name}), None)


@dataclass(frozen=True, slots=True)
class Topology:
    """A checked topology file."""

    id: str
    name: str
    nodes: tuple[Node, ...]
    amqp_url: str | None
    guesses: Mapping[str, Sequence[str]] = field(default_factory=dict, compare=False)
    """What was `guessed` of a file of the editor, and what was `dropped`; empty for a `topology.json`."""

    def select(self, references: tuple[str, ...]) -> tuple[Node, ...]:
        """Return the nodes with these ids or names, or all when there are none. Raises `TopologyError`."""
        known = {key for node in self.nodes for key in (node.id, node.name)}
        if unknown := [reference for reference in references if reference not in known]:
            raise TopologyError(f"WORKER_NODES names {', '.join(unknown)}, but the topology has only: {self._names()}")
        chosen = set(references)
        return tuple(node for node in self.nodes if not chosen or node.id in chosen or node.name in chosen)

    def served_by(self, services: tuple[str, ...]) -> "Topology":
        """Return it as a process sees it that has the actions of these services only; of none: of any."""
        if not services:
            return self
        ours = frozenset(services)
        return replace(self, nodes=tuple(_served(node, ours) for node in self.nodes))

    def node(self, reference: str) -> Node:
        """Return the node with this id or name. Raises `TopologyError` that lists the nodes."""
        for node in self.nodes:
            if reference in {node.id, node.name}:
                return node
        raise TopologyError(f"there is no node {reference}; the topology has: {self._names()}")

    def _names(self) -> str:
        return ", ".join(f"{node.name} ({node.id})" for node in self.nodes)


def _served(node: Node, ours: frozenset[str]) -> Node:
    is_named = bool(node.services)
    is_ours = not node.services.isdisjoint(ours)
    return replace(node, is_elsewhere=is_named and not is_ours, is_here=is_ours)
