"""Check of the trash: can it be written, has it its table, does its clock go right."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from worker.checks.clock import compare_clocks
from worker.checks.finding import Finding, State, failed, ok
from worker.checks.tables import check_tables
from worker.trash.opening import MONGODB, open_trash
from worker.trash.store import STORE_ERRORS
from worker.trash.tables import CHAIN, trash
from worker.urls import shown_url

VARIABLE = "WORKER_TRASH_URL"


async def check_trash(url: str) -> AsyncIterator[Finding]:
    """Reach the trash without changing anything there, and compare its clock with ours."""
    scheme = url.partition("://")[0]
    if scheme not in MONGODB:
        found = check_tables("trash", url, CHAIN, trash, VARIABLE)
        yield found
        if found.state is State.FAILED or scheme.startswith("sqlite"):
            return
    store = open_trash(url)
    try:
        theirs = await store.clock()
    except STORE_ERRORS as error:
        cure = f"Start the database, or correct {VARIABLE} (WORKER_DATABASE_URL, MONGODB_DSN)."
        yield failed("trash", f"{shown_url(url)}: {error}", cure)
    else:
        if scheme in MONGODB:
            yield ok("trash", f"{shown_url(url)} answers")
        yield compare_clocks("trash's clock", theirs, datetime.now(UTC))
    finally:
        await store.close()
