"""Decisions about entries that cannot be sent any more."""

from dataclasses import replace
from pathlib import Path

from support.entries import ENTRY, numbered
from support.handled import Read
from support.odd import nested

from worker.protocol.message import DEEPEST_HEADERS
from worker.trash.deciding import Decider
from worker.trash.entry import EntryState
from worker.trash.opening import open_trash


async def test_an_entry_whose_headers_are_too_deep_waits_again_and_others_go_on(tmp_path: Path) -> None:
    store, outlet = open_trash(f"sqlite:///{tmp_path}/trash.sqlite"), Read()
    deep = replace(ENTRY, headers={"own": nested(DEEPEST_HEADERS + 1)})
    other = numbered(1)
    for entry in (deep, other):
        await store.put(entry)
    decider = Decider(store, outlet)
    await decider.decide([deep.id, other.id], EntryState.APPROVED)
    assert decider.tally.decided == [other.id]
    assert decider.tally.refused == {deep.id: "header [own] is nested deeper than 64 levels"}
    assert [entry.id for entry in await store.waiting()] == [deep.id]
    await store.close()
