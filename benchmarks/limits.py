"""Limits over several workers: what the service sees, how much of the rate is used, and who gets it.

Fifty tenants under a limit of all have twenty thousand messages in one queue; four workers share the limits in a real
Redis. Then again with a worker killed, with Redis started anew (empty), with one worker's wall clock 30 s ahead (what
Python's `time` tells it: limits read only Redis' time and the monotonic clock, so nothing may change), and with tenants
of whom the second has half as much as the first, the third a third, and so on. Last, what limits cost that nobody
reaches.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from secrets import token_hex
from typing import Any

import aio_pika
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.rig import FILL_TOGETHER, QUORUM, ROOT, VAR, channel_to, length
from benchmarks.unreached import cost_table, measure_costs
from deploy.broker import provide_broker
from deploy.redis import PrivateRedis, private_redis

RUN = token_hex(4)
NODE, SINK = f"bench-limited-{RUN}", f"bench-limited-{RUN}-sink"
"""New ones in each run: messages of an earlier one may still be parked."""
FAULTS = ("none", "worker killed", "redis restarted", "clock 30 s off", "uneven tenants")
COST_MESSAGES, COST_RUNS = 4_000, 3
Stamp = tuple[float, str, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured."""

    messages: int = 20_000
    tenants: int = 50
    processes: int = 4
    seconds: int = 2
    tenant_amount: int = 20
    group_amount: int = 300
    prefetch: int = 100
    is_uneven: bool = False

    def uneven(self) -> "Plan":
        """Return the plan with tenants of whom each has as much as its rank's part of the first, and no own limits."""
        return replace(self, is_uneven=True, tenant_amount=self.group_amount)

    def senders(self) -> Iterator[tuple[str, int]]:
        """Yield whose each message is, and its place in the line of its tenant."""
        names, places = [f"t{number}" for number in range(self.tenants)], Counter[str]()
        shares = [1 / (rank + 1) if self.is_uneven else 1 for rank in range(self.tenants)]
        chosen = Random(1).choices(names, shares, k=self.messages)
        for number in range(self.messages):
            tenant = chosen[number] if self.is_uneven else names[number % self.tenants]
            yield tenant, places[tenant]
            places[tenant] += 1

    def key(self, tenant: str) -> str:
        """Return the `limiter-key` of a tenant's messages."""
        return f"{tenant}|bench;{self.seconds};{self.tenant_amount};|bench;{self.seconds};{self.group_amount}"


async def measure(plan: Plan, amqp_url: str, redis: PrivateRedis, fault: str, progress: Progress) -> list[Stamp]:
    """Let the workers call the service; return its calls: when, whose, which number."""
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(channel_to(amqp_url))
        await _fill(channel, plan)
        service = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.service", cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        assert service.stdout is not None
        port = int(await service.stdout.readline())
        workers = [await _worker(plan, amqp_url, redis.url, port, number, fault) for number in range(plan.processes)]
        try:
            await _watch(channel, plan, workers, redis, fault, progress)
        finally:
            for worker in workers:
                if worker.returncode is None:
                    worker.terminate()
            await asyncio.gather(*(worker.wait() for worker in workers))
            service.send_signal(signal.SIGTERM)
            seen = (await service.communicate())[0]
    return [_stamp(line) for line in seen.decode().splitlines()]


def _stamp(line: str) -> Stamp:
    arrived, path = line.split()
    _, tenant, number = path.split("/")
    return int(arrived) / 1e9, tenant, int(number)


async def _watch(
    channel: aio_pika.abc.AbstractChannel,
    plan: Plan,
    workers: list[asyncio.subprocess.Process],
    redis: PrivateRedis,
    fault: str,
    progress: Progress,
) -> None:
    """Wait until all messages are done; make the fault in the middle."""
    bar = progress.add_task(fault, total=plan.messages)
    is_made = False
    while (done := await length(channel, f"node.{SINK}.1")) < plan.messages:
        progress.update(bar, completed=done)
        if not is_made and done > plan.messages * 0.4:
            is_made = True
            if fault == "worker killed":
                workers[0].kill()
            elif fault == "redis restarted":
                await asyncio.to_thread(redis.restart)
        await asyncio.sleep(0.25)
    progress.update(bar, completed=done)


async def _fill(channel: aio_pika.abc.AbstractChannel, plan: Plan) -> None:
    for node in (NODE, SINK):
        exchange = await channel.declare_exchange(
            f"node.{node}.hx", aio_pika.ExchangeType.X_CONSISTENT_HASH, durable=True
        )
        queue = await channel.declare_queue(f"node.{node}.1", durable=True, arguments=QUORUM)
        await queue.bind(exchange, "1")
        await queue.purge()
    start = await channel.get_exchange(f"node.{NODE}.hx")
    messages = [_message(plan, *sender) for sender in plan.senders()]
    for first in range(0, plan.messages, FILL_TOGETHER):
        await asyncio.gather(*(start.publish(message, "1") for message in messages[first : first + FILL_TOGETHER]))


def _message(plan: Plan, tenant: str, place: int) -> aio_pika.Message:
    identity = f"{tenant}-{place}"
    headers = {"correlation-id": "bench", "process-id": identity, "user": tenant, "limiter-key": plan.key(tenant)}
    body = json.dumps({"headers": headers, "body": str(place)})
    return aio_pika.Message(
        body.encode(),
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        headers={"published-timestamp": time.time_ns() // 1_000_000},
    )


async def _worker(
    plan: Plan, amqp_url: str, redis_url: str, port: int, number: int, fault: str
) -> asyncio.subprocess.Process:
    environment = {
        "TOPOLOGY_JSON": str(_topology(plan)),
        "WORKER_NODES": NODE,
        "WORKER_HTTP_PORT": "0",
        "WORKER_AMQP_URL": amqp_url,
        "WORKER_REDIS_URL": redis_url,
        "WORKER_ACTIONS": "benchmarks.actions",
        "WORKER_TRASH_URL": f"sqlite:///{VAR}/bench-limits-trash.sqlite",
        "WORKER_LOG_LEVEL": "warning",
        "BENCH_SERVICE": f"http://127.0.0.1:{port}",
    }
    if fault == FAULTS[3] and number == 0:
        environment["BENCH_CLOCK_OFFSET"] = "30"
    with (VAR / "bench-limits.log").open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "worker", "run"),
            env={**os.environ, **environment},
            cwd=ROOT,
            stdout=output,
            stderr=output,
        )


def _topology(plan: Plan) -> Path:
    path = VAR / "bench-limits-topology.json"
    settings: dict[str, Any] = {"actionPath": "/connector/limited/action", "rabbitPrefetch": plan.prefetch}
    limited = {
        "id": NODE,
        "name": NODE,
        "worker": "worker.http",
        "application": "bench",
        "settings": settings,
        "followers": [{"id": SINK, "name": SINK}],
    }
    sink = {"id": SINK, "name": SINK, "worker": "worker.null"}
    VAR.mkdir(exist_ok=True)
    path.write_text(json.dumps({"id": "bench-limits", "name": "bench-limits", "nodes": [limited, sink]}))
    return path


def most_in_any_window(times: Sequence[float], seconds: float) -> int:
    """Return the most calls that any window of this length holds."""
    most = first = 0
    for last, time_ in enumerate(times):
        while time_ - times[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


@dataclass(frozen=True, slots=True)
class Result:
    """What one run gave."""

    calls: int
    seconds: float
    group_most: int
    tenant_most: int
    used: float
    """Share of the calls that the limit allows in this time, the first burst included."""
    spread: float
    """Between the tenants with the most and the fewest calls when half of all were made, to their mean."""
    overtaken: int
    """By how many places a call came before or after its turn at most, in the line of its tenant."""


def result(plan: Plan, stamps: Sequence[Stamp]) -> Result:
    """Work out what the service saw."""
    times = sorted(time for time, _, _ in stamps)
    tenants: defaultdict[str, list[Stamp]] = defaultdict(list)
    for stamp in sorted(stamps):
        tenants[stamp[1]].append(stamp)
    seconds = times[-1] - times[0]
    half = Counter(tenant for _, tenant, _ in sorted(stamps)[: len(stamps) // 2])
    counts = [half[tenant] for tenant in tenants]
    return Result(
        calls=len(stamps),
        seconds=seconds,
        group_most=most_in_any_window(times, plan.seconds),
        tenant_most=max(most_in_any_window([stamp[0] for stamp in own], plan.seconds) for own in tenants.values()),
        used=len(stamps) / (plan.group_amount * (seconds / plan.seconds + 1)),
        spread=(max(counts) - min(counts)) / (sum(counts) / len(counts)),
        overtaken=max(abs(place - stamp[2]) for own in tenants.values() for place, stamp in enumerate(own)),
    )


def table(plan: Plan, results: dict[str, Result]) -> Table:
    """Return the results as a table."""
    shown = Table(
        title=f"{plan.messages:,} messages, {plan.processes} workers, {plan.tenants} tenants of {plan.tenant_amount} "
        f"under {plan.group_amount} calls per {plan.seconds} s"
    )
    quiet = results.get(FAULTS[0])
    columns = (
        *("", "calls", "seconds", "most in any window", "per tenant"),
        *("rate used", "lost", "spread", "out of order by"),
    )
    for column in columns:
        shown.add_column(column, justify="right" if column else "left")
    for name, run in results.items():
        shown.add_row(
            name,
            f"{run.calls:,}",
            f"{run.seconds:.1f}",
            f"{run.group_most} of {plan.group_amount}",
            "" if name == FAULTS[4] else f"{run.tenant_most} of {plan.tenant_amount}",
            f"{run.used:.1%}",
            "" if quiet is None or run is quiet else f"{quiet.used - run.used:.1%}",
            "" if name == FAULTS[4] else f"{run.spread:.1%}",
            str(run.overtaken),
        )
    return shown


async def main(plan: Plan, faults: Sequence[str]) -> int:
    """Measure and print; 1 when a limit was broken."""
    console, results = Console(), {}
    VAR.mkdir(exist_ok=True)
    with provide_broker() as broker, Progress(transient=True, console=Console(stderr=True)) as progress:
        for fault in faults:
            with private_redis() as redis:
                measured = plan.uneven() if fault == FAULTS[4] else plan
                stamps = await measure(measured, broker.url, redis, fault, progress)
            (VAR / f"bench-limits-{fault.replace(' ', '-')}.json").write_text(json.dumps(stamps))
            results[fault] = result(measured, stamps)
            console.print(table(plan, results))
        if len(faults) == len(FAULTS):
            with private_redis() as redis:
                costs = await measure_costs(broker.url, redis.url, COST_MESSAGES, COST_RUNS, progress)
            console.print(cost_table(costs))
    return int(
        any(
            run.group_most > plan.group_amount or (run.tenant_most > plan.tenant_amount and name != FAULTS[4])
            for name, run in results.items()
        )
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--prefetch", type=int, default=100)
    parser.add_argument("--fault", choices=FAULTS, action="append", help="only these; may be repeated")
    chosen = parser.parse_args()
    sys.exit(asyncio.run(main(Plan(messages=chosen.messages, prefetch=chosen.prefetch), chosen.fault or FAULTS)))
