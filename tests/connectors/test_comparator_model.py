"""`comparator` beside a model: repeats, runs at once, drafts and invalidations in any order, over every store."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, rule, run_state_machine_as_test
from support.comparing import Compared
from support.databases import Databases

from worker.storage.opening import open_storage

IDS = st.integers(0, 4)
ITEMS = st.dictionaries(IDS, st.integers(0, 2), max_size=4)
Told = tuple[list[Any], list[Any], list[str]]


@dataclass
class Run:
    """What a run has seen since it began."""

    began: int
    seen: set[str] = field(default_factory=set)
    ended_by: str | None = None


@dataclass
class Sent:
    """A message, so that it can come again."""

    process: str
    run: str
    items: dict[str, int]
    options: dict[str, Any]


class Model:
    """What has to be told, in plain words: time is a number that grows with each step."""

    def __init__(self) -> None:
        self.time = 0
        self.items: dict[str, tuple[int, int]] = {}
        self.runs: dict[str, Run] = {}
        self.told: dict[str, Told] = {}
        self.enders: set[str] = set()
        self.drafts: dict[str, dict[str, int | None]] = {}

    def compare(self, sent: Sent) -> Told:
        """Return what the message is told; the same as before, if it was told before."""
        self.time += 1
        run = self._run(sent) if sent.options.get("deleted") else None
        if run is not None and run.ended_by is None:
            run.seen |= set(sent.items)
        if sent.process not in self.told:
            new = [own for own in sent.items if own not in self.items]
            other = [own for own, value in sent.items.items() if own in self.items and self.items[own][0] != value]
            self._keep(sent, {own: sent.items[own] for own in new + other})
            self.told[sent.process] = (new, other, self._deleted(sent, run))
        new, other, gone = self.told[sent.process]
        if run is not None and sent.process in self.enders:
            run.ended_by = run.ended_by or sent.process
        self._keep(sent, {own: sent.items[own] for own in new + other} | dict.fromkeys(gone))
        return self.told[sent.process]

    def confirm(self, draft: str, item: str | None) -> None:
        """Take over what a draft has."""
        self.time += 1
        for own, value in self.drafts.get(draft, {}).items():
            if item in (None, own):
                self._set(own, value)

    def invalidate(self, item: str | None) -> None:
        """Forget."""
        self.time += 1
        if item is None:
            self.items, self.runs, self.drafts = {}, {}, {}
            return
        self.items.pop(item, None)
        for draft in self.drafts.values():
            draft.pop(item, None)

    def _run(self, sent: Sent) -> Run:
        return self.runs.setdefault(sent.run, Run(self.time))

    def _deleted(self, sent: Sent, run: Run | None) -> list[str]:
        if run is None or run.ended_by is not None:
            return []
        total = sent.options.get("totalCount")
        if not (sent.options.get("isLast") if total is None else len(run.seen) == total):
            return []
        self.enders.add(sent.process)
        return sorted(own for own, (_, time) in self.items.items() if time < run.began and own not in run.seen)

    def _keep(self, sent: Sent, changes: dict[str, int | None]) -> None:
        if sent.options.get("requireConfirmation"):
            self.drafts.setdefault(sent.process, {}).update(changes)
            return
        for own, value in changes.items():
            self._set(own, value)

    def _set(self, own: str, value: int | None) -> None:
        if value is None:
            self.items.pop(own, None)
        else:
            self.items[own] = (value, self.time)


class Comparisons(RuleBasedStateMachine):
    """Two workers that share a storage, beside the model."""

    messages = Bundle("messages")

    def __init__(self, url: str) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.storages = [open_storage(url) for _ in range(2)]
        self.workers = [Compared(storage) for storage in self.storages]
        self.workers[1].master = self.workers[0].master
        self.model = Model()
        self.own = uuid4().hex
        self.drafts: dict[str, str] = {}

    @rule(
        target=messages,
        worker=st.integers(0, 1),
        run=st.sampled_from(["a", "b", "c"]),
        items=ITEMS,
        deleted=st.sampled_from([True, True, False]),
        is_last=st.sampled_from([False, False, True]),
        total=st.sampled_from([None, None, 2, 3]),
        is_draft=st.sampled_from([False, False, True]),
    )
    def compare(
        self,
        worker: int,
        run: str,
        items: dict[int, int],
        deleted: bool,
        is_last: bool,
        total: int | None,
        is_draft: bool,
    ) -> Any:
        options = {"deleted": deleted, "isLast": is_last, "totalCount": total, "requireConfirmation": is_draft}
        own = {str(number): value for number, value in items.items()}
        sent = Sent(uuid4().hex, f"{self.own}-{run}", own, options)
        self._send(worker, sent)
        return sent

    @rule(worker=st.integers(0, 1), sent=messages)
    def deliver_again(self, worker: int, sent: Sent) -> None:
        self._send(worker, sent)

    @rule(worker=st.integers(0, 1), sent=messages, item=st.none() | IDS)
    def confirm(self, worker: int, sent: Sent, item: int | None) -> None:
        if sent.process not in self.drafts:
            return
        headers = {} if item is None else {"comparator_item_id": str(item)}
        call = self.workers[worker].confirm(comparator_draft_id=self.drafts[sent.process], **headers)
        self.loop.run_until_complete(call)
        self.model.confirm(sent.process, None if item is None else str(item))

    @rule(item=st.none() | IDS)
    def invalidate(self, item: int | None) -> None:
        values = {} if item is None else {"externalId": item}
        self.loop.run_until_complete(self.workers[0].invalidate(**values))
        self.model.invalidate(None if item is None else str(item))

    def teardown(self) -> None:
        for storage in self.storages:
            self.loop.run_until_complete(storage.close())
        self.loop.close()

    def _send(self, worker: int, sent: Sent) -> None:
        items = [{"id": own, "value": value} for own, value in sent.items.items()]
        call = self.workers[worker].compare(items, run=sent.run, process=sent.process, **sent.options)
        message: Any = self.loop.run_until_complete(call).message
        told = message.data
        ids = [[item["id"] for item in told[name]] for name in ("created", "updated")]
        assert (*ids, sorted(told["deleted"])) == self.model.compare(sent)
        if "comparator-draft-id" in message.headers:
            self.drafts[sent.process] = message.headers["comparator-draft-id"]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "redis"])
def test_it_tells_what_the_model_tells(
    kind: str, request: pytest.FixtureRequest, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> None:
    url = (
        str(request.getfixturevalue("redis").url)
        if kind == "redis"
        else databases.make(kind, tmp_path_factory.mktemp("model"))
    )
    machine: Callable[[], Comparisons] = lambda: Comparisons(url)  # noqa: E731 - a name for its type
    examples = 50 if kind == "redis" else 8
    quick = settings(
        max_examples=examples, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(machine, settings=quick)
