"""The statements of grouped writes. Rows come as one JSON parameter, however many, in SQLite and PostgreSQL."""

from collections.abc import Mapping
from functools import cached_property
from typing import Protocol

NUMBER, TEXT = "bigint", "text"

_RUN_COLUMNS = "correlation_id, number, state, ended, total, ok, failed, cancelled, is_cancelled, is_compact"
_TOTALS = dict.fromkeys(("number", "total", "ok", "failed", "cancelled"), NUMBER)
_FOLDED = "state IN (1, 3) AND (step & 1) = 0"
"""What failed stays, to be approved, and first messages (`steps.py`), to know late duplicates by."""
_TURN = {"state": TEXT, "ended": NUMBER, "notice_due": NUMBER}
_NEW_RUN = dict.fromkeys(("correlation_id", "topology_id", "topology_name", "owner"), TEXT) | {"started": NUMBER}


class Dialect(Protocol):
    """What the databases write differently."""

    lock: str
    """After a SELECT: holds its rows."""
    skip: str
    """After a SELECT: holds its rows, without those that somebody else holds."""

    def of(self, name: str) -> str:
        """Return a parameter."""

    def rows(self, columns: Mapping[str, str]) -> str:
        """Return the parameter `rows`, JSON, a list of lists, as a table `r` with these columns and their types."""

    def packed(self, columns: str, query: str) -> str:
        """Return a query for one row that holds those of another as a JSON list of lists."""


class Sqlite:
    """SQLite has one writer at a time, which locks for itself."""

    lock = skip = ""

    def of(self, name: str) -> str:
        """Return a parameter."""
        return f":{name}"

    def rows(self, columns: Mapping[str, str]) -> str:
        """Return the rows; SQLite finds the types itself."""
        picked = ", ".join(f"json_extract(value, '$[{at}]') AS {name}" for at, name in enumerate(columns))
        return f"(SELECT {picked} FROM json_each(:rows)) AS r"

    def packed(self, columns: str, query: str) -> str:
        """Return a query for one row."""
        return f"SELECT json_group_array(json_array({columns})) FROM ({query})"


class Postgresql:
    """PostgreSQL has many writers, and rows to lock."""

    lock = " FOR UPDATE"
    skip = " FOR UPDATE SKIP LOCKED"

    def of(self, name: str) -> str:
        """Return a parameter."""
        return f"%({name})s"

    def rows(self, columns: Mapping[str, str]) -> str:
        """Return the rows, cast to their types."""
        casts = (f"CAST(value ->> {at} AS {kind}) AS {name}" for at, (name, kind) in enumerate(columns.items()))
        return f"(SELECT {', '.join(casts)} FROM json_array_elements(CAST(%(rows)s AS json))) AS r"

    def packed(self, columns: str, query: str) -> str:
        """Return a query for one row."""
        packed = f"COALESCE(json_agg(json_build_array({columns})), '[]')"
        return f"WITH found AS ({query}) SELECT CAST({packed} AS text) FROM found"


class Statements:
    """The statements in one dialect, as its driver takes them; the parameter `rows` is JSON, a list of lists.

    `lock_runs` and `known` answer with one row that holds such a list: between two rows of SQLite the thread lets go of
    the interpreter, and has to wait for it again.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    @cached_property
    def insert_runs(self) -> str:
        """Begin runs that are not known."""
        return (
            'INSERT INTO process_run (correlation_id, topology_id, topology_name, "user", state, started) '
            "SELECT r.correlation_id, r.topology_id, r.topology_name, r.owner, 'running', r.started "
            f"FROM {self._dialect.rows(_NEW_RUN)} WHERE true ON CONFLICT (correlation_id) DO NOTHING"
        )

    @cached_property
    def lock_runs(self) -> str:
        """Hold runs, always in the same order."""
        wanted = f"SELECT r.correlation_id FROM {self._dialect.rows({'correlation_id': TEXT})}"
        return self._dialect.packed(
            _RUN_COLUMNS,
            f"SELECT {_RUN_COLUMNS} FROM process_run WHERE correlation_id IN ({wanted}) "
            f"ORDER BY correlation_id{self._dialect.lock}",
        )

    @cached_property
    def known(self) -> str:
        """Find messages and their states."""
        return self._dialect.packed(
            "run, step, state",
            f"SELECT m.run, m.step, m.state FROM {self._dialect.rows({'run': NUMBER, 'step': NUMBER})} "
            "CROSS JOIN process_message m WHERE m.run = r.run AND m.step = r.step",
        )

    @cached_property
    def put_messages(self) -> str:
        """Write messages with their states, new ones or known."""
        columns = {"run": NUMBER, "step": NUMBER, "node": TEXT, "state": NUMBER}
        return (
            "INSERT INTO process_message (run, step, node, state) SELECT r.run, r.step, r.node, r.state "
            f"FROM {self._dialect.rows(columns)} "
            "WHERE true ON CONFLICT (run, step) DO UPDATE SET state = excluded.state, node = excluded.node"
        )

    @cached_property
    def update_counts(self) -> str:
        """Write the totals of runs that go on; no column of an index is touched."""
        return (
            "UPDATE process_run SET total = r.total, ok = r.ok, failed = r.failed, cancelled = r.cancelled "
            f"FROM {self._dialect.rows(_TOTALS)} WHERE process_run.number = r.number"
        )

    @cached_property
    def update_runs(self) -> str:
        """Write runs that end, or go on after their end."""
        return (
            "UPDATE process_run SET state = r.state, ended = r.ended, total = r.total, ok = r.ok, failed = r.failed, "
            "cancelled = r.cancelled, is_compact = false, "
            "notice_due = COALESCE(r.notice_due, process_run.notice_due), "
            "notice_tries = CASE WHEN r.notice_due IS NULL THEN notice_tries ELSE 0 END "
            f"FROM {self._dialect.rows({**_TOTALS, **_TURN})} WHERE process_run.number = r.number"
        )

    @cached_property
    def lock_ended(self) -> str:
        """Hold runs that have ended `before`, and are to be compacted."""
        of = self._dialect.of
        return (
            "SELECT number, folded FROM process_run WHERE NOT is_compact AND ended IS NOT NULL "
            f"AND ended < {of('before')} ORDER BY ended LIMIT {of('limit')}{self._dialect.skip}"
        )

    @cached_property
    def counts(self) -> str:
        """Count the messages that are folded, by run, node and state."""
        return (
            f"SELECT run, node, state, count(*) FROM process_message WHERE run IN {self._numbers} "
            f"AND {_FOLDED} GROUP BY run, node, state"
        )

    @cached_property
    def delete_messages(self) -> str:
        """Delete the messages that are folded."""
        return f"DELETE FROM process_message WHERE run IN {self._numbers} AND {_FOLDED}"

    @cached_property
    def delete_all_messages(self) -> str:
        """Delete all messages of runs."""
        return f"DELETE FROM process_message WHERE run IN {self._numbers}"

    @cached_property
    def compact_runs(self) -> str:
        """Write the counts of messages that are deleted."""
        return (
            "UPDATE process_run SET folded = r.folded, is_compact = true "
            f"FROM {self._dialect.rows({'number': NUMBER, 'folded': TEXT})} WHERE process_run.number = r.number"
        )

    @cached_property
    def lock_expired(self) -> str:
        """Hold runs that have ended `before`, and are to be deleted."""
        of = self._dialect.of
        return (
            f"SELECT number FROM process_run WHERE ended IS NOT NULL AND ended < {of('before')} "
            f"LIMIT {of('limit')}{self._dialect.skip}"
        )

    @cached_property
    def delete_runs(self) -> str:
        """Delete runs."""
        return f"DELETE FROM process_run WHERE number IN {self._numbers}"

    @cached_property
    def put_nodes(self) -> str:
        """Write the names of nodes."""
        return (
            f"INSERT INTO process_node (id, name) SELECT r.id, r.name FROM "
            f"{self._dialect.rows({'id': TEXT, 'name': TEXT})} "
            "WHERE true ON CONFLICT (id) DO UPDATE SET name = excluded.name"
        )

    @cached_property
    def claim_notices(self) -> str:
        """Take notices of ended runs that are due `now`, until the `lease` is over: an approval opens a run again."""
        of = self._dialect.of
        due = (
            f"SELECT number FROM process_run WHERE notice_due IS NOT NULL AND notice_due <= {of('now')} "
            f"AND ended IS NOT NULL AND topology_id = {of('topology')} "
            f"ORDER BY notice_due LIMIT {of('limit')}{self._dialect.skip}"
        )
        return (
            f"UPDATE process_run SET notice_due = {of('lease')}, notice_tries = notice_tries + 1 "
            f"WHERE number IN ({due}) RETURNING number, notice_tries"
        )

    @cached_property
    def _numbers(self) -> str:
        return f"(SELECT r.number FROM {self._dialect.rows({'number': NUMBER})})"


def statements(dialect: str) -> Statements:
    """Return the statements for `sqlite` or `postgresql`."""
    return Statements(Postgresql() if dialect == "postgresql" else Sqlite())
