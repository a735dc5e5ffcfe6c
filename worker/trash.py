"""The trash and the user tasks: kept before the message is acknowledged, until a person decides."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import (
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.engine import RowMapping
from sqlalchemy.engine.url import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.schema import CreateIndex, CreateTable

from worker.visit import now_ms

STORE_ERRORS = (SQLAlchemyError, OSError)
"""What a store that is away raises."""

_ENTRIES = UUID("e2ff1d0c-3cf2-5d0a-8f54-6dd3b6a2a1f4")

_entries = Table(
    "trash",
    MetaData(),
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("type", String(10), nullable=False),
    Column("state", String(10), nullable=False),
    Column("node_id", String(100), nullable=False),
    Column("node_name", Text, nullable=False),
    Column("topology_id", String(100), nullable=False),
    Column("topology_name", Text, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("user", Text),
    Column("reason", Text),
    Column("return_exchange", Text, nullable=False),
    Column("return_routing_key", Text, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", Text),
    Column("raw", LargeBinary),
    Column("created", Integer, nullable=False),
    Column("updated", Integer, nullable=False),
    Index("trash_by_state", "state", "number"),
)


class EntryType(StrEnum):
    """Why a person has to decide."""

    TRASH = "trash"
    USER_TASK = "userTask"


class State(StrEnum):
    """Where an entry stands."""

    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"


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
    """None for a message that could not be read."""
    raw: bytes | None
    """The bytes of a message that could not be read."""
    created: int
    """ms since the epoch."""

    def document(self) -> dict[str, Any]:
        """Return the entry in the platform's spelling, for `trash list --json`.

        The body of an unreadable message is its text, with bytes that are no UTF-8 escaped.
        """
        body = self.body if self.raw is None else self.raw.decode("utf-8", "backslashreplace")
        return {
            "id": self.id,
            "type": self.type.value,
            "nodeId": self.node_id,
            "nodeName": self.node_name,
            "topologyId": self.topology_id,
            "topologyName": self.topology_name,
            "correlationId": self.correlation_id,
            "user": self.user,
            "reason": self.reason,
            "created": self.created,
            "returnExchange": self.return_exchange,
            "returnRoutingKey": self.return_routing_key,
            "message": {"body": body, "headers": dict(self.headers)},
        }


def entry_id(*parts: str | bytes) -> str:
    """Return an id derived from what makes a message at a node unique, so that a redelivery adds no second entry."""
    digest = sha256(b"\x1f".join(part if isinstance(part, bytes) else part.encode() for part in parts))
    return str(uuid5(_ENTRIES, digest.hexdigest()))


class TrashStore:
    """Entries in SQLite. Several processes may use the same file."""

    def __init__(self, url: str) -> None:
        """`url` is `sqlite:///relative/path` or `sqlite:////absolute/path`."""
        parsed = make_url(url).set(drivername="sqlite+aiosqlite")
        self._path = Path(parsed.database or "")
        self._engine = create_async_engine(parsed, connect_args={"timeout": 30})
        event.listen(self._engine.sync_engine, "connect", _prepare)
        self._is_ready = False

    async def add(self, entry: Entry) -> None:
        """Keep an entry; one with the same id is there already and stays as it is."""
        values = {name: getattr(entry, name) for name in entry.__dataclass_fields__ if name != "headers"}
        values |= {
            "headers": json.dumps(dict(entry.headers), default=str),
            "state": State.WAITING,
            "updated": entry.created,
        }
        await self._prepare()
        async with self._engine.begin() as connection:
            await connection.execute(insert(_entries).prefix_with("OR IGNORE"), values)

    async def waiting(self) -> Sequence[Entry]:
        """Return the entries that nobody has decided, oldest first."""
        await self._prepare()
        async with self._engine.connect() as connection:
            query = select(_entries).where(_entries.c.state == State.WAITING).order_by(_entries.c.number)
            return [_entry(row) for row in (await connection.execute(query)).mappings()]

    async def get(self, entry_id: str) -> Entry | None:
        """Return a waiting entry by its id or the beginning of it, when that is unique."""
        found = [entry for entry in await self.waiting() if entry.id.startswith(entry_id)]
        return found[0] if len(found) == 1 else None

    async def decide(self, entry: Entry, state: State) -> bool:
        """Move a waiting entry to this state; False when somebody else was faster."""
        await self._prepare()
        async with self._engine.begin() as connection:
            changed = await connection.execute(
                update(_entries)
                .where(_entries.c.id == entry.id, _entries.c.state == State.WAITING)
                .values(state=state, updated=now_ms())
            )
            return changed.rowcount == 1

    async def reopen(self, entry: Entry) -> None:
        """Take a decision back that could not be carried out."""
        async with self._engine.begin() as connection:
            await connection.execute(
                update(_entries).where(_entries.c.id == entry.id).values(state=State.WAITING, updated=now_ms())
            )

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()

    async def _prepare(self) -> None:
        if self._is_ready:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        async with self._engine.begin() as connection:
            await connection.execute(CreateTable(_entries, if_not_exists=True))
            for index in _entries.indexes:
                await connection.execute(CreateIndex(index, if_not_exists=True))
        self._is_ready = True


def _prepare(connection: Any, _: object) -> None:
    """Let readers and writers of several processes work side by side, and lose nothing on a power cut."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _entry(row: RowMapping) -> Entry:
    values = {name: row[name] for name in Entry.__dataclass_fields__}
    values |= {"type": EntryType(row["type"]), "headers": json.loads(row["headers"])}
    return Entry(**values)
