"""`orchesty-worker webhooks`."""

import asyncio
from pathlib import Path

import click

from applications import Application
from worker.actions.applications import find_application
from worker.cli.accounts import installs_option, opened_with_webhooks, read_parameters, sdk_option
from worker.cli.action_options import actions_option
from worker.cli.applications import known
from worker.cli.options import json_option, topology_option
from worker.cli.printing import Listing, say, say_json, say_table
from worker.protocol.topology import Node
from worker.protocol.topology_file import load_topology
from worker.settings.settings import Settings, load_settings


@click.command(
    "list",
    epilog="""\b
Examples:
  orchesty-worker webhooks list --application git-hub
  orchesty-worker webhooks list --json | jq -r '.[].id'
""",
)
@click.option("--user", default="", help="Only webhooks of this user.")
@click.option("--application", default="", help="Only webhooks of this application.")
@installs_option
@json_option
def list_(user: str, application: str, installs_url: str | None, *, as_json: bool) -> None:
    """List the webhooks. Their addresses are secrets and are not shown."""
    found = asyncio.run(_list(load_settings(installs_url=installs_url), user, application))
    if as_json:
        say_json(found)
        return
    if not found:
        say("There are no webhooks. See: orchesty-worker webhooks subscribe --help")
        return
    table = Listing(*found[0], box=None, header_style="bold")
    for row in found:
        table.add_row(*row.values())
    say_table(table)


async def _list(settings: Settings, user: str, application: str) -> list[dict[str, str]]:
    async with opened_with_webhooks(settings) as (_, stored):
        found = await stored.list(user=user, application=application)
    return [
        {
            "id": webhook.id[:8],
            "application": webhook.application,
            "user": webhook.user,
            "name": webhook.name,
            "node": webhook.node,
            "topology": webhook.topology,
            "state": _state(webhook.remote_id, is_failed=webhook.is_unsubscribe_failed),
        }
        for webhook in found
    ]


def _state(remote_id: str, *, is_failed: bool) -> str:
    if is_failed:
        return "unsubscribe failed"
    return "subscribed" if remote_id else "not subscribed"


@click.command(
    epilog="""\b
Examples:
  orchesty-worker webhooks subscribe shopify alice orders/create --node start
  orchesty-worker webhooks subscribe git-hub alice issues owner=me record=shop --node start
"""
)
@click.argument("application")
@click.argument("user")
@click.argument("name")
@click.argument("parameters", nargs=-1, metavar="[PARAMETER=VALUE]...")
@click.option("--node", required=True, help="Id or name of the node that each call starts.")
@click.option("--public-url", help="The address at which the service reaches the worker.  [env: WORKER_PUBLIC_URL]")
@click.option(
    "--another", is_flag=True, help="Subscribe even if the same webhook exists; each event then starts two runs."
)
@sdk_option
@topology_option
@actions_option
@installs_option
def subscribe(
    application: str, user: str, name: str, parameters: tuple[str, ...], node: str, public_url: str | None, sdk: str,
    topology_path: Path | None, actions: tuple[str, ...], installs_url: str | None, *, another: bool,
) -> None:  # fmt: skip
    """Let a service call the worker whenever NAME happens, and start the topology at a node."""
    settings = load_settings(topology=topology_path, installs_url=installs_url, public_url=public_url)
    if settings.public_url is None:
        raise click.UsageError(
            "give the address at which the service reaches the worker: --public-url or WORKER_PUBLIC_URL"
        )
    found = find_application(known(actions), application)
    target = load_topology(settings.topology).node(node)
    given = read_parameters(parameters)
    asyncio.run(_subscribe(settings, found, user, sdk, name, given, target, is_another=another))
    say(f"{application} of user {user} calls node {target.name} for {name}.")


async def _subscribe(
    settings: Settings, application: type[Application], user: str, sdk: str, name: str, parameters: dict[str, str],
    node: Node, *, is_another: bool,
) -> None:  # fmt: skip
    from worker.webhooks.subscriptions import subscribe as subscribe_at  # noqa: PLC0415 - not for every command

    async with opened_with_webhooks(settings) as (accounts, stored):
        await subscribe_at(
            accounts, stored, application, user, name, topology=node.topology_id, node=node.id,
            public_url=settings.public_url or "", parameters=parameters, is_another=is_another, sdk=sdk,
        )  # fmt: skip


@click.command(epilog="\b\nExample:\n  orchesty-worker webhooks unsubscribe 1f3a9c20\n")
@click.argument("webhook_id", metavar="ID")
@click.option("--forget", is_flag=True, help="Do not tell the service; only refuse its calls from now on.")
@actions_option
@installs_option
def unsubscribe(webhook_id: str, actions: tuple[str, ...], installs_url: str | None, *, forget: bool) -> None:
    """End a webhook, here and at the service. You may shorten ID as long as it is unique."""
    settings = load_settings(installs_url=installs_url)
    asyncio.run(_unsubscribe(settings, webhook_id, actions, forget=forget))
    say(f"webhook {webhook_id} is gone.")


async def _unsubscribe(settings: Settings, webhook_id: str, actions: tuple[str, ...], *, forget: bool) -> None:
    from worker.webhooks.subscriptions import unsubscribe as unsubscribe_at  # noqa: PLC0415 - not for every command

    async with opened_with_webhooks(settings) as (accounts, stored):
        found = [webhook for webhook in await stored.list() if webhook.id.startswith(webhook_id)]
        if len(found) != 1:
            raise click.ClickException(
                f"{webhook_id}: no such webhook, or more than one. See: orchesty-worker webhooks list"
            )
        if forget:
            await stored.remove(found[0])
        else:
            application = find_application(known(actions), found[0].application)
            await unsubscribe_at(accounts, stored, application, found[0])
