"""Approving and rejecting: claim, publish, and note the decision once the broker has confirmed.

Whoever claims an entry is the only one to publish it. A process that dies in between leaves its claim behind, and after
`CLAIM_MS` others may take it over: at most one chunk of entries, of which some may then arrive twice, with the
same process id. An entry is never lost.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from worker.protocol import headers as h
from worker.protocol.message import encode, now_ms
from worker.protocol.transport import Outlet, Publication
from worker.trash.entry import Entry, EntryState, EntryType
from worker.trash.store import CHUNK, CLAIM_MS, Claim, TrashStore, chunks

PATIENCE_SECONDS = 30
"""How long the broker may take for the messages of one chunk."""

NO_ANSWER = f"the broker did not answer within {PATIENCE_SECONDS} s"

FINISH_SECONDS = 5
"""How long confirms are waited for when the command is interrupted."""

USER_TASK_STATES = {EntryState.APPROVED: "accept", EntryState.REJECTED: "reject"}


@dataclass(slots=True)
class DecisionTally:
    """What became of the entries, by their ids."""

    decided: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    """Somebody else has decided them, or is about to."""
    unreadable: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """The broker did not take them, and why; they wait again."""
    untried: list[str] = field(default_factory=list)
    """Those left when the broker did not answer."""

    @property
    def handled(self) -> int:
        """How many are through."""
        return len(self.decided) + len(self.taken) + len(self.unreadable) + len(self.refused)


class Decider:
    """Carries decisions out. `publisher` may be None where nothing is to be published."""

    def __init__(self, store: TrashStore, publisher: Outlet | None) -> None:
        self._store = store
        self._publisher = publisher
        self.tally = DecisionTally()

    async def decide(
        self, ids: Sequence[str], state: EntryState, on_progress: Callable[[], None] = lambda: None
    ) -> None:
        """Approve or reject these entries, a chunk at a time. It gives up when the broker does not answer.

        A cancel waits for the confirms of what was sent, for `FINISH_SECONDS`; the rest waits again.
        """
        for number, chunk in enumerate(chunks(ids), 1):
            claim = Claim.now()
            await self._decide(chunk, await self._store.claim(chunk, claim), claim, state)
            on_progress()
            if NO_ANSWER in self.tally.refused.values():
                self.tally.untried += ids[number * CHUNK :]
                return

    async def _decide(self, chunk: Sequence[str], entries: Sequence[Entry], claim: Claim, state: EntryState) -> None:
        ours = {entry.id for entry in entries}
        self.tally.taken += [own for own in chunk if own not in ours]
        unreadable = [entry.id for entry in entries if state is EntryState.APPROVED and not entry.is_readable]
        self.tally.unreadable += unreadable
        await self._store.release(unreadable, claim)
        ready = [entry for entry in entries if entry.id not in set(unreadable)]
        silent = [entry.id for entry in ready if not is_published(entry, state)]
        await self._note(silent, claim, state)
        await self._publish([entry for entry in ready if is_published(entry, state)], claim, state)

    async def _publish(self, entries: Sequence[Entry], claim: Claim, state: EntryState) -> None:
        if not entries:
            return
        assert self._publisher is not None, "given where something is to be published"
        sending: dict[str, asyncio.Task[None]] = {}
        publish = partial(_publish, self._publisher, state)
        try:
            if now_ms() - claim.at < CLAIM_MS / 2:  # else we were asleep, and others may soon take over
                sending = {entry.id: asyncio.create_task(publish(entry)) for entry in entries}
                await asyncio.wait(sending.values(), timeout=PATIENCE_SECONDS)
        except asyncio.CancelledError:
            await asyncio.wait(sending.values(), timeout=FINISH_SECONDS)
            raise
        finally:
            await self._settle(entries, sending, claim, state)

    async def _settle(
        self, entries: Sequence[Entry], sending: dict[str, asyncio.Task[None]], claim: Claim, state: EntryState
    ) -> None:
        """Note what the broker has confirmed, and let the rest wait again."""
        refused = {entry.id: _refusal(sending.get(entry.id)) for entry in entries}
        for task in sending.values():
            task.cancel()
        await self._note([own for own, why in refused.items() if why is None], claim, state)
        left = {own: why for own, why in refused.items() if why is not None}
        await self._store.release(list(left), claim)
        self.tally.refused |= left

    async def _note(self, ids: Sequence[str], claim: Claim, state: EntryState) -> None:
        if ids:
            await self._store.decide(ids, claim, state)
            self.tally.decided += ids


def is_published(entry: Entry, state: EntryState) -> bool:
    """Whether the node hears of it. A rejected user task ends its process; a trashed message has ended it before."""
    return state is EntryState.APPROVED or entry.type is EntryType.USER_TASK


async def _publish(publisher: Outlet, state: EntryState, entry: Entry) -> None:
    """Raises `PublishRefused`, and `ValueError` for an entry of long ago with headers that are not sent any more."""
    headers = h.without(entry.headers, h.TRANSIENT) | {h.USER_TASK_STATE: USER_TASK_STATES[state]}
    message = Publication(entry.return_exchange, entry.return_routing_key, encode(headers, entry.body or ""))
    await publisher.publish([message], is_patient=False)


def _refusal(task: asyncio.Task[None] | None) -> str | None:
    """Return why the broker did not take a message; None when it did."""
    if task is None or not task.done():
        return NO_ANSWER
    error = task.exception()
    return None if error is None else str(error)
