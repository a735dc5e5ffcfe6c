"""`orchesty-worker applications`."""

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from mimetypes import guess_type
from typing import Any, Final

import click
from rich.console import Console

from applications import Application, ApplicationType
from applications.errors import ServiceAway, ServiceRefused
from applications.forms import FieldFacts, show
from applications.http.errors import ReplyUnreadable
from applications.redaction import redact
from applications.sync_call import SyncCall, TextReply
from worker.actions.applications import find_application, load_applications
from worker.cli.accounts import installs_option, opened, read_parameters, sdk_option
from worker.cli.action_options import actions_option, load
from worker.cli.options import json_option
from worker.cli.printing import Listing, say, say_fact, say_json, say_table, say_text
from worker.settings.settings import Settings, load_settings

_STARTS: Final = {ApplicationType.CRON: "asked on a schedule", ApplicationType.WEBHOOK: "calls us (webhooks)"}
"""What starts topologies of an application, in words."""


def known(modules: tuple[str, ...]) -> Mapping[str, type[Application]]:
    """Return the applications by key."""
    settings = load_settings(actions=modules or None)
    with Console(stderr=True).status("importing actions"):
        return load_applications(settings.actions)


@click.command(
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
        say_json([_facts(application) for application in found.values()])
        return
    table = Listing("key", "name", "login", "description", box=None, header_style="bold")
    for key, application in found.items():
        table.add_row(key, application.public_name(), _way(application), application.description)
    say_table(table)


@click.command(
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
    """Show the settings that a user fills in for an application, and how its requests are signed."""
    application = find_application(known(actions), key)
    described = _facts(application) | {"actions": ", ".join(_names_of_actions(actions, application))}
    if as_json:
        facts = {**described, "logo": _logo(application), "forms": show(application.form_facts(), {})}
        say_json(facts)
        return
    described["type"] = _STARTS[application.kind]
    for name, value in described.items():
        say_fact(name, value, 14)
    for form in application.form_facts():
        say()
        say(f"{form.name} ({form.key})")
        table = Listing("field", "type", "required", "label", "description", box=None, header_style="bold")
        for field in form.fields:
            required = "yes" if field.is_required else "no"
            table.add_row(field.key, _kind(field), required, field.label, field.description)
        say_table(table)


@click.command(
    epilog="""\b
Examples:
  orchesty-worker applications call shop warehouses --user alice
  orchesty-worker applications call shop orders --user alice state=open | jq .
  orchesty-worker applications call shop page --data '{"lang": "cs"}' > page.html
""",
)
@click.argument("key")
@click.argument("method")
@click.argument("parameters", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--user", default="", help="Call the service as this user.")
@sdk_option
@click.option("--data", help="The body of the request, which is a POST then, else a GET.")
@actions_option
@installs_option
def call(
    key: str, method: str, parameters: tuple[str, ...], user: str, sdk: str, data: str | None,
    actions: tuple[str, ...], installs_url: str | None,
) -> None:  # fmt: skip
    """Call a synchronous method of an application, and print its answer."""
    application = find_application(known(actions), key)
    if method not in application.sync_methods():
        names = ", ".join(application.sync_methods()) or "none"
        raise click.UsageError(f"{key} has no synchronous method {method!r}; it has {names}")
    given, body = read_parameters(parameters), None if data is None else data.encode()
    answer = asyncio.run(_call(load_settings(installs_url=installs_url), application, method, (user, sdk), given, body))
    if isinstance(answer, TextReply):
        say_text(answer.text)
    else:
        say_json(answer)


async def _call(
    settings: Settings, application: type[Application], method: str, who: tuple[str, str], query: Mapping[str, str],
    body: bytes | None,
) -> Any:  # fmt: skip
    async with opened(settings) as accounts:
        client, (user, sdk) = accounts.later_client(application, *who), who
        verb = "GET" if body is None else "POST"
        asked = SyncCall(method=verb, user=user, sdk=sdk, query=query, body=body or b"", client=client)
        try:
            return await application.sync_methods()[method](accounts.made(application), asked)
        except (ServiceRefused, ServiceAway, ReplyUnreadable) as error:
            secrets = (await client.access()).secrets
            raise click.ClickException(
                f"{application.key} did not answer well: {redact(str(error), secrets)}"
            ) from None


def _logo(application: type[Application]) -> str | None:
    """Return the image as a `data:` URL."""
    if application.logo is None:
        return None
    try:
        image = b64encode(application.logo.read_bytes()).decode()
    except OSError as error:
        raise click.ClickException(f"the logo of {application.key}: {error}") from None
    return f"data:{guess_type(application.logo)[0] or 'application/octet-stream'};base64,{image}"


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
        "custom_actions": ", ".join(action.name for action in application.custom_actions),
    }


def _names_of_actions(modules: tuple[str, ...], application: type[Application]) -> list[str]:
    return [action.name for action in load(modules) if getattr(action, "application", None) is application]
