"""A topology as a person draws it in the editor, whichever of its two formats it is stored in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Position = tuple[int, int]


class Fate(StrEnum):
    """What became of something in a file."""

    GUESSED = "guessed"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Note:
    """Something in a file that was not simply taken."""

    fate: Fate
    text: str
    node: str = ""
    """The id of the node; empty for the whole file."""


@dataclass(frozen=True, slots=True)
class DrawnNode:
    """A node of the drawing."""

    id: str
    name: str
    kind: str
    """What the editor calls its type: `connector`, `start`, `gateway`."""
    application: str = ""
    service: str = ""
    """The registered name of the service that has its action."""
    host: str = ""
    """Where that service is, as the file says it: `worker:8080`."""
    cron: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """As in a topology file: `rabbitPrefetch`, `timeout`, `repeater`."""
    position: Position | None = None

    def __str__(self) -> str:
        """Name it as a person finds it in the editor."""
        return f"{self.name} ({self.id})" if self.name else self.id


@dataclass(frozen=True, slots=True)
class Drawing:
    """Nodes, what connects them, and what of the file is not in them."""

    nodes: Sequence[DrawnNode]
    connections: Sequence[tuple[str, str]]
    notes: Sequence[Note] = ()
