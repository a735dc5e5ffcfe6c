"""Which ends of runs somebody still has to be told of. It is in the database, so it survives restarts."""

from dataclasses import dataclass, replace

from sqlalchemy import select, update

from worker.runs.run import Run
from worker.runs.search import nodes_of, run_of
from worker.runs.store import RunStore
from worker.runs.tables import runs

TOGETHER = 20


@dataclass(frozen=True, slots=True)
class Due:
    """The end of a run, which is ours to tell until the lease is over."""

    number: int
    tries: int
    lease: int
    """ms since the epoch."""
    run: Run


def claim_due(store: RunStore, topology_id: str, now: int, lease: int) -> list[Due]:
    """Take some of the ends that are due; until `lease` (ms) nobody else gets them."""
    wanted = {"topology": topology_id, "now": now, "lease": lease, "limit": TOGETHER}
    with store.transaction(is_writing=True) as connection:
        claimed = {row.number: row.notice_tries for row in connection.exec_driver_sql(store.sql.claim_notices, wanted)}
        rows = connection.execute(select(runs).where(runs.c.number.in_(claimed))).mappings().all()
        found = [(row["number"], replace(run_of(row), nodes=nodes_of(connection, row))) for row in rows]
    return [Due(number, claimed[number], lease, run) for number, run in found]


def finish_due(store: RunStore, due: Due, again_at: int | None) -> None:
    """Note that somebody was told, or when to try again (ms), unless the run has ended anew meanwhile."""
    ours = (runs.c.number == due.number, runs.c.notice_due == due.lease)
    with store.transaction(is_writing=True) as connection:
        connection.execute(update(runs).where(*ours).values(notice_due=again_at))
