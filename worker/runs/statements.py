"""The statements of grouped writes. Rows come as one JSON parameter, however many, in SQLite and PostgreSQL."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

NUMBER, TEXT = "bigint", "text"

Rows = Callable[[Mapping[str, str]], str]

_RUN_COLUMNS = "correlation_id, number, state, ended, total, ok, failed, cancelled, is_cancelled, is_compact"
_TOTALS = dict.fromkeys(("number", "total", "ok", "failed", "cancelled"), NUMBER)
_FOLDED = "state IN (1, 3) AND (step & 1) = 0"
"""What failed stays, to be approved, and first messages (`steps.py`), to know late duplicates by."""
_TURN = {"state": TEXT, "ended": NUMBER, "notice_due": NUMBER}


@dataclass(frozen=True, slots=True)
class Statements:
    """The statements in one dialect, as its driver takes them; the parameter `rows` is JSON, a list of lists.

    `lock_runs` and `known` answer with one row that holds such a list: between two rows of SQLite the thread lets go of
    the interpreter, and has to wait for it again.
    """

    insert_runs: str
    lock_runs: str
    known: str
    put_messages: str
    update_counts: str
    update_runs: str
    lock_ended: str
    counts: str
    delete_messages: str
    delete_all_messages: str
    compact_runs: str
    lock_expired: str
    delete_runs: str
    put_nodes: str
    claim_notices: str


def statements(dialect: str) -> Statements:
    """Return the statements for `sqlite` or `postgresql`."""
    is_postgresql = dialect == "postgresql"
    of = _postgresql_parameter if is_postgresql else _sqlite_parameter
    rows = _postgresql_rows if is_postgresql else _sqlite_rows
    packed = _postgresql_packed if is_postgresql else _sqlite_packed
    lock = " FOR UPDATE" if is_postgresql else ""  # SQLite has one writer at a time
    skip = " FOR UPDATE SKIP LOCKED" if is_postgresql else ""
    numbers = f"(SELECT r.number FROM {rows({'number': NUMBER})})"
    message = rows({"run": NUMBER, "step": NUMBER})
    return Statements(
        insert_runs=(
            'INSERT INTO process_run (correlation_id, topology_id, topology_name, "user", state, started) '
            f"SELECT r.correlation_id, r.topology_id, r.topology_name, r.owner, 'running', r.started FROM {_run(rows)} "
            "WHERE true ON CONFLICT (correlation_id) DO NOTHING"
        ),
        lock_runs=packed(
            _RUN_COLUMNS,
            f"SELECT {_RUN_COLUMNS} FROM process_run WHERE correlation_id IN "
            f"(SELECT r.correlation_id FROM {rows({'correlation_id': TEXT})}) ORDER BY correlation_id{lock}",
        ),
        known=packed(
            "run, step, state",
            f"SELECT m.run, m.step, m.state FROM {message} CROSS JOIN process_message m "
            "WHERE m.run = r.run AND m.step = r.step",
        ),
        put_messages=(
            "INSERT INTO process_message (run, step, node, state) SELECT r.run, r.step, r.node, r.state "
            f"FROM {rows({'run': NUMBER, 'step': NUMBER, 'node': TEXT, 'state': NUMBER})} "
            "WHERE true ON CONFLICT (run, step) DO UPDATE SET state = excluded.state, node = excluded.node"
        ),
        update_counts=(  # no column of an index is touched
            "UPDATE process_run SET total = r.total, ok = r.ok, failed = r.failed, cancelled = r.cancelled "
            f"FROM {rows(_TOTALS)} WHERE process_run.number = r.number"
        ),
        update_runs=(
            "UPDATE process_run SET state = r.state, ended = r.ended, total = r.total, ok = r.ok, failed = r.failed, "
            "cancelled = r.cancelled, is_compact = false, "
            "notice_due = COALESCE(r.notice_due, process_run.notice_due), "
            "notice_tries = CASE WHEN r.notice_due IS NULL THEN notice_tries ELSE 0 END "
            f"FROM {rows({**_TOTALS, **_TURN})} WHERE process_run.number = r.number"
        ),
        lock_ended=(
            "SELECT number, folded FROM process_run WHERE NOT is_compact AND ended IS NOT NULL "
            f"AND ended < {of('before')} ORDER BY ended LIMIT {of('limit')}{skip}"
        ),
        counts=(
            f"SELECT run, node, state, count(*) FROM process_message WHERE run IN {numbers} AND {_FOLDED} "
            "GROUP BY run, node, state"
        ),
        delete_messages=(f"DELETE FROM process_message WHERE run IN {numbers} AND {_FOLDED}"),
        delete_all_messages=(f"DELETE FROM process_message WHERE run IN {numbers}"),
        compact_runs=(
            "UPDATE process_run SET folded = r.folded, is_compact = true "
            f"FROM {rows({'number': NUMBER, 'folded': TEXT})} WHERE process_run.number = r.number"
        ),
        lock_expired=(
            f"SELECT number FROM process_run WHERE ended IS NOT NULL AND ended < {of('before')} "
            f"LIMIT {of('limit')}{skip}"
        ),
        delete_runs=(f"DELETE FROM process_run WHERE number IN {numbers}"),
        put_nodes=(
            f"INSERT INTO process_node (id, name) SELECT r.id, r.name FROM {rows({'id': TEXT, 'name': TEXT})} "
            "WHERE true ON CONFLICT (id) DO UPDATE SET name = excluded.name"
        ),
        claim_notices=(
            f"UPDATE process_run SET notice_due = {of('lease')}, notice_tries = notice_tries + 1 WHERE number IN "
            f"(SELECT number FROM process_run WHERE notice_due IS NOT NULL AND notice_due <= {of('now')} "
            f"AND topology_id = {of('topology')} ORDER BY notice_due LIMIT {of('limit')}{skip}) "
            "RETURNING number, notice_tries"
        ),
    )


def _run(rows: Rows) -> str:
    names = ("correlation_id", "topology_id", "topology_name", "owner")
    return rows({**dict.fromkeys(names, TEXT), "started": NUMBER})


def _sqlite_rows(columns: Mapping[str, str]) -> str:
    picked = ", ".join(f"json_extract(value, '$[{at}]') AS {name}" for at, name in enumerate(columns))
    return f"(SELECT {picked} FROM json_each(:rows)) AS r"


def _postgresql_rows(columns: Mapping[str, str]) -> str:
    picked = ", ".join(f"CAST(value ->> {at} AS {kind}) AS {name}" for at, (name, kind) in enumerate(columns.items()))
    return f"(SELECT {picked} FROM json_array_elements(CAST(%(rows)s AS json))) AS r"


def _sqlite_parameter(name: str) -> str:
    return f":{name}"


def _postgresql_parameter(name: str) -> str:
    return f"%({name})s"


def _sqlite_packed(columns: str, query: str) -> str:
    return f"SELECT json_group_array(json_array({columns})) FROM ({query})"


def _postgresql_packed(columns: str, query: str) -> str:
    packed = f"COALESCE(json_agg(json_build_array({columns})), '[]')"
    return f"WITH found AS ({query}) SELECT CAST({packed} AS text) FROM found"
