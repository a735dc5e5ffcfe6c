"""Checks of the stores: can they be reached, and are their tables those of this version?"""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import Table

from connectors.errors import StorageAway
from worker.accounts import tables as accounts
from worker.accounts.opening import has_keys
from worker.checks.clock import compare_clocks
from worker.checks.files import check_file, sqlite_path
from worker.checks.finding import Finding, FindingState, failed, ok, warning
from worker.database.engine import parsed_url
from worker.database.migrate import Chain, probe
from worker.deduplication import tables as deduplication
from worker.errors import SettingsError, StoreError
from worker.protocol.topology import Node
from worker.runs import tables as runs
from worker.settings.settings import Settings
from worker.storage import tables as storage_tables
from worker.storage.opening import open_storage
from worker.trash import tables as trash_tables
from worker.trash.opening import open_trash
from worker.trash.store import STORE_ERRORS
from worker.urls import MONGODB, REDIS, shown_url

if TYPE_CHECKING:
    from redis.asyncio import Redis

VARIABLE = "WORKER_DATABASE_URL"
REDIS_SECONDS = 5
REDIS_KEY = "orchesty-worker:check"
NO_EVICTION = "noeviction"


async def check_databases(settings: Settings, nodes: Sequence[Node]) -> AsyncIterator[Finding]:
    """Yield how the databases stand that this worker would use."""
    if settings.redis_url is not None:
        yield await check_redis(settings.redis_url.get_secret_value())
    if settings.counts_processes:
        yield _check("process state", lambda: settings.process_address, runs.CHAIN, runs.messages)
    if has_keys(settings):
        yield check_installs(settings.installs_address)
    if settings.redis_url is None and any(node.deduplicate for node in nodes):
        yield _check("deduplication", lambda: settings.marks_address, deduplication.CHAIN, deduplication.marks)


def check_installs(url: str) -> Finding:
    """Reach the database of installs, logins and webhooks; without a key for secrets none is opened."""
    variable = "WORKER_INSTALLS_URL"
    try:
        parsed_url(url)
    except ValueError as error:
        return failed("installs", f"the address {error}", f"Correct {variable} (else {VARIABLE}).")
    return check_tables("installs", url, accounts.CHAIN, accounts.installs, variable)


def _check(check: str, address: Callable[[], str], chain: Chain, table: Table) -> Finding:
    try:
        return check_tables(check, address(), chain, table)
    except SettingsError as error:
        return failed(check, str(error), f"Correct {VARIABLE}.")


def check_tables(check: str, url: str, chain: Chain, table: Table, variable: str = VARIABLE) -> Finding:
    """Reach the database and begin to write to the table, without changing anything there.

    Compare the tables, which are those that belong to this one, and their version with what the worker knows.
    """
    path = sqlite_path(url)
    if path is not None:
        found = check_file(path, check, variable)
        if found.cure or not path.exists():
            return found
    try:
        version, missing = probe(url, chain, table)
    except StoreError as error:
        cure = f"Start it, or correct {variable}; its user has to own the tables, or have the right to create them."
        return failed(check, f"{shown_url(url)}: {error}", cure)
    if version is None:
        return ok(check, f"{shown_url(url)} answers; the tables will be created at the first use")
    if missing and version >= chain.head:
        names = ", ".join([chain.version_table, *table.metadata.tables])
        cure = f"Restore the database from a backup. Or drop all of {names}: the worker creates them again, empty."
        return failed(check, f"{shown_url(url)} lacks {', '.join(missing)}", cure)
    if version < chain.head:
        return ok(check, f"{shown_url(url)} answers; tables of version {version} will be updated to {chain.head}")
    return ok(check, f"{shown_url(url)} answers, its tables are up to date")


async def check_redis(url: str) -> Finding:
    """Write a key that ends at once: a replica, or a server without memory, refuses it."""
    from worker.database.redis import open_redis, redis_errors  # noqa: PLC0415 - who has no Redis need not wait for it

    redis = open_redis(url, answer_seconds=REDIS_SECONDS)
    try:
        with redis_errors(StoreError):
            await redis.set(REDIS_KEY, "", px=1)
            policy = await _eviction(redis)
    except StoreError as error:
        cure = "Start it, or correct WORKER_REDIS_URL; it has to be a primary with memory left."
        return failed("redis", f"{shown_url(url)}: {error}", cure)
    finally:
        await redis.aclose()
    if policy:
        cure = "Set maxmemory-policy noeviction: a key that Redis evicts is a call that is not counted."
        return warning("redis", f"{shown_url(url)} evicts keys when its memory is full ({policy})", cure)
    return ok("redis", f"{shown_url(url)} answers and can be written")


async def _eviction(redis: "Redis") -> str:
    """Return the policy by which keys are thrown away; empty when they never are, or when it cannot be known."""
    from redis.exceptions import ResponseError  # noqa: PLC0415 - as above

    try:
        memory = await redis.info("memory")
    except ResponseError:  # our user may not ask
        return ""
    policy = str(memory.get("maxmemory_policy", NO_EVICTION))
    return policy if memory.get("maxmemory") and policy != NO_EVICTION else ""


STORAGE_VARIABLE = "WORKER_STORAGE_URL"


async def check_storage(url: str) -> Finding:
    """Reach the storage without changing anything there."""
    if url.partition("://")[0] not in REDIS:
        return check_tables("storage", url, storage_tables.CHAIN, storage_tables.chunks, STORAGE_VARIABLE)
    storage = open_storage(url)
    try:
        await storage.ping()
    except StorageAway as error:
        return failed("storage", f"{shown_url(url)}: {error}", f"Start it, or correct {STORAGE_VARIABLE}.")
    finally:
        await storage.close()
    return ok("storage", f"{shown_url(url)} answers")


TRASH_VARIABLE = "WORKER_TRASH_URL"


async def check_trash(url: str) -> AsyncIterator[Finding]:
    """Reach the trash without changing anything there, and compare its clock with ours."""
    scheme = url.partition("://")[0]
    if scheme not in MONGODB:
        found = check_tables("trash", url, trash_tables.CHAIN, trash_tables.trash, TRASH_VARIABLE)
        yield found
        if found.state is FindingState.FAILED or scheme.startswith("sqlite"):
            return
    store = open_trash(url)
    try:
        theirs = await store.clock()
    except STORE_ERRORS as error:
        cure = f"Start the database, or correct {TRASH_VARIABLE} (WORKER_DATABASE_URL, MONGODB_DSN)."
        yield failed("trash", f"{shown_url(url)}: {error}", cure)
    else:
        if scheme in MONGODB:
            yield ok("trash", f"{shown_url(url)} answers")
        yield compare_clocks("trash's clock", theirs, datetime.now(UTC))
    finally:
        await store.close()
