"""`orchesty-worker topology`."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from worker.actions.binding import ACTION_ROLES, problems
from worker.broker.backlog import backlog
from worker.broker.consumer import QueueState
from worker.broker.link import CONNECTION_ERRORS
from worker.broker.one_shot import looking
from worker.cli.action_options import actions_option, load
from worker.cli.graph import Row, draw
from worker.cli.options import amqp_option, json_option
from worker.cli.printing import Listing, say, say_json, say_table
from worker.errors import ActionsError
from worker.protocol.topology import Node, Topology
from worker.protocol.topology_file import load_topology
from worker.settings.settings import load_settings
from worker.visible import printable

States = Mapping[str, QueueState | None]


@click.command(
    epilog="""\b
Examples:
  orchesty-worker topology check topology.json
  orchesty-worker topology check topology.json --actions my_package.actions
"""
)
@click.argument("file", type=click.Path(path_type=Path), required=False)
@actions_option
@json_option
def check(file: Path | None, actions: tuple[str, ...], *, as_json: bool) -> None:
    """Check a topology file (default: TOPOLOGY_JSON) and show its nodes.

    Checks the expressions and other configuration of ready nodes, and with your actions, whether every node has its
    action. Of a file of the platform's editor, it shows what was guessed and dropped.
    """
    settings = load_settings(actions=actions or None)
    checked = load_topology(file or settings.topology)
    _show_nodes(checked, as_json=as_json)
    at_nodes = problems(checked.nodes, load(actions), settings.node_variables, knows_all=bool(settings.actions))
    if texts := list(at_nodes):
        raise ActionsError("\n".join(texts))


def _show_nodes(checked: Topology, *, as_json: bool) -> None:
    if as_json:
        say_json({**_document(checked, None), **checked.guesses})
        return
    count = len(checked.nodes)
    say(f"{checked.name} ({checked.id}): {count} node{'s' if count > 1 else ''}")
    width = max(len(node.name) for node in checked.nodes)
    for node in checked.nodes:
        line = f"  {node.name:{width}}  {node.role.value:11}  {_action(node)}{_followers(node, checked)}"
        say(line.rstrip())
    for fate, texts in checked.guesses.items():
        for text in texts:
            say(f"{fate}: {text}")


@click.command(
    epilog="""\b
Examples:
  orchesty-worker topology show topology.json
  orchesty-worker topology show --amqp-url amqp://guest:guest@localhost:5672/%2F
  orchesty-worker topology show --json | jq '.nodes[] | select(.messages > 100) | .name'
"""
)
@click.argument("file", type=click.Path(path_type=Path), required=False)
@amqp_option
@json_option
def show(file: Path | None, amqp_url: str | None, *, as_json: bool) -> None:
    """Draw the graph of a topology file (default: TOPOLOGY_JSON).

    If a broker is set (WORKER_AMQP_URL, or in the file), the graph shows the consumers of each node and the messages
    that wait in all its queues. A node that follows several others is drawn once, with its followers, and only named
    in the other places.
    """
    settings = load_settings(amqp_url=amqp_url)
    shown = load_topology(file or settings.topology)
    states, problem = None, None
    url = settings.amqp_url.get_secret_value() if settings.amqp_url else shown.amqp_url
    if url is not None:
        try:
            states = asyncio.run(_look(url, shown))
        except CONNECTION_ERRORS as error:
            problem = error
    if as_json:
        say_json(_document(shown, states))
    else:
        say_table(_table(shown, states))
    if problem is not None:
        say(f"the broker does not answer: {problem}. See: orchesty-worker check", err=True)
        sys.exit(1)


async def _look(url: str, topology: Topology) -> States:
    with Console(stderr=True).status("asking the broker"):
        async with looking(url) as session:
            return {node.queue: await backlog(session, node) for node in topology.nodes}


def _table(topology: Topology, states: States | None) -> Table:
    title = printable(f"{topology.name} ({topology.id}), {len(topology.nodes)} nodes")
    table = Listing(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    table.add_column("node", no_wrap=True)
    table.add_column("role", no_wrap=True)
    table.add_column("action", overflow="fold")
    table.add_column("prefetch", justify="right")
    if states is not None:
        table.add_column("waiting", justify="right")
        table.add_column("consumers", justify="right")
    for row in draw(topology):
        table.add_row(*_cells(row, states))
    return table


def _cells(row: Row, states: States | None) -> list[Text]:
    name = Text.assemble((row.branch, "dim"), row.name, (f"  {row.note}" if row.note else "", "dim"))
    node = row.node
    if node is None:
        return [name]
    cells = [
        name,
        Text(node.role.value),
        Text(node.action[1] if node.action else node.action_path),
        Text(str(node.prefetch)),
    ]
    if states is None:
        return cells
    state = states.get(node.queue)
    if state is None:
        return [*cells, Text("no queue", style="yellow"), Text("")]
    alone = "bold red" if state.messages and not state.consumers else ""
    return [*cells, Text(str(state.messages)), Text(str(state.consumers), style=alone)]


def _document(topology: Topology, states: States | None) -> dict[str, Any]:
    known = {node.id for node in topology.nodes}
    return {
        "id": topology.id,
        "name": topology.name,
        "nodes": [
            {
                "id": node.id,
                "name": node.name,
                "role": node.role.value,
                "action": node.action_path,
                "application": node.application,
                "prefetch": node.prefetch,
                "queue": node.queue,
                **_numbers(node, states),
                "followers": [{"id": f.id, "name": f.name, "isInFile": f.id in known} for f in node.followers],
            }
            for node in topology.nodes
        ],
    }


def _numbers(node: Node, states: States | None) -> dict[str, int | None]:
    """Null where there is no queue, nothing where nobody was asked."""
    if states is None:
        return {}
    state = states[node.queue]
    return {"messages": state.messages if state else None, "consumers": state.consumers if state else None}


def _action(node: Node) -> str:
    return f"{node.action_path} " if node.role in ACTION_ROLES else ""


def _followers(node: Node, topology: Topology) -> str:
    known = {other.id for other in topology.nodes}
    names = [f.name or f.id if f.id in known else f"{f.name or f.id} (not in this file)" for f in node.followers]
    return f"→ {', '.join(names)}" if names else ""
