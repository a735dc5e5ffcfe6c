"""`python -m benchmarks`: measure, print tables, write `var/bench.json` and a plot."""

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console

from benchmarks import counted, endurance, latency, metrics, plot, relay, scale, supervised, webhooks
from benchmarks.contestants import CONTESTANTS, install_peers
from benchmarks.rig import ROOT, VAR, Setup
from deploy.broker import provide_broker

RESULT = VAR / "bench.json"
PLOT = VAR / "bench.svg"

console = Console()


def main() -> None:
    """Measure what the options say."""
    options = _options()
    if "relay" in options.what:
        install_peers()
    with provide_broker(announce=lambda text: print(text, file=sys.stderr)) as broker:
        setup = Setup(broker.url, options.messages, options.size, options.prefetch)
        found = asyncio.run(_measure(setup, options))
    known = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    RESULT.write_text(json.dumps(known | found, indent=1) + "\n")
    print(f"Written to {RESULT.relative_to(ROOT)}.")


async def _measure(setup: Setup, options: argparse.Namespace) -> dict[str, Any]:
    return {name: await MEASUREMENTS[name](setup, options) for name in options.what}


async def _relay(setup: Setup, options: argparse.Namespace) -> Any:
    results = await relay.measure_all(setup, options.runs, options.contestants)
    console.print(relay.table(results))
    PLOT.write_text(plot.bars(results))
    print(f"Drawn in {PLOT.relative_to(ROOT)}.")
    return {name: [asdict(run) for run in figures] for name, figures in results.items()}


async def _latency(setup: Setup, _: argparse.Namespace) -> Any:
    found = await latency.measure(Setup(setup.amqp_url, nodes=("bench-1", "bench-sink")))
    console.print(latency.table(found))
    return latency.figures(found)


async def _webhooks(setup: Setup, options: argparse.Namespace) -> Any:
    setup = Setup(setup.amqp_url, nodes=("bench-1", "bench-sink"))
    with Console(stderr=True).status("taking calls"):
        found = await webhooks.measure(setup, options.installs_url, options.calls)
    console.print(webhooks.table(found))
    return asdict(found)


async def _endurance(setup: Setup, _: argparse.Namespace) -> Any:
    slow_share = await endurance.slow_service(setup)
    memory = await endurance.memory(setup)
    console.print(endurance.table(memory, slow_share))
    return {"memory_mb": memory, "share_of_ideal_rate": slow_share}


async def _supervised(setup: Setup, options: argparse.Namespace) -> Any:
    with Console(stderr=True).status("measuring several processes"):
        found = await supervised.measure_all(setup, options.runs)
    console.print(supervised.table(found))
    return found


async def _counted(setup: Setup, options: argparse.Namespace) -> Any:
    found = await counted.measure_all(setup, options.runs)
    console.print(counted.table(found))
    return [
        {"action": action, "counted": is_counted, "runs": [asdict(run) for run in figures]}
        for (action, is_counted), figures in found.items()
    ]


async def _metrics(setup: Setup, options: argparse.Namespace) -> Any:
    with Console(stderr=True).status("measuring metrics"):
        found = await metrics.measure_all(setup, options.runs)
    console.print(metrics.table(found))
    return asdict(found)


async def _scale(setup: Setup, _: argparse.Namespace) -> Any:
    with Console(stderr=True).status("measuring sizes"):
        rows = [row async for row in scale.measure_all(setup)]
    console.print(scale.table(rows))
    return [{"what": what, "size": size, **asdict(figures)} for what, size, figures in rows]


MEASUREMENTS: Mapping[str, Callable[[Setup, argparse.Namespace], Awaitable[Any]]] = {
    "relay": _relay,
    "supervised": _supervised,
    "latency": _latency,
    "counted": _counted,
    "metrics": _metrics,
    "webhooks": _webhooks,
    "endurance": _endurance,
    "scale": _scale,
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=relay.__doc__,
        epilog="Example: python -m benchmarks relay --runs 3 --contestants orchesty-worker FastStream",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", nargs="*", help=f"default: all of {', '.join(MEASUREMENTS)}")
    parser.add_argument("--messages", type=int, default=10_000, help="messages of each relay run (%(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="relay runs of each contestant (%(default)s)")
    parser.add_argument("--size", type=int, default=300, help="bytes of each body (%(default)s)")
    parser.add_argument("--prefetch", type=int, default=50, help="messages in flight (%(default)s)")
    parser.add_argument("--calls", type=int, default=webhooks.PER_SECOND, help="webhook calls per second (%(default)s)")
    parser.add_argument("--installs-url", default="", help="database of the webhooks (SQLite)")
    parser.add_argument("--contestants", nargs="+", default=list(CONTESTANTS), choices=list(CONTESTANTS))
    options = parser.parse_args()
    options.what = options.what or list(MEASUREMENTS)
    if unknown := set(options.what) - set(MEASUREMENTS):
        parser.error(f"no measurement {', '.join(unknown)}; there are: {', '.join(MEASUREMENTS)}")
    return options


if __name__ == "__main__":
    main()
