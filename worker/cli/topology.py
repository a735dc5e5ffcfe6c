"""`orchesty-worker topology`."""

from pathlib import Path

import click

from worker.actions import ACTION_ROLES
from worker.settings import load_settings
from worker.topology import Node, Topology, load_topology


@click.group()
def topology() -> None:
    """Look at topology files."""


@topology.command(epilog="\b\nExample:\n  orchesty-worker topology check topology.json\n")
@click.argument("file", type=click.Path(path_type=Path), required=False)
def check(file: Path | None) -> None:
    """Check a topology file (default: TOPOLOGY_JSON) and show its nodes."""
    checked = load_topology(file or load_settings().topology)
    count = len(checked.nodes)
    click.echo(f"{checked.name} ({checked.id}): {count} node{'s' if count > 1 else ''}")
    width = max(len(node.name) for node in checked.nodes)
    for node in checked.nodes:
        line = f"  {node.name:{width}}  {node.role.value:11}  {_action(node)}{_followers(node, checked)}"
        click.echo(line.rstrip())


def _action(node: Node) -> str:
    return f"{node.action_path} " if node.role in ACTION_ROLES else ""


def _followers(node: Node, topology: Topology) -> str:
    known = {other.id for other in topology.nodes}
    names = [f.name or f.id if f.id in known else f"{f.name or f.id} (not in this file)" for f in node.followers]
    return f"→ {', '.join(names)}" if names else ""
