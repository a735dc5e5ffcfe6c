"""The arithmetic of counting: in whatever order and however often records come, the totals are the same."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect
from support.databases import MakeDatabase
from support.runs import counts, ok
from support.visits import RUN, node, visit

from worker.protocol.identity import SentMessage, first_step, next_step
from worker.protocol.message import now_ms
from worker.runs.notices import claim_due
from worker.runs.records import Record, record
from worker.runs.run import MessageState, NodeCounts, Run, RunState
from worker.runs.search import get_runs
from worker.runs.store import RunStore
from worker.runs.tables import CHAIN, messages, nodes, runs

SEED = 20261124


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, make_database: MakeDatabase) -> Iterator[RunStore]:
    """An empty store of each kind."""
    with closing(RunStore(make_database(request.param))) as opened:
        yield opened


def of(name: str, step: str, state: MessageState, *sent: SentMessage, run: str = RUN) -> Record:
    at = visit(node(id=name), **{"worker-step": step, "correlation-id": run})
    return record(at, state, sent)


def tree(run: str, width: int = 4) -> list[Record]:
    """Return the records of a run: a root, its copies, and their copies; the last one fails."""
    root = first_step("root", run)
    middles = [SentMessage(next_step(root, "middle", at), "middle") for at in range(width)]
    ends = {own.step: [SentMessage(next_step(own.step, "end", at), "end") for at in range(width)] for own in middles}
    made = [of("root", root, MessageState.OK, *middles, run=run)]
    made += [of("middle", own.step, MessageState.OK, *ends[own.step], run=run) for own in middles]
    every = [own for sent in ends.values() for own in sent]
    made += [of("end", own.step, MessageState.OK, run=run) for own in every[:-1]]
    return [*made, of("end", every[-1].step, MessageState.FAILED, run=run)]


def only(store: RunStore, run: str = RUN) -> Run:
    (found,) = get_runs(store, run)
    return found


def test_records_that_come_twice_and_in_any_order_give_the_same(store: RunStore) -> None:
    chance = random.Random(SEED)
    records = tree(RUN) * 3
    chance.shuffle(records)
    while records:
        size = chance.randint(1, 9)
        store.write(records[:size])
        records = records[size:]
    ended = only(store)
    assert (ended.state, counts(ended)) == (RunState.FAILED, (21, 20, 1, 0, 0))
    assert ended.nodes == {
        "root": NodeCounts(ok=1),
        "middle": NodeCounts(ok=4),
        "end": NodeCounts(ok=15, failed=1),
    }


def test_a_run_does_not_end_while_a_message_that_was_sent_on_is_open(store: RunStore) -> None:
    records = tree(RUN)
    for at, late in enumerate((records[0], records[1], records[-1])):  # whichever comes last
        run = f"run-{at}"
        ordered = [one for one in records if one is not late] + [late]
        for one in (replace(one, run=run) for one in ordered):
            assert not any(found.is_ended for found in get_runs(store, run))
            store.write([one])
        assert only(store, run).is_ended


def test_a_first_message_that_has_not_told_of_itself_is_shown(store: RunStore) -> None:
    root, middle, *_ = tree(RUN)
    store.write([middle])
    assert only(store).nodes == {"(first message)": NodeCounts(open=1), "end": NodeCounts(open=4), "middle": ok(1)}
    store.write([root])
    assert only(store).nodes == {"root": ok(1), "middle": NodeCounts(ok=1, open=3), "end": NodeCounts(open=4)}


def test_many_writers_at_once_lose_and_double_nothing(store: RunStore) -> None:
    chance = random.Random(SEED)
    ids = [f"run-{number}" for number in range(5)]
    every = [one for run in ids for one in tree(run)]
    shares = [chance.sample(every, len(every)) for _ in range(4)]

    def write(share: Sequence[Record]) -> None:
        for at in range(0, len(share), 7):
            store.write(share[at : at + 7])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, shares))
    assert {counts(only(store, run)) for run in ids} == {(21, 20, 1, 0, 0)}


def test_what_failed_and_then_went_well_counts_as_well(store: RunStore) -> None:
    records = tree(RUN)
    store.write(records)
    failed = records[-1]
    assert store.compact(now_ms() + 1) == 1
    after = SentMessage(next_step(failed.visit.headers.text("worker-step"), "after", 0), "after")
    store.write([record(failed.visit, MessageState.OK, [after])])
    assert (only(store).state, counts(only(store))) == (RunState.RUNNING, (22, 21, 0, 0, 1))
    store.write([of("after", after.step, MessageState.OK)])
    assert (only(store).state, counts(only(store))) == (RunState.FINISHED, (22, 22, 0, 0, 0))
    assert store.compact(now_ms() + 1) == 1
    assert only(store).nodes["end"] == NodeCounts(ok=16)


def test_a_run_that_goes_on_again_is_told_when_it_has_ended_again(store: RunStore) -> None:
    *records, failed = tree(RUN)
    store.write([*records, failed], wants_notice=True)
    topology, later = failed.visit.node.topology_id, now_ms() + 1000
    store.write([record(failed.visit, MessageState.OPEN, is_again=True)], wants_notice=True)
    assert claim_due(store, topology, later, later) == []
    store.write([record(failed.visit, MessageState.OK)], wants_notice=True)
    (due,) = claim_due(store, topology, later, later)
    assert due.run.state is RunState.FINISHED


def test_headers_that_no_database_takes_are_counted_all_the_same(store: RunStore) -> None:
    run = "\x00" + "x" * 1000
    store.write(tree(run))
    assert counts(only(store, "\ufffdxxx"))[0] == 21


def test_what_ended_long_ago_is_deleted(store: RunStore) -> None:
    store.write(tree("old"))
    store.write(tree("open")[:2])
    assert store.purge(now_ms() + 1) == 1
    assert (get_runs(store, "old"), len(get_runs(store, "open"))) == ([], 1)
    store.write(tree("old"))
    assert only(store, "old").is_ended


def test_a_run_that_has_ended_cannot_be_cancelled(store: RunStore) -> None:
    store.write(tree(RUN)[:2])
    assert store.cancel(RUN)
    assert store.cancelled() == {RUN}
    assert only(store).state is RunState.CANCELLING
    store.write(tree(RUN))
    assert only(store).state is RunState.FAILED  # nothing was left to cancel
    assert not store.cancel(RUN)


async def test_workers_that_start_together_make_the_tables_once(make_database: MakeDatabase) -> None:
    url = make_database("postgresql")

    def use() -> frozenset[str]:
        with closing(RunStore(url)) as opened:
            return opened.cancelled()

    assert await asyncio.gather(*(asyncio.to_thread(use) for _ in range(5))) == [frozenset()] * 5


def test_the_migrations_lead_to_the_tables_that_the_code_knows(store: RunStore) -> None:
    with store.transaction() as connection:
        for table in (runs, messages, nodes):
            found = {column["name"]: column["nullable"] for column in inspect(connection).get_columns(table.name)}
            assert found == {column.name: bool(column.nullable) for column in table.columns}


def test_the_newest_migration_is_the_one_that_the_code_compares_with() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(CHAIN.folder)))
    assert ScriptDirectory.from_config(config).get_current_head() == CHAIN.head
