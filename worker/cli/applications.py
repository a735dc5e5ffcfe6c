"""`orchesty-worker applications`."""

import json
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from applications import Application
from applications.forms import FieldFacts, show
from worker.applications import find_application, load_applications
from worker.cli.action_options import actions_option
from worker.cli.options import json_option
from worker.settings import load_settings


@click.group(
    epilog="""\b
Examples:
  orchesty-worker applications list
  orchesty-worker applications show xero
"""
)
def applications() -> None:
    """Look at the applications: the services that users install, those of the catalogue and of --actions."""


def known(modules: tuple[str, ...]) -> Mapping[str, type[Application]]:
    """Return the applications by key."""
    settings = load_settings(actions=modules or None)
    with Console(stderr=True).status("importing actions"):
        return load_applications(settings.actions)


@applications.command(
    "list",
    epilog="""\b
Examples:
  orchesty-worker applications list
  orchesty-worker applications list --actions my_package.actions --json
""",
)
@actions_option
@json_option
def list_(actions: tuple[str, ...], *, as_json: bool) -> None:
    """List the applications by key."""
    found = known(actions)
    if as_json:
        click.echo(json.dumps([_facts(application) for application in found.values()], indent=1, ensure_ascii=False))
        return
    table = Table("key", "name", "login", "description", box=None, header_style="bold")
    for key, application in found.items():
        table.add_row(key, application.public_name(), _way(application), application.description)
    Console().print(table)


@applications.command(
    "show",
    epilog="""\b
Examples:
  orchesty-worker applications show shopify
  orchesty-worker applications show shopify --json | jq .forms
""",
)
@click.argument("key")
@actions_option
@json_option
def show_(key: str, actions: tuple[str, ...], *, as_json: bool) -> None:
    """Show what a user fills in for an application, and how its requests are signed."""
    application = find_application(known(actions), key)
    if as_json:
        facts = {**_facts(application), "forms": show(application.form_facts(), {})}
        click.echo(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    console = Console(highlight=False)
    for name, value in _facts(application).items():
        console.print(f"[bold]{name:14}[/bold]", end="")
        console.print(value or "-", markup=False)
    for form in application.form_facts():
        console.print(f"\n{form.name} ({form.key})", markup=False)
        table = Table("field", "type", "required", "label", "description", box=None, header_style="bold")
        for field in form.fields:
            required = "yes" if field.is_required else "no"
            table.add_row(field.key, _kind(field), required, field.label, field.description)
        console.print(table)


def _kind(field: FieldFacts) -> str:
    return f"{field.type}: {', '.join(field.choices)}" if field.choices else field.type


def _way(application: type[Application]) -> str:
    return type(application.authentication).__name__


def _facts(application: type[Application]) -> dict[str, Any]:
    return {
        "key": application.key,
        "name": application.public_name(),
        "description": application.description,
        "type": application.kind.value,
        "login": _way(application),
        "base_url": application.base_url,
        "limits": application.limits("USER", {}),
        "webhooks": ", ".join(subscription.name for subscription in application.webhooks),
        "sync_methods": ", ".join(application.sync_methods()),
        "actions": ", ".join(action.name for action in application.custom_actions),
    }
