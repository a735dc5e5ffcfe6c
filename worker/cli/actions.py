"""`orchesty-worker actions`."""

import inspect
from typing import Any

import click

from worker.actions.description import Place, place_of, schema, types_of
from worker.actions.registry import AnyAction
from worker.cli.action_options import actions_option, find_action, kind_option, load
from worker.cli.options import json_option
from worker.cli.printing import Listing, say, say_fact, say_json, say_table, say_text, say_title

SHIPPED = "the worker"


@click.command(
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
    """List the actions by kind and name; your own are first."""
    found = sorted(load(actions), key=_is_shipped)
    if as_json:
        say_json([_facts(action) for action in found])
        return
    if not found:
        say("There are no actions. Name the module that holds them with --actions.")
        return
    table = Listing("kind", box=None, header_style="bold")
    table.add_column("name", no_wrap=True)
    table.add_column("application")
    table.add_column("defined in")
    for action in found:
        place = SHIPPED if _is_shipped(action) else str(place_of(action))
        table.add_row(action.kind, action.name, _application(action), place)
    say_table(table)


@click.command(
    epilog="""\b
Examples:
  orchesty-worker actions show shop-get-order --actions shop
  orchesty-worker actions show shop-get-order --json | jq .input
"""
)
@click.argument("name")
@kind_option
@actions_option
@json_option
def show(name: str, kind: str | None, actions: tuple[str, ...], *, as_json: bool) -> None:
    """Show what an action does: its description and the JSON schemas of its input and output."""
    action = find_action(load(actions), name, kind)
    facts = _facts(action) | _schemas(action)
    if as_json:
        say_json(facts)
        return
    for key in ("kind", "name", "application", "class", "defined"):
        say_fact(key, facts[key], 12)
    say()
    say_text(facts["doc"] or "It says nothing about itself.")
    for key in ("input", "output"):
        say_title(key)
        say_json(facts[key], indent=2)


@click.command(
    "schema",
    epilog="""\b
Examples:
  orchesty-worker actions schema shop-get-order --actions shop
  orchesty-worker actions schema shop-get-order --output > order.schema.json
""",
)
@click.argument("name")
@kind_option
@click.option("--input", "part", flag_value="input", help="Only the schema of the input.")
@click.option("--output", "part", flag_value="output", help="Only the schema of the output.")
@actions_option
def schema_(name: str, kind: str | None, part: str | None, actions: tuple[str, ...]) -> None:
    """Print the JSON schemas of an action's input and output: {"input": ..., "output": ...}."""
    schemas = _schemas(find_action(load(actions), name, kind))
    say_json(schemas if part is None else schemas[part])


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


def _is_shipped(action: AnyAction) -> bool:
    return place_of(action).module.startswith(("connectors.catalogue.", "connectors.nodes."))
