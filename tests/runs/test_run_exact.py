"""Whatever happens to records and their workers: no run ends too early, and every run ends with the exact totals."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.runs import counts
from support.visits import node, visit

from worker.protocol.identity import SentMessage, approved_step, first_step, next_step
from worker.protocol.message import now_ms
from worker.runs.records import Record, record
from worker.runs.run import MessageState, Run, RunState
from worker.runs.search import get_runs
from worker.runs.store import RunStore

Shape = list[tuple[int, bool]]
"""Of each message but the first: which one before it sends it (modulo how many there are), and whether it fails until
a person approves it.
"""

NUISANCES = {"duplicate", "duplicate_late", "crash"}

shapes = st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=12)


class World:
    """One run: a broker, workers that die, and a database. A message is its number in the shape."""

    def __init__(self, store: RunStore, run: str, shape: Shape, chance: Random) -> None:
        self.store, self.run, self.chance = store, run, chance
        self.children: dict[int, list[int]] = {0: []}
        self.fails = {0: False}
        self.sender: dict[int, int] = {}
        for number, (sender, fails) in enumerate(shape, 1):
            self.sender[number] = sender % number
            self.children[sender % number].append(number)
            self.children[number], self.fails[number] = [], fails
        self.queue = [(0, self.step(0))]
        self.pending: list[tuple[int, str, Record]] = []
        """Done, its followers published, its record not committed: so not acknowledged."""
        self.published = {0}
        self.ended: set[int] = set()
        self.trash: dict[int, str] = {}
        self.approved: set[int] = set()
        self.is_compact = False

    def step(self, number: int) -> str:
        if number == 0:
            return first_step("n0", self.run)
        return next_step(self.step(self.sender[number]), f"n{number}", 0)

    def record(self, number: int, step: str, state: MessageState, *, is_again: bool = False) -> Record:
        children = self.children[number] if state is MessageState.OK else []
        at = visit(node(id=f"n{number}"), **{"worker-step": step, "correlation-id": self.run})
        sent = [SentMessage(next_step(step, f"n{child}", 0), f"n{child}") for child in children]
        return record(at, state, sent, is_again=is_again)

    def handle(self) -> None:
        """A worker takes a message, does its work and publishes its followers."""
        number, step = self.queue.pop(self.chance.randrange(len(self.queue)))
        fails = self.fails[number] and number not in self.approved
        done = self.record(number, step, MessageState.FAILED if fails else MessageState.OK)
        self.queue += [(int(own.node[1:]), own.step) for own in self.sent(number, step) if not fails]
        self.published |= {number for number, _ in self.queue}
        self.pending.append((number, step, done))

    def sent(self, number: int, step: str) -> list[SentMessage]:
        return [SentMessage(next_step(step, f"n{child}", 0), f"n{child}") for child in self.children[number]]

    def commit(self) -> None:
        """Write some of the records, in any order; some of them twice, and the beginning among them."""
        self.chance.shuffle(self.pending)
        at = self.chance.randint(1, len(self.pending))
        group, self.pending = self.pending[:at], self.pending[at:]
        records = [own for _, _, own in group] + [own for _, _, own in group if self.chance.random() < 0.2]
        if not self.is_compact and self.chance.random() < 0.2:
            records.append(self.record(0, self.step(0), MessageState.OPEN))
        self.chance.shuffle(records)
        self.store.write(records)
        for number, step, own in group:
            if own.state is MessageState.FAILED and number not in self.approved:
                self.trash[number] = step
            if own.state is MessageState.OK or number not in self.approved:
                self.ended.add(number)

    def crash(self) -> None:
        """A worker dies after publishing: its message is delivered again."""
        number, step, _ = self.pending.pop(self.chance.randrange(len(self.pending)))
        self.queue.append((number, step))

    def duplicate(self) -> None:
        """The broker has a message twice."""
        self.queue.append(self.chance.choice(self.queue))

    def duplicate_late(self) -> None:
        """Long after the end a message comes again, and brings its followers along."""
        number = self.chance.choice(sorted(self.published))
        self.queue.append(
            (number, self.chance.choice((str, approved_step))(self.step(number)) if number else self.step(0))
        )

    def approve(self) -> None:
        """A person sends on what has failed; the worker puts that down before it sends anything on."""
        number = self.chance.choice(sorted(self.trash))
        step = approved_step(self.trash.pop(number))
        self.approved.add(number)
        self.ended.discard(number)
        self.queue = [own for own in self.queue if own[0] != number]
        self.pending = [own for own in self.pending if own[0] != number]
        self.store.write([self.record(number, step, MessageState.OPEN, is_again=True)])
        self.queue.append((number, step))
        self.is_compact = False

    def compact(self) -> None:
        """Time passes after the end: only some rows are left, and duplicates still come."""
        if not self.queue and not self.pending:
            self.store.compact(now_ms() + 1)
            self.is_compact = True

    @property
    def found(self) -> Run:
        (run,) = get_runs(self.store, self.run)
        return run

    def events(self) -> Iterator[tuple[str, int]]:
        """Yield what may happen, and how likely."""
        if self.queue:
            yield from (("handle", 6), ("duplicate", 1))
        if self.pending:
            yield from (("commit", 4), ("crash", 1))
        if self.is_compact:
            yield "duplicate_late", 1
        if self.trash and not (self.is_compact and (self.queue or self.pending)):
            yield "approve", 1

    def live(self) -> None:
        """Let things happen until nothing is left to do."""
        patience = 60
        while events := dict(self.events()):
            patience -= 1
            if patience < 0:
                events = {name: weight for name, weight in events.items() if name not in NUISANCES}
                if not events:
                    return
            (event,) = self.chance.choices(list(events), list(events.values()))
            getattr(self, event)()
            if event == "commit":
                is_ended = self.found.is_ended
                assert not is_ended or self.ended == self.published, "ended too early"
                if is_ended:
                    self.compact()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunStore]:
    """One database for all runs."""
    path: Path = tmp_path_factory.mktemp("runs") / "runs.sqlite"
    with closing(RunStore(f"sqlite:///{path}")) as opened:
        yield opened


numbers = iter(range(1_000_000))


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=shapes, seed=st.integers(0, 1_000_000))
def test_a_run_ends_when_all_has_ended_and_not_before(store: RunStore, shape: Shape, seed: int) -> None:
    world = World(store, f"run-{next(numbers)}", shape, Random(seed))
    world.live()
    total = 1 + len(shape)
    assert (world.found.state, counts(world.found)) == (RunState.FINISHED, (total, total, 0, 0, 0))
