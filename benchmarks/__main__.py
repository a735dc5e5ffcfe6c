"""`python -m benchmarks`: measure, print tables, write `var/bench.json`."""

import argparse
import asyncio
import json
import sys
from dataclasses import asdict

from rich.console import Console

from benchmarks import relay
from benchmarks.contestants import CONTESTANTS, install_peers
from benchmarks.rig import ROOT, VAR, Setup
from deploy.broker import provide_broker

RESULT = VAR / "bench.json"


def main() -> None:
    """Measure what the options say."""
    options = _options()
    install_peers()
    with provide_broker(announce=lambda text: print(text, file=sys.stderr)) as broker:
        setup = Setup(broker.url, options.messages, options.size, options.prefetch)
        results = asyncio.run(relay.measure_all(setup, options.runs, options.contestants))
    Console().print(relay.table(results))
    content = {"messages": setup.messages, "body_bytes": setup.body_bytes, "prefetch": setup.prefetch}
    runs = {name: [asdict(run) for run in figures] for name, figures in results.items()}
    RESULT.write_text(json.dumps(content | {"contestants": runs}, indent=1) + "\n")
    print(f"Written to {RESULT.relative_to(ROOT)}.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=relay.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=10_000, help="messages of each run (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each contestant (default: %(default)s)")
    parser.add_argument("--size", type=int, default=300, help="bytes of each body (default: %(default)s)")
    parser.add_argument("--prefetch", type=int, default=50, help="messages in flight (default: %(default)s)")
    parser.add_argument("contestants", nargs="*", default=list(CONTESTANTS), help="default: all")
    options = parser.parse_args()
    if unknown := set(options.contestants) - set(CONTESTANTS):
        parser.error(f"no contestant {', '.join(unknown)}; there are: {', '.join(CONTESTANTS)}")
    return options


if __name__ == "__main__":
    main()
