"""The trash and the user tasks: kept before the message is acknowledged, until a person decides.

`open_trash` chooses the store by its URL; importing this package loads no database driver.
"""

from worker.trash.entry import DECIDED, OPEN, Entry, EntryType, State, entry_id, flood_key, short_id, unknown_id
from worker.trash.opening import DEFAULT_FLOOD_LIMIT, check_url, open_trash
from worker.trash.search import WAITING, Search
from worker.trash.store import CHUNK, CLAIM_MS, STORE_ERRORS, Claim, TrashStore, chunks, entries, whoami

__all__ = [
    "CHUNK",
    "CLAIM_MS",
    "DECIDED",
    "DEFAULT_FLOOD_LIMIT",
    "OPEN",
    "STORE_ERRORS",
    "WAITING",
    "Claim",
    "Entry",
    "EntryType",
    "Search",
    "State",
    "TrashStore",
    "check_url",
    "chunks",
    "entries",
    "entry_id",
    "flood_key",
    "open_trash",
    "short_id",
    "unknown_id",
    "whoami",
]
