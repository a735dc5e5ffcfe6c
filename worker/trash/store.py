"""What every store of the trash promises. One contract suite runs over all of them."""

import os
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from getpass import getuser
from typing import Protocol
from uuid import uuid4

from worker.errors import StoreError
from worker.protocol.message import now_ms
from worker.trash.entry import OPEN, Entry, EntryState, EntryType

STORE_ERRORS = (StoreError, OSError)
"""What a store that is away raises; `OSError` covers a time that is up as well."""

CLAIM_MS = 5 * 60 * 1000
"""A claim that is older was left behind by a process that died; others may take its entries."""

CHUNK = 100
"""Entries loaded, claimed or decided together: what bounds the memory."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to decide entries, for `CLAIM_MS`."""

    token: str
    by: str
    at: int
    """ms since the epoch."""

    @classmethod
    def now(cls) -> "Claim":
        """Return a new claim of this process."""
        return cls(uuid4().hex, whoami(), now_ms())

    @property
    def stale(self) -> int:
        """Claims made before this time may be taken over."""
        return self.at - CLAIM_MS


@dataclass(frozen=True, slots=True)
class Search:
    """All of these have to fit; what is empty fits everything."""

    nodes: tuple[str, ...] = ()
    """Ids or names."""
    topology: str = ""
    """Id or name."""
    process: str = ""
    """Correlation id."""
    user: str = ""
    application: str = ""
    reason: str = ""
    """Text that the reason contains, in upper or lower case."""
    type: EntryType | None = None
    created_before: int | None = None
    """ms since the epoch; so the next two."""
    created_after: int | None = None
    updated_before: int | None = None
    states: frozenset[EntryState] = OPEN


WAITING = Search(states=frozenset({EntryState.WAITING}))


class TrashStore(Protocol):
    """Keeps the trash and the user tasks. All methods raise `STORE_ERRORS` while the store is away."""

    flood_limit: int
    """How many equal open entries are stored in full, 0: all. It holds from the next entry on."""

    async def add(self, entry: Entry) -> str:
        """Keep a message, and return the id under which it is found.

        One that is there already stays as it is. When as many equal entries as the flood limit allows are open, the
        message is only counted, on the oldest of them, whose id is returned.
        """

    async def put(self, entry: Entry) -> bool:
        """Keep an entry as it is, with its state, flood or not; False when one with its id is there."""

    async def ids(self, search: Search) -> Sequence[str]:
        """Return the ids of the entries that fit, oldest first."""

    async def load(self, ids: Sequence[str]) -> Sequence[Entry]:
        """Return the entries with these ids, in this order; those that are gone are left out."""

    async def get(self, reference: str) -> Entry | None:
        """Return an entry by its id or the beginning of it, when that is unique."""

    async def edit(self, entry: Entry, body: str, by: str, headers: Mapping[str, object] | None = None) -> bool:
        """Give a waiting entry another body (and headers); False when somebody has changed it since it was read."""

    async def claim(self, ids: Sequence[str], claim: Claim) -> Sequence[Entry]:
        """Take waiting entries, and those of claims left behind; return those that are ours now and nobody else's."""

    async def release(self, ids: Sequence[str], claim: Claim) -> None:
        """Let entries of this claim wait again."""

    async def decide(self, ids: Sequence[str], claim: Claim, state: EntryState) -> int:
        """Move entries of this claim to this state; return how many were still ours."""

    async def purge(self, ids: Sequence[str]) -> int:
        """Delete entries for good, unless they are claimed; return how many."""

    async def waiting(self) -> Sequence[Entry]:
        """Return the entries that nobody has decided, oldest first."""

    async def clock(self) -> datetime:
        """Return the store's own time; nothing is created or changed there."""

    async def close(self) -> None:
        """Close the connections."""


async def entries(store: TrashStore, ids: Sequence[str]) -> AsyncIterator[Entry]:
    """Yield the entries with these ids, loaded a chunk at a time."""
    for chunk in chunks(ids):
        for entry in await store.load(chunk):
            yield entry


def chunks(ids: Sequence[str]) -> list[Sequence[str]]:
    """Return the ids in pieces of `CHUNK`."""
    return [ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK)]


async def load_waiting(store: TrashStore) -> Sequence[Entry]:
    """Return the entries that nobody has decided, oldest first."""
    return [entry async for entry in entries(store, await store.ids(WAITING))]


def whoami() -> str:
    """Return who decides: person, host and process."""
    try:
        person = getuser()
    except (KeyError, OSError):  # an account without a name, as containers have it
        person = str(os.getuid())
    return f"{person}@{socket.gethostname()}:{os.getpid()}"
