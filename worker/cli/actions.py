"""`orchesty-worker actions`."""

import inspect
import json
from difflib import get_close_matches
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from connectors import Kind
from worker.action_types import Place, place_of, schema, types_of
from worker.cli.options import json_option
from worker.registry import AnyAction, Registry, load_actions
from worker.settings import load_settings

actions_option = click.option(
    "--actions", multiple=True, help="Module or package with actions; may be repeated.  [env: WORKER_ACTIONS]"
)


@click.group(epilog="\b\nExample:\n  orchesty-worker actions list --actions my_package.actions\n")
def actions() -> None:
    """Look at the actions of this process: those of the catalogue, of installed packages and of --actions."""


@actions.command(
    "list",
    epilog="""\b
Examples:
  orchesty-worker actions list --actions my_package.actions
  orchesty-worker actions list --json | jq -r '.[] | select(.application == "shop").name'
""",
)
@actions_option
@json_option
def list_(actions: tuple[str, ...], *, as_json: bool) -> None:
    """List the actions by kind and name."""
    found = list(_load(actions))
    if as_json:
        click.echo(json.dumps([_facts(action) for action in found], indent=1, ensure_ascii=False))
        return
    if not found:
        click.echo("There are no actions. Name the module that holds them with --actions.")
        return
    table = Table("kind", "name", "application", "defined in", box=None, header_style="bold")
    for action in found:
        table.add_row(action.kind, action.name, _application(action), str(place_of(action)))
    Console().print(table)


@actions.command(
    epilog="""\b
Examples:
  orchesty-worker actions show shop-get-order --actions shop
  orchesty-worker actions show shop-get-order --json | jq .input
"""
)
@click.argument("name")
@click.option("--kind", type=click.Choice([kind.value for kind in Kind]), help="If several kinds have the name.")
@actions_option
@json_option
def show(name: str, kind: str | None, actions: tuple[str, ...], *, as_json: bool) -> None:
    """Show what an action does, takes and gives: its text and the JSON schema of input and output."""
    action = _find(_load(actions), name, kind)
    facts = _facts(action) | _schemas(action)
    if as_json:
        click.echo(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    console = Console(highlight=False)
    for key in ("kind", "name", "application", "class", "defined"):
        console.print(f"[bold]{key:12}[/bold]", end="")
        console.print(facts[key] or "-", markup=False)
    console.print(f"\n{facts['doc'] or 'It says nothing about itself.'}", markup=False)
    for key in ("input", "output"):
        console.print(f"\n[bold]{key}[/bold]")
        console.print_json(json.dumps(facts[key]))


def _load(modules: tuple[str, ...]) -> Registry:
    settings = load_settings(actions=modules or None)
    with Console(stderr=True).status("importing actions"):
        return load_actions(settings.actions)


def _find(registry: Registry, name: str, kind: str | None) -> AnyAction:
    found = [action for action in registry if action.name == name and kind in {None, action.kind.value}]
    if len(found) > 1:
        raise click.UsageError(f"{name} is of several kinds, choose with --kind: {', '.join(a.kind for a in found)}")
    if not found:
        close = get_close_matches(name, [action.name for action in registry], n=1)
        raise click.UsageError(
            f"there is no action {name!r}"
            + (f", did you mean {close[0]!r}?" if close else "")
            + " See: orchesty-worker actions list"
        )
    return found[0]


def _facts(action: AnyAction) -> dict[str, Any]:
    place: Place = place_of(action)
    return {
        "kind": action.kind.value,
        "name": action.name,
        "application": _application(action),
        "class": f"{place.module}.{place.name}",
        "defined": str(place),
        "doc": inspect.getdoc(action) or "",
    }


def _schemas(action: AnyAction) -> dict[str, Any]:
    taken, given = types_of(action)
    return {"input": schema(taken, "validation"), "output": schema(given, "serialization")}


def _application(action: AnyAction) -> str:
    return getattr(getattr(action, "application", None), "key", "")
