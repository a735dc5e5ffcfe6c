"""The accounts of a command, and what is said when they cannot be used."""

import shlex
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import click

from applications import Application
from applications.errors import ApplicationError, SettingsInvalid
from applications.forms import FieldFacts, FormFacts
from worker.accounts.opening import has_keys, open_accounts
from worker.actions.applications import applications_in, load_applications
from worker.cli.options import Decorator
from worker.cli.starting import starting
from worker.logs import configure_logs
from worker.protocol.topology import Topology
from worker.settings.settings import Settings

if TYPE_CHECKING:
    from applications.accounts import Accounts
    from worker.webhooks.store import Webhooks

installs_option: Decorator = click.option(
    "--installs-url", help="The installs: sqlite:///path or postgresql://...  [env: WORKER_INSTALLS_URL]"
)

sdk_option: Decorator = click.option(
    "--sdk", default="", help="The registered name of the service that it is installed in, where services have names."
)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator["Accounts"]:
    """Open the accounts, as `opened_with_webhooks` does."""
    async with opened_with_webhooks(settings) as (accounts, _):
        yield accounts


@asynccontextmanager
async def opened_with_webhooks(settings: Settings) -> AsyncIterator[tuple["Accounts", "Webhooks"]]:
    """Open the accounts and the store of webhooks.

    What goes wrong with them becomes a `ClickException`, whose text names the cure. Log lines, such as that of a
    renewed token, go to stderr, so that they stay out of what is printed.
    """
    from worker.webhooks.store import open_webhooks  # noqa: PLC0415 - not for every command

    configure_logs(settings)
    found = open_accounts(settings)
    found.accounts.join({}, starting(settings))
    try:
        yield found.accounts, open_webhooks(found)
    except SettingsInvalid as error:
        lines = [f"  {form}.{key}: {text}" for form, fields in error.errors.items() for key, text in fields.items()]
        raise click.ClickException("\n".join(["nothing was saved, these values are wrong:", *lines])) from None
    except ApplicationError as error:
        raise click.ClickException(str(error)) from None
    finally:
        await found.close()


async def limits_of(settings: Settings, topology: Topology, user: str, sdk: str = "") -> str:
    """Return the limiter key of a user for the applications of a topology; empty where no installs are kept."""
    if not has_keys(settings):
        return ""
    used = applications_in(topology, load_applications(settings.actions))
    async with opened(settings) as accounts:
        return await accounts.limits(user, used, sdk)


def read_values(application: type[Application], words: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read `field=value` words; a word without value is asked for, so that it stays out of the shell's history.

    `field=` empties a text, and clears anything else.

    Raises a `UsageError` that names the fields when there is no such one.
    """
    given: dict[str, dict[str, Any]] = {}
    for word in words:
        name, equals, text = word.partition("=")
        form, field = _find(application, name)
        value = text if equals else click.prompt(field.label, hide_input=field.is_secret)
        given.setdefault(form.key, {})[field.key] = _typed(field, value)
    return given


def _typed(field: FieldFacts, text: str) -> str | list[str] | None:
    if not text and field.type not in {"text", "password"}:
        return None
    return text.split(",") if field.type == "multiselect" else text


def read_parameters(words: Sequence[str]) -> dict[str, str]:
    """Read `name=value` words. Raises a `UsageError` for one without value."""
    pairs = [word.partition("=") for word in words]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise click.UsageError(f"{wrong[0]} has no value; write {wrong[0]}=VALUE")
    return {name: value for name, _, value in pairs}


def command_line(*words: str) -> str:
    """Return a command of ours as a shell takes it, with whatever names users have."""
    return shlex.join(("orchesty-worker", *words))


def _find(application: type[Application], name: str) -> tuple[FormFacts, FieldFacts]:
    facts = application.form_facts()
    for form in facts:
        for field in form.fields:
            if name in {field.key, f"{form.key}.{field.key}"}:
                return form, field
    names = ", ".join(field.key for form in facts for field in form.fields)
    raise click.UsageError(f"{application.key} has no field {name!r}; it has {names}")
