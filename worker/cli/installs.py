"""`orchesty-worker installs`."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from applications import Application
from applications.authentication import TokenAuthentication
from applications.install import Install
from applications.lifecycle import Lifecycle
from worker.actions.applications import find_application
from worker.cli.accounts import command_line, installs_option, opened, opened_with_webhooks, read_values, sdk_option
from worker.cli.action_options import actions_option
from worker.cli.applications import known
from worker.cli.options import json_option
from worker.cli.printing import Listing, say, say_json, say_table
from worker.cli.terminal import confirm
from worker.settings.settings import Settings, load_settings

_application = click.argument("application")
_user = click.argument("user")
_values = click.argument("values", nargs=-1, metavar="[FIELD=VALUE]...")


@click.command(
    "list",
    epilog="""\b
Examples:
  orchesty-worker installs list --application xero
  orchesty-worker installs list --json | jq -r '.[] | select(.state == "needs reconnect").user'
""",
)
@click.option("--user", default="", help="Only installs of this user.")
@click.option("--application", default="", help="Only installs of this application.")
@click.option("--sdk", default="", help="Only installs in the service of this name.")
@actions_option
@installs_option
@json_option
def list_(
    user: str, application: str, sdk: str, actions: tuple[str, ...], installs_url: str | None, *, as_json: bool
) -> None:
    """List the installs: user, application, and the state of the login."""
    found = asyncio.run(_list(load_settings(installs_url=installs_url), user, application, sdk))
    applications = known(actions) if found else {}
    if as_json:
        say_json([_facts(install) | {"state": _state(install, applications)} for install in found])
        return
    if not found:
        say("Nothing is installed. See: orchesty-worker installs add --help")
        return
    services = ("service",) if any(install.sdk for install in found) else ()
    table = Listing("application", "user", *services, "state", "token ends", "problem", box=None, header_style="bold")
    for install in found:
        service = (install.sdk,) if services else ()
        ends = _time(install.expires)
        state = _state(install, applications)
        table.add_row(install.application, install.user, *service, state, ends, install.problem)
    say_table(table)


def _state(install: Install, applications: Mapping[str, type[Application]]) -> str:
    """Return the state, with what the application knows: whether somebody still has to log in."""
    way = getattr(applications.get(install.application), "authentication", None)
    needs_login = isinstance(way, TokenAuthentication) and way.is_login and not install.sealed.has_token
    return "needs login" if needs_login and install.state == "enabled" else install.state


async def _list(settings: Settings, user: str, application: str, sdk: str) -> list[Install]:
    async with opened(settings) as accounts:
        return list(await accounts.installs.list(user, application, sdk))


@click.command(
    epilog="""\b
Examples:
  orchesty-worker installs add shopify alice shopifyUrl=https://eshop.myshopify.com token
  orchesty-worker installs add xero alice client_id=ABC client_secret --disabled
"""
)
@_application
@_user
@_values
@click.option("--disabled", is_flag=True, help="Install it switched off.")
@sdk_option
@actions_option
@installs_option
def add(
    application: str, user: str, values: tuple[str, ...], sdk: str, actions: tuple[str, ...], installs_url: str | None,
    *, disabled: bool,
) -> None:  # fmt: skip
    """Install an application for a user. The command asks for a FIELD without VALUE."""
    if not user:
        raise click.UsageError("USER is empty, and no message belongs to such a user")
    found = find_application(known(actions), application)
    given = read_values(found, values)
    asyncio.run(_add(load_settings(installs_url=installs_url), found, user, sdk, given, is_enabled=not disabled))


async def _add(
    settings: Settings, application: type[Application], user: str, sdk: str, given: dict[str, dict[str, Any]],
    *, is_enabled: bool,
) -> None:  # fmt: skip
    async with opened(settings) as accounts:
        await Lifecycle(accounts).install(application, user, given, is_enabled=is_enabled, sdk=sdk)
        install = await accounts.installs.get(user, application.key, sdk)
        assert install is not None, "it was just added"
        _say_what_is_missing(application, install, accounts.installs.settings(install))


@click.command(
    "set",
    epilog="""\b
Examples:
  orchesty-worker installs set shopify alice token
  orchesty-worker installs set shopify alice useLimit=true time=1 value=2
  orchesty-worker installs set shopify alice useLimit=false time= value=
""",
)
@_application
@_user
@click.argument("values", nargs=-1, required=True, metavar="FIELD[=VALUE]...")
@sdk_option
@actions_option
@installs_option
def set_(
    application: str, user: str, values: tuple[str, ...], sdk: str, actions: tuple[str, ...], installs_url: str | None
) -> None:
    """Change settings of an install; others stay. The command asks for a FIELD without VALUE; `FIELD=` clears it."""
    found = find_application(known(actions), application)
    given = read_values(found, values)
    asyncio.run(_set(load_settings(installs_url=installs_url), found, user, sdk, given))


async def _set(
    settings: Settings, application: type[Application], user: str, sdk: str, given: dict[str, dict[str, Any]]
) -> None:
    async with opened(settings) as accounts:
        await accounts.save(user, application, given, sdk=sdk)
        install = await accounts.installs.get(user, application.key, sdk)
        assert install is not None, "it was just saved"
        _say_what_is_missing(application, install, accounts.installs.settings(install))


def _say_what_is_missing(application: type[Application], install: Install, settings: dict[str, dict[str, Any]]) -> None:
    say(f"{application.key} of user {install.user} is saved.")
    way = application.authentication
    if lacking := application.missing(settings):
        say(f"Still missing: {', '.join(lacking)}")
    elif isinstance(way, TokenAuthentication) and way.is_login:
        authorize = ("installs", "authorize", application.key, install.user, *in_service(install.sdk))
        say(f"Log in with: {command_line(*authorize)}")


@click.command(epilog="\b\nExample:\n  orchesty-worker installs enable shopify alice\n")
@_application
@_user
@sdk_option
@actions_option
@installs_option
def enable(application: str, user: str, sdk: str, actions: tuple[str, ...], installs_url: str | None) -> None:
    """Switch an install on."""
    found = _known_or_bare(actions, application)
    asyncio.run(_switch(load_settings(installs_url=installs_url), found, user, sdk, is_enabled=True))


@click.command(epilog="\b\nExample:\n  orchesty-worker installs disable shopify alice\n")
@_application
@_user
@sdk_option
@actions_option
@installs_option
def disable(application: str, user: str, sdk: str, actions: tuple[str, ...], installs_url: str | None) -> None:
    """Switch an install off: its messages go to the trash. Settings and login stay."""
    found = _known_or_bare(actions, application)
    asyncio.run(_switch(load_settings(installs_url=installs_url), found, user, sdk, is_enabled=False))


async def _switch(settings: Settings, application: type[Application], user: str, sdk: str, *, is_enabled: bool) -> None:
    async with opened(settings) as accounts:
        await Lifecycle(accounts).switch(application, user, sdk, is_enabled=is_enabled)
    say(f"{application.key} of user {user} is {'enabled' if is_enabled else 'disabled'}.")


@click.command(epilog="\b\nExample:\n  orchesty-worker installs remove shopify alice --yes\n")
@_application
@_user
@click.option("--yes", "-y", "is_confirmed", is_flag=True, help="Do not ask.")
@click.option("--keep-webhooks", "keeps_webhooks", is_flag=True, help="Keep its webhooks, here and at the service.")
@sdk_option
@actions_option
@installs_option
def remove(
    application: str, user: str, sdk: str, actions: tuple[str, ...], installs_url: str | None,
    *, is_confirmed: bool, keeps_webhooks: bool,
) -> None:  # fmt: skip
    """Delete an install permanently, with its settings and login. End its webhooks first."""
    confirm(f"Delete {application} of user {user} with its settings and login?", is_confirmed=is_confirmed)
    found, settings = _known_or_bare(actions, application), load_settings(installs_url=installs_url)
    asyncio.run(_remove(settings, found, user, sdk, keeps_webhooks=keeps_webhooks))
    say(f"{application} of user {user} is removed.")


async def _remove(
    settings: Settings, application: type[Application], user: str, sdk: str, *, keeps_webhooks: bool
) -> None:
    async with opened_with_webhooks(settings) as (accounts, webhooks):
        key = application.key
        own = [webhook.id for webhook in await webhooks.list(user=user, application=key) if webhook.sdk == sdk]
        if own and not keeps_webhooks:
            ends = "".join(f"\n  {command_line('webhooks', 'unsubscribe', webhook[:8])}" for webhook in own)
            raise click.ClickException(
                f"nothing was removed: the service goes on calling the webhooks of {key} of user {user!r}, "
                f"and a new install revives them. End them first, or leave them with --keep-webhooks:{ends}"
            )
        await Lifecycle(accounts).uninstall(application, user, sdk)


def _known_or_bare(actions: tuple[str, ...], key: str) -> type[Application]:
    """Return the application; for one that is not known here, whose installs may be left over, one without hooks."""
    found = known(actions).get(key)
    if found is None:
        say(f"{key} is none of the applications here: its hooks do not run. Name its actions with --actions.", err=True)
        return type("Unknown", (Application,), {"key": key})
    return found


def in_service(sdk: str) -> tuple[str, ...]:
    """Return the words that name a service to a command; none for an install that knows no services."""
    return ("--sdk", sdk) if sdk else ()


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S") if ms else "-"


def _facts(install: Install) -> dict[str, Any]:
    return {
        "application": install.application,
        "user": install.user,
        "sdk": install.sdk,
        "state": install.state,
        "problem": install.problem,
        "token_ends": _time(install.expires) if install.expires else None,
        "settings": install.sealed.fields,
        "other_settings": dict(install.plain),
        "created": _time(install.created),
        "updated": _time(install.updated),
    }
