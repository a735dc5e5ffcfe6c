"""Checks of the databases in which the worker counts processes and remembers messages, and of Redis."""

from collections.abc import AsyncIterator, Callable, Sequence

from worker.checks.finding import Finding, failed, ok
from worker.checks.trash import check_file, sqlite_path
from worker.database import Chain, probe
from worker.deduplication import tables as deduplication
from worker.errors import SettingsError, StoreError
from worker.runs import tables as runs
from worker.settings import Settings
from worker.topology import Node
from worker.trash.opening import shown_url

VARIABLE = "WORKER_DATABASE_URL"
REDIS_SECONDS = 5
REDIS_KEY = "orchesty-worker:check"


async def check_databases(settings: Settings, nodes: Sequence[Node]) -> AsyncIterator[Finding]:
    """Yield how the databases stand that this worker would use."""
    if settings.redis_url is not None:
        yield await check_redis(settings.redis_url.get_secret_value())
    if settings.counts_processes:
        yield _check("process state", lambda: settings.process_address, runs.CHAIN, runs.messages.name)
    if settings.redis_url is None and any(node.deduplicate for node in nodes):
        yield _check("deduplication", lambda: settings.marks_address, deduplication.CHAIN, deduplication.marks.name)


def _check(check: str, address: Callable[[], str], chain: Chain, table: str) -> Finding:
    try:
        return check_tables(check, address(), chain, table)
    except SettingsError as error:
        return failed(check, str(error), f"Correct {VARIABLE}.")


def check_tables(check: str, url: str, chain: Chain, table: str) -> Finding:
    """Reach the database and begin to write, without changing anything there; compare the version of the tables."""
    path = sqlite_path(url)
    if path is not None:
        found = check_file(path, check, VARIABLE)
        if found.cure or not path.exists():
            return found
    try:
        version = probe(url, chain, table)
    except StoreError as error:
        cure = (
            f"Start it, or correct {VARIABLE}; its user has to own the tables, or may create them where there are none."
        )
        return failed(check, f"{shown_url(url)}: {error}", cure)
    if version is None:
        return ok(check, f"{shown_url(url)} answers; the tables will be made at the first use")
    if version < chain.head:
        return ok(check, f"{shown_url(url)} answers; tables of version {version} will be brought to {chain.head}")
    return ok(check, f"{shown_url(url)} answers, its tables are up to date")


async def check_redis(url: str) -> Finding:
    """Write a key that ends at once: a replica, or a server without memory, refuses it."""
    from redis.asyncio import Redis  # noqa: PLC0415 - a worker without Redis need not hold its client in memory
    from redis.exceptions import RedisError  # noqa: PLC0415 - as above

    redis = Redis.from_url(url, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS)
    try:
        await redis.set(REDIS_KEY, "", px=1)
    except (RedisError, OSError) as error:
        cure = "Start it, or correct WORKER_REDIS_URL; it has to be a primary with memory left."
        return failed("redis", f"{shown_url(url)}: {error}", cure)
    finally:
        await redis.aclose()
    return ok("redis", f"{shown_url(url)} answers and can be written")
