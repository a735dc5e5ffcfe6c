"""The database of runs. Everything here blocks: the worker calls it in a thread."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import Connection, select, update

from worker.database import bring_up_to_date, store_errors, sync_engine
from worker.runs.fold import Tally, fold
from worker.runs.records import Record, run_facts
from worker.runs.run import MessageState, RunState
from worker.runs.statements import statements
from worker.runs.tables import CHAIN, runs
from worker.visit import now_ms

TOGETHER = 500
"""Runs that are compacted or deleted in one transaction."""

Row = Sequence[Any]


class RunStore:
    """Counts runs in SQLite or PostgreSQL. All methods raise `StoreError` while the database is away."""

    def __init__(self, url: str) -> None:
        """`url` is `sqlite:///path` or `postgresql://...`."""
        self._url = url
        self._engine = sync_engine(url)
        self._is_sqlite = self._engine.dialect.name == "sqlite"
        self.sql = statements(self._engine.dialect.name)
        self._is_ready = False

    def write(self, records: Sequence[Record], *, wants_notice: bool = False) -> None:
        """Count the records, all or none. The same record counts once, however often it is written."""
        with self.transaction(is_writing=True) as connection:
            by_run = _by_run(records)
            tallies = self._lock_runs(connection, by_run)
            known = self._known(connection, by_run, tallies)
            now = now_ms()
            ended = {
                tally.number
                for run, tally in tallies.items()
                if fold(tally, by_run[run], known.get(tally.number, {}), now)
            }
            due = ended if wants_notice else set()
            self._save([tally for tally in tallies.values() if tally.changed], due, now, connection)

    def note_nodes(self, names: Mapping[str, str]) -> None:
        """Remember how nodes are called; by id."""
        with self.transaction(is_writing=True) as connection:
            connection.exec_driver_sql(self.sql.put_nodes, _rows(sorted(names.items())))

    def cancelled(self) -> frozenset[str]:
        """Return the correlation ids of the runs that somebody has cancelled."""
        with self.transaction() as connection:
            return frozenset(connection.execute(select(runs.c.correlation_id).where(runs.c.is_cancelled)).scalars())

    def cancel(self, correlation_id: str) -> bool:
        """Let a run end; False when it has ended already."""
        cancelling = (
            update(runs)
            .where(runs.c.correlation_id == correlation_id, runs.c.ended.is_(None))
            .values(is_cancelled=True, state=RunState.CANCELLING.value)
        )
        with self.transaction(is_writing=True) as connection:
            return connection.execute(cancelling).rowcount == 1

    def compact(self, ended_before: int) -> int:
        """Fold the messages that went well into their runs, of some that ended before (ms); return how many runs.

        What failed stays: when somebody approves it, it is counted anew instead of twice.
        """
        with self.transaction(is_writing=True) as connection:
            found = connection.exec_driver_sql(self.sql.lock_ended, {"before": ended_before, "limit": TOGETHER}).all()
            numbers = _rows([[number] for number, _ in found])
            folded = {number: json.loads(before or "{}") for number, before in found}
            for run, node, state, count in connection.exec_driver_sql(self.sql.counts, numbers):
                counts = folded[run].setdefault(node, {})
                counts[str(state)] = counts.get(str(state), 0) + count
            connection.exec_driver_sql(self.sql.delete_messages, numbers)
            rows = [[number, json.dumps(counts)] for number, counts in folded.items()]
            connection.exec_driver_sql(self.sql.compact_runs, _rows(rows))
        return len(found)

    def purge(self, ended_before: int) -> int:
        """Delete some of the runs that ended before (ms); return how many."""
        with self.transaction(is_writing=True) as connection:
            found = connection.exec_driver_sql(
                self.sql.lock_expired, {"before": ended_before, "limit": TOGETHER}
            ).scalars()
            numbers = [[number] for number in found]
            connection.exec_driver_sql(self.sql.delete_all_messages, _rows(numbers))
            connection.exec_driver_sql(self.sql.delete_runs, _rows(numbers))
        return len(numbers)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @contextmanager
    def transaction(self, *, is_writing: bool = False) -> Iterator[Connection]:
        """Open a transaction on tables that are up to date. Raises `StoreError` for what the database says."""
        with store_errors():
            if not self._is_ready:
                bring_up_to_date(self._url, CHAIN)
                self._is_ready = True
            with self._engine.begin() as connection:
                if is_writing and self._is_sqlite:
                    connection.exec_driver_sql("BEGIN IMMEDIATE")  # what is read first stays true until it is written
                yield connection

    def _lock_runs(self, connection: Connection, by_run: Mapping[str, Sequence[Record]]) -> dict[str, Tally]:
        """Return the runs, made where they are missing; in PostgreSQL nobody else changes them meanwhile."""
        beginning = [records[0] for records in by_run.values() if records[0].state is MessageState.OPEN]
        self._make_runs(connection, beginning)
        found = self._tallies(connection, list(by_run))
        if len(found) < len(by_run):
            missing = [run for run in by_run if run not in found]
            self._make_runs(connection, [by_run[run][0] for run in missing])
            found |= self._tallies(connection, missing)
        return found

    def _make_runs(self, connection: Connection, first: Sequence[Record]) -> None:
        if first:
            facts = [run_facts(record) for record in first]
            rows = [[f.correlation_id, f.topology_id, f.topology_name, f.user, f.started] for f in facts]
            connection.exec_driver_sql(self.sql.insert_runs, _rows(rows))

    def _tallies(self, connection: Connection, run_ids: Sequence[str]) -> dict[str, Tally]:
        rows = _packed(connection, self.sql.lock_runs, [[run] for run in run_ids])
        return {own: _tally(row) for own, *row in rows}

    def _known(
        self, connection: Connection, by_run: Mapping[str, Sequence[Record]], tallies: Mapping[str, Tally]
    ) -> dict[int, dict[int, MessageState]]:
        keys: set[tuple[int, int]] = set()
        for run, records in by_run.items():
            number = tallies[run].number
            for record in records:
                keys.add((number, record.step))
                keys.update((number, sent.number) for sent in record.sent)
        known: dict[int, dict[int, MessageState]] = {}
        for run_number, step, state in _packed(connection, self.sql.known, sorted(keys)):
            known.setdefault(run_number, {})[step] = MessageState(state)
        return known

    def _save(self, tallies: Sequence[Tally], due: set[int], now: int, connection: Connection) -> None:
        rows = [
            (tally.number, step, node, int(state))
            for tally in sorted(tallies, key=lambda tally: tally.number)
            for step, (node, state) in sorted(tally.changed.items())
        ]
        if not rows:
            return
        connection.exec_driver_sql(self.sql.put_messages, _rows(rows))
        counted = [_totals(tally) for tally in tallies if not tally.is_turned]
        if counted:
            connection.exec_driver_sql(self.sql.update_counts, _rows(counted))
        turned = [
            [*_totals(tally), tally.state, tally.ended, now if tally.number in due else None]
            for tally in tallies
            if tally.is_turned
        ]
        if turned:
            connection.exec_driver_sql(self.sql.update_runs, _rows(turned))


def _by_run(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Return the records of each run; runs in the order of their ids, in which every worker locks them."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.run, []).append(record)
    return dict(sorted(found.items()))


def _packed(connection: Connection, sql: str, rows: Sequence[Row]) -> list[list[Any]]:
    found: list[list[Any]] = msgspec.json.decode(connection.exec_driver_sql(sql, _rows(rows)).scalar_one())
    return found


def _rows(rows: Sequence[Row]) -> dict[str, str]:
    return {"rows": msgspec.json.encode(rows).decode()}


def _tally(row: Sequence[Any]) -> Tally:
    number, state, ended, total, ok, failed, cancelled, is_cancelled, is_compact = row
    counts = {
        MessageState.OPEN: total - ok - failed - cancelled,
        MessageState.OK: ok,
        MessageState.FAILED: failed,
        MessageState.CANCELLED: cancelled,
    }
    return Tally(number, counts, bool(is_cancelled), bool(is_compact), RunState(state), ended)


def _totals(tally: Tally) -> list[Any]:
    counts = tally.counts
    return [
        tally.number,
        tally.total,
        counts[MessageState.OK],
        counts[MessageState.FAILED],
        counts[MessageState.CANCELLED],
    ]
