"""What entries somebody looks for."""

from dataclasses import dataclass

from worker.trash.entry import OPEN, EntryState, EntryType


@dataclass(frozen=True, slots=True)
class Search:
    """All of these have to fit; what is empty fits everything."""

    nodes: tuple[str, ...] = ()
    """Ids or names."""
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
