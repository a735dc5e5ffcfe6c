"""An entry: a message that waits for a person, and what has become of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4, uuid5

ID_LENGTH = 24
"""Ids are 24 hexadecimal digits, so that MongoDB can use them as they are."""

LAST_MS = 253_402_300_799_999
"""The end of the year 9999, after which Python and the databases know no time."""

_ENTRIES = UUID("e2ff1d0c-3cf2-5d0a-8f54-6dd3b6a2a1f4")


class EntryType(StrEnum):
    """Why a person has to decide."""

    TRASH = "trash"
    USER_TASK = "userTask"


class EntryState(StrEnum):
    """Where an entry stands."""

    WAITING = "waiting"
    CLAIMED = "claimed"
    """Somebody is deciding at this moment."""
    APPROVED = "approved"
    REJECTED = "rejected"


OPEN = frozenset({EntryState.WAITING, EntryState.CLAIMED})
DECIDED = frozenset({EntryState.APPROVED, EntryState.REJECTED})


@dataclass(frozen=True, slots=True)
class Entry:
    """A message that waits for a person."""

    id: str
    type: EntryType
    node_id: str
    node_name: str
    topology_id: str
    topology_name: str
    correlation_id: str
    user: str | None
    reason: str | None
    return_exchange: str
    return_routing_key: str
    headers: Mapping[str, Any]
    body: str | None
    """None for a message that could not be read, until somebody has mended it."""
    raw: bytes | None
    """The bytes of a message that could not be read."""
    created: int
    """ms since the epoch."""
    application: str = ""
    """The application of the node."""
    state: EntryState = EntryState.WAITING
    updated: int = 0
    """ms since the epoch; when it was kept, edited, claimed or decided."""
    changed_by: str | None = None
    """Who claimed or decided it."""
    original_body: str | None = None
    """The body as it came, once somebody has edited it."""
    edited: int | None = None
    """ms since the epoch."""
    edited_by: str | None = None
    more: int = 0
    """Equal messages that came later and were only counted."""
    twin: str | None = None
    """The same for copies of a message that was published again, whose `published-timestamp` is another one."""

    @property
    def is_readable(self) -> bool:
        """Whether it can be sent back to its node."""
        return self.body is not None

    @property
    def text(self) -> str:
        """The body, or the text of an unreadable message with bytes that are no UTF-8 escaped."""
        return (self.raw or b"").decode("utf-8", "backslashreplace") if self.body is None else self.body

    @property
    def content(self) -> bytes:
        """The body as bytes, or those of the message that could not be read."""
        return (self.raw or b"") if self.body is None else self.body.encode()

    def document(self) -> dict[str, Any]:
        """Return the entry in the platform's spelling, for `--json`."""
        return {
            "id": self.id,
            "type": self.type.value,
            "state": self.state.value,
            "nodeId": self.node_id,
            "nodeName": self.node_name,
            "topologyId": self.topology_id,
            "topologyName": self.topology_name,
            "application": self.application,
            "correlationId": self.correlation_id,
            "user": self.user,
            "reason": self.reason,
            "created": self.created,
            "updated": self.updated,
            "changedBy": self.changed_by,
            "edited": self.edited,
            "editedBy": self.edited_by,
            "originalBody": self.original_body,
            "more": self.more,
            "isReadable": self.is_readable,
            "returnExchange": self.return_exchange,
            "returnRoutingKey": self.return_routing_key,
            "message": {"body": self.text, "headers": dict(self.headers)},
        }


def entry_id(*parts: str | bytes) -> str:
    """Return an id derived from what makes a message at a node unique, so that a redelivery adds no second entry."""
    return short_id(str(uuid5(_ENTRIES, _digest(parts))))


def _digest(parts: Sequence[str | bytes]) -> str:
    return sha256(b"\x1f".join(part if isinstance(part, bytes) else part.encode() for part in parts)).hexdigest()


def twin_of(*parts: str | bytes) -> str:
    """Return what the copies of one message have in common."""
    return _digest(parts)[:32]


def unknown_id() -> str:
    """Return what stands for the identity of a message that says none.

    Another one each time: an equal message may be a redelivery or a second one, and two entries are better than none.
    """
    return uuid4().hex


def short_id(reference: str) -> str:
    """Return an id, or the beginning of one, as it is stored. The UUIDs of earlier versions still find their entry."""
    return reference.replace("-", "").lower()[:ID_LENGTH]


def flood_key(node_id: str, correlation_id: str, reason: str | None) -> str:
    """Return what equal entries have in common. A digest: a reason may be longer than an index allows."""
    parts = "\x1f".join((node_id, correlation_id, reason or ""))
    return sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()[:32]
