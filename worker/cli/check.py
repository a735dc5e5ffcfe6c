"""`orchesty-worker check`."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console, Group
from rich.text import Text

from worker.broker.surroundings import Surroundings
from worker.checks.everything import check_everything
from worker.checks.finding import Finding, FindingState
from worker.cli.options import amqp_option, json_option, topology_option, trash_option
from worker.cli.printing import Listing, say_json, say_table
from worker.modes.opening import open_mode
from worker.settings.settings import Settings
from worker.visible import printable

STYLES = {
    FindingState.OK: "green",
    FindingState.WARNING: "yellow",
    FindingState.FAILED: "bold red",
    FindingState.UNKNOWN: "dim",
}


@click.command(
    epilog="""\b
Examples:
  orchesty-worker check
  orchesty-worker check --actions my_package.actions --amqp-url amqp://guest:guest@localhost:5672/%2F
  orchesty-worker check --json | jq '.[] | select(.state == "failed")'
"""
)
@topology_option
@amqp_option
@click.option("--mode", type=click.Choice(["standalone", "platform"]), help="[env: WORKER_MODE]")
@click.option("--nodes", help="Only these nodes: ids or names, comma-separated.  [env: WORKER_NODES]")
@click.option(
    "--actions", multiple=True, help="Module or package with actions; may be repeated.  [env: WORKER_ACTIONS]"
)
@trash_option
@json_option
def check(
    topology_path: Path | None,
    amqp_url: str | None,
    mode: str | None,
    nodes: str | None,
    actions: tuple[str, ...],
    trash_url: str | None,
    *,
    as_json: bool,
) -> None:
    """Check whether a worker can do its work here, and say what to do if not.

    Looks at settings, topology, actions, broker (version, plugin, permissions, channels, followers, queues, leftovers,
    lost messages), trash, disk, token journal and installs, data storage, process state, deduplication, Redis, file
    modes and clocks.

    Tries to write to the broker, to SQL databases and to Redis, and takes back what it wrote. The exit status is 1 if
    a check fails.
    """
    overrides = {
        "topology": topology_path,
        "amqp_url": amqp_url,
        "mode": mode,
        "nodes": nodes,
        "actions": actions or None,
        "trash_url": trash_url,
    }
    findings = asyncio.run(_collect(overrides))
    if as_json:
        say_json([asdict(finding) for finding in findings])
    else:
        _print(findings)
    sys.exit(1 if any(finding.state is FindingState.FAILED for finding in findings) else 0)


async def _collect(overrides: Mapping[str, object]) -> Sequence[Finding]:
    findings = []
    with Console(stderr=True).status("checking the settings") as status:
        async for finding in check_everything(os.environ, _surroundings, **overrides):
            findings.append(finding)
            status.update(f"checked: {finding.check}")
    return findings


def _surroundings(settings: Settings) -> Surroundings:
    return open_mode(settings).surroundings


def _print(findings: Sequence[Finding]) -> None:
    table = Listing("check", "", "finding", box=None, header_style="bold")
    for finding in findings:
        lines = [Text(printable(line)) for line in finding.detail.split("\n")]
        if finding.cure:
            style = "bold" if finding.state is FindingState.FAILED else ""
            lines.append(Text(printable(f"→ {finding.cure}"), style=style))
        table.add_row(finding.check, Text(finding.state.value, style=STYLES[finding.state]), Group(*lines))
    say_table(table)
