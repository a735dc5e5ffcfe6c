"""The database of runs. Everything here blocks: the worker calls it in a thread."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import Connection, select, update

from worker.database.engine import store_errors, sync_engine
from worker.database.migrate import bring_up_to_date
from worker.errors import StoreError
from worker.protocol.message import now_ms
from worker.runs.fold import Known, RunTally, fold
from worker.runs.records import Record, run_facts
from worker.runs.run import RunState
from worker.runs.statements import statements
from worker.runs.tables import CHAIN, runs

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
            ended = {tally.number for run, tally in tallies.items() if fold(tally, by_run[run], known, now)}
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

        What failed stays: when somebody approves it, it is counted again instead of twice. So do first messages, by
        which late duplicates are known.
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
            try:
                with self._engine.begin() as connection:
                    if is_writing and self._is_sqlite:
                        connection.exec_driver_sql("BEGIN IMMEDIATE")  # what is read first stays true until the write
                    yield connection
            except self._engine.dialect.loaded_dbapi.Error as error:  # of `_execute`
                raise StoreError(str(error).strip()) from error

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Open a transaction that reads, and sees all tables as they were at one moment. Raises `StoreError`."""
        begin = "BEGIN" if self._is_sqlite else "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
        with self.transaction() as connection:
            connection.exec_driver_sql(begin)
            yield connection

    def _lock_runs(self, connection: Connection, by_run: Mapping[str, Sequence[Record]]) -> dict[str, RunTally]:
        """Return the runs, made where they are missing; in PostgreSQL nobody else changes them meanwhile.

        There all that may be missing are made before any is locked, in order: a writer that makes one while it holds
        others could wait for one that waits for these.
        """
        may_be_missing = [records[0] for records in by_run.values() if records[0].is_first or not self._is_sqlite]
        self._make_runs(connection, may_be_missing)
        found = self._tallies(connection, list(by_run))
        if len(found) < len(by_run):
            missing = [run for run in by_run if run not in found]
            self._make_runs(connection, [by_run[run][0] for run in missing])
            found |= self._tallies(connection, missing)
        return found

    def _make_runs(self, connection: Connection, first: Sequence[Record]) -> None:
        if first:
            _execute(connection, self.sql.insert_runs, [run_facts(record) for record in first])

    def _tallies(self, connection: Connection, run_ids: Sequence[str]) -> dict[str, RunTally]:
        rows = _packed(connection, self.sql.lock_runs, [[run] for run in run_ids])
        return {own: _tally(row) for own, *row in rows}

    def _known(
        self, connection: Connection, by_run: Mapping[str, Sequence[Record]], tallies: Mapping[str, RunTally]
    ) -> Known:
        keys = [
            (tally.number, step)
            for run, tally in tallies.items()
            if tally.total  # else it is new
            for step in {step for record in by_run[run] for step in record.steps()}
        ]
        return {(run, step): state for run, step, state in _packed(connection, self.sql.known, keys)} if keys else {}

    def _save(self, tallies: Sequence[RunTally], due: set[int], now: int, connection: Connection) -> None:
        rows = [
            (tally.number, step, node, state)
            for tally in sorted(tallies, key=lambda tally: tally.number)
            for step, (node, state) in tally.changed.items()
        ]
        if not rows:
            return
        _execute(connection, self.sql.put_messages, rows)
        counted = [_totals(tally) for tally in tallies if not tally.is_turned]
        if counted:
            _execute(connection, self.sql.update_counts, counted)
        turned = [
            [*_totals(tally), tally.state, tally.ended, now if tally.number in due else None]
            for tally in tallies
            if tally.is_turned
        ]
        if turned:
            _execute(connection, self.sql.update_runs, turned)


def _by_run(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Return the records of each run; runs in the order of their ids, in which every worker locks them."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.run, []).append(record)
    return dict(sorted(found.items()))


def _packed(connection: Connection, sql: str, rows: Sequence[Row]) -> list[list[Any]]:
    found: list[list[Any]] = msgspec.json.decode(_execute(connection, sql, rows).fetchone()[0])
    return found


def _execute(connection: Connection, sql: str, rows: Sequence[Row]) -> Any:
    """Return the driver's own cursor: what SQLAlchemy does around a statement takes as long as the statement."""
    driver: Any = connection.connection.driver_connection
    return driver.execute(sql, _rows(rows))


def _rows(rows: Sequence[Row]) -> dict[str, str]:
    return {"rows": msgspec.json.encode(rows).decode()}


def _tally(row: Sequence[Any]) -> RunTally:
    number, state, ended, total, ok, failed, cancelled, is_cancelled, is_compact = row
    counts = [total - ok - failed - cancelled, cancelled, failed, ok]
    return RunTally(number, counts, is_cancelled, is_compact, state, ended)


def _totals(tally: RunTally) -> list[Any]:
    opened, cancelled, failed, ok = tally.counts
    return [tally.number, opened + cancelled + failed + ok, ok, failed, cancelled]
