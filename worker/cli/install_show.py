"""`orchesty-worker installs show`."""

import asyncio
from collections.abc import Mapping
from typing import Any

import click

from applications import Application
from applications.errors import ApplicationError, NotInstalled
from applications.forms import show as show_forms
from worker.actions.applications import find_application
from worker.cli.accounts import installs_option, opened, sdk_option
from worker.cli.action_options import actions_option
from worker.cli.applications import known
from worker.cli.options import json_option
from worker.cli.printing import Listing, say, say_fact, say_json, say_table
from worker.settings.settings import Settings, load_settings


@click.command(
    epilog="""\b
Examples:
  orchesty-worker installs show shopify alice
  orchesty-worker installs show shopify alice --json | jq .authorized
"""
)
@click.argument("application")
@click.argument("user")
@sdk_option
@actions_option
@installs_option
@json_option
def show(
    application: str, user: str, sdk: str, actions: tuple[str, ...], installs_url: str | None, *, as_json: bool
) -> None:
    """Show the settings of an install, and what can be chosen. Secrets are shown only as set or not."""
    found = find_application(known(actions), application)
    facts = asyncio.run(_facts(load_settings(installs_url=installs_url), found, user, sdk))
    if as_json:
        say_json(facts)
        return
    for name in ("state", "authorized", "limits", "choices"):
        say_fact(name, facts[name], 12)
    for form in facts["forms"].values():
        say()
        say(f"{form['publicName']} ({form['key']})")
        table = Listing("field", "value", "type", "label", box=None, header_style="bold")
        for field in form["fields"]:
            table.add_row(field["key"], _value(field), _kind(field), field["label"])
        say_table(table)


async def _facts(settings: Settings, application: type[Application], user: str, sdk: str) -> dict[str, Any]:
    async with opened(settings) as accounts:
        install = await accounts.installs.get(user, application.key, sdk)
        if install is None:
            raise NotInstalled(application.key, user, sdk)
        stored = accounts.installs.settings(install)
        choices, told = {}, "as declared"
        try:
            choices = dict(await accounts.choices(application, user, sdk))
        except ApplicationError as error:
            told = f"the service was not asked: {error}"
        return {
            "state": install.state,
            "authorized": application.is_authorized(stored, has_token=install.sealed.has_token),
            "limits": application.limits(user, stored, sdk),
            "choices": told,
            "other_settings": dict(install.plain),
            "forms": show_forms(application.form_facts(choices), stored),
        }


def _value(field: Mapping[str, Any]) -> str:
    if field["type"] == "password":
        return "set" if field["value"] is True else "-"
    return "-" if field["value"] is None else str(field["value"])


def _kind(field: Mapping[str, Any]) -> str:
    names = [next(iter(choice)) if isinstance(choice, dict) else choice for choice in field["choices"]]
    return f"{field['type']}: {', '.join(names)}" if names else str(field["type"])
