"""Calls of a service at a fixed rate: how long until the 2xx, and the CPU time for each.

Each call is signed, has a delivery id of its own and starts a run, whose first node the same worker passes on to the
next queue: signature, de-duplication over restarts and the broker's confirm are all in the time. The service is a
process of its own, and calls fifty tenants in turn.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.table import Table

from applications.accounts import Accounts
from applications.crypt import Keyring, new_key
from benchmarks.contestants import ours
from benchmarks.latency import figures
from benchmarks.rig import ROOT, VAR, Command, Setup, channel_to, cpu_seconds, declare, running, until, until_consumed
from benchmarks.webhook_application import Caller
from deploy.ports import free_ports
from worker.accounts.sql import InstallsDatabase, SqlAccounts
from worker.webhooks.sql import SqlWebhooks
from worker.webhooks.store import Webhooks
from worker.webhooks.webhook import path_of

PER_SECOND = 500
SECONDS = 30
TENANTS = 50
WARM_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Calls:
    """What one measurement gave."""

    wanted_per_second: int
    per_second: float
    """Calls that were answered."""
    median_ms: float
    p99_ms: float
    worst_ms: float
    cpu_ms: float
    """CPU time of the worker for each call, with the node's work."""
    refused: int
    connections: int


async def measure(setup: Setup, database: str = "", per_second: int = PER_SECOND, seconds: int = SECONDS) -> Calls:
    """Measure with this database of the installs; by default SQLite."""
    database = database or _fresh_sqlite()
    key, (port,) = new_key("bench"), free_ports(1)
    webhooks = await _subscribed(database, key, setup)
    async with channel_to(setup.amqp_url) as channel:
        await declare(channel, setup)
        async with running(_worker(setup, database, key, port)) as process_id:
            await until_consumed(channel, setup)
            url = f"http://127.0.0.1:{port}"
            await _ready(url)
            await _called(url, webhooks, per_second, WARM_SECONDS)
            cpu_before = cpu_seconds(process_id)
            seen = await _called(url, webhooks, per_second, seconds)
            await until(channel, setup.sink, per_second * (seconds + WARM_SECONDS))
            cpu_ms = (cpu_seconds(process_id) - cpu_before) * 1000 / len(seen["milliseconds"])
    times = seen["milliseconds"]
    rate = len(times) / seen["seconds"]
    refused, connections = seen["refused"], seen["connections"]
    return Calls(per_second, rate, **figures(times), cpu_ms=cpu_ms, refused=refused, connections=connections)


def table(found: Calls) -> Table:
    """Return the figures as a table."""
    shown = Table(title=f"Webhooks: {found.wanted_per_second} calls/s for {TENANTS} tenants")
    for column in ("answered/s", "median", "p99", "worst", "CPU per call", "refused", "connections"):
        shown.add_column(column, justify="right", no_wrap=True)
    times = (f"{value:.1f} ms" for value in (found.median_ms, found.p99_ms, found.worst_ms))
    shown.add_row(
        f"{found.per_second:.0f}", *times, f"{found.cpu_ms:.3f} ms", str(found.refused), str(found.connections)
    )
    return shown


def _fresh_sqlite() -> str:
    file = VAR / "bench-installs.sqlite"
    for old in VAR.glob(f"{file.name}*"):
        old.unlink()
    return f"sqlite:///{file}"


async def _subscribed(database: str, key: str, setup: Setup) -> Sequence[tuple[str, str]]:
    """Install for each tenant, as a user would; return path and secret of their webhooks for the first node."""
    shared, keyring = InstallsDatabase(database), Keyring.read(key)
    accounts = Accounts(SqlAccounts(shared, keyring), keyring, VAR / "bench-journal")
    try:
        webhooks = SqlWebhooks(shared, keyring)
        return [await _subscribe(accounts, webhooks, f"bench-{number}", setup) for number in range(TENANTS)]
    finally:
        await accounts.close()


async def _subscribe(accounts: Accounts, webhooks: Webhooks, user: str, setup: Setup) -> tuple[str, str]:
    await accounts.installs.add(user, Caller.key, is_enabled=True)
    await accounts.save(user, Caller, {"authorization_form": {"token": "t"}})
    webhook = await webhooks.add(user, Caller.key, "order", "bench", setup.nodes[0])
    own = webhooks.secrets(webhook)
    return path_of(webhook, own.token), own.secret


def _worker(setup: Setup, database: str, key: str, port: int) -> Command:
    started = ours(setup, "/custom-node/called/process")
    own = {
        "WORKER_ACTIONS": "benchmarks.webhook_application",
        "WORKER_HTTP_PORT": str(port),
        "WORKER_INSTALLS_URL": database,
        "WORKER_SECRET_KEYS": key,
        "WORKER_TOKEN_JOURNAL": str(VAR / "bench-journal"),
    }
    return Command(started.words, {**started.environment, **own})


async def _ready(url: str) -> None:
    async with asyncio.timeout(30), httpx.AsyncClient() as client:
        while not (await client.get(f"{url}/readyz")).is_success:  # noqa: ASYNC110 - nobody tells over HTTP
            await asyncio.sleep(0.05)


async def _called(url: str, webhooks: Sequence[tuple[str, str]], per_second: int, seconds: int) -> Any:
    """Let the service call; return what it saw."""
    script = Path(__file__).with_name("webhook_calls.py").relative_to(ROOT)
    words = (sys.executable, str(script), url, str(per_second), str(seconds))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdin=pipe, stdout=pipe)
    said, _ = await process.communicate(json.dumps(webhooks).encode())
    if process.returncode:
        raise RuntimeError(f"the service that calls ended with {process.returncode}")
    return json.loads(said)
