"""Subscribing at services, and leaving again."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from applications.accounts import Accounts
from applications.application import Application
from applications.errors import ApplicationError, ServiceRefused, TryLater
from applications.http.client import Client
from applications.http.errors import ReplyUnreadable
from applications.own_code import called
from applications.redaction import redact
from worker.actions.errors import text_without_values
from worker.webhooks.store import Webhooks
from worker.webhooks.webhook import Webhook, as_text, path_of


class SubscribeRefused(ApplicationError):
    """There is no such event, a parameter is missing, it is subscribed already, or the service refuses."""


async def subscribe(
    accounts: Accounts, webhooks: Webhooks, application: type[Application], user: str, name: str,
    *, topology: str, node: str, public_url: str, parameters: Mapping[str, str], is_another: bool = False,
    sdk: str = "", path: Callable[[Webhook, str], str] = path_of,
) -> Webhook:  # fmt: skip
    """Let a service call us when `name` happens, at `public_url` with the `path` of the webhook and its token.

    Nothing stays, here or there, when either side refuses.

    A second webhook for the same, which starts a second run for each event, is made only as `is_another`.
    Raises `SubscribeRefused`, `TryLater` or `NotReady`.
    """
    _check(application, name, parameters)
    same = {"user": user, "application": application.key, "name": name, "topology": topology, "node": node}
    found = [one for one in await webhooks.list(**same, parameters=as_text(parameters)) if one.sdk == sdk]
    if found and not is_another:
        raise SubscribeRefused(
            f"{application.key} of user {user!r} is subscribed for {name} at this node already, as {found[0].id[:8]}; "
            f"orchesty-worker webhooks unsubscribe {found[0].id[:8]} takes it away, --another makes a second one"
        )
    webhook = await webhooks.add(**same, parameters=parameters, sdk=sdk)
    own = webhooks.secrets(webhook)
    url = public_url.rstrip("/") + path(webhook, own.token)
    try:
        async with _asking(accounts, webhooks, application, webhook) as client:
            own_method = accounts.made(application).subscribe
            remote_id = await called(own_method, client, name, url, own.secret, parameters)
            await _save(webhooks, accounts.made(application), webhook, client, remote_id)
    except BaseException:
        with suppress(TryLater):  # what went wrong first is told
            await webhooks.remove(webhook)
        raise
    return replace(webhook, remote_id=remote_id)


async def _save(webhooks: Webhooks, application: Application, webhook: Webhook, client: Client, remote_id: str) -> None:
    """Save what the service calls the webhook; else let it call no more, while we still know what to ask for."""
    if not remote_id:
        raise SubscribeRefused(f"{application.key} did not say what it calls the webhook: remove it there")
    try:
        await webhooks.subscribed(webhook, remote_id)
    except BaseException as error:
        try:
            await called(application.unsubscribe, client, remote_id)
        except Exception:  # the application's own code may raise anything
            raise SubscribeRefused(
                f"{application.key} calls us as {remote_id}, which could be neither saved nor taken back: "
                f"remove it there ({error})"
            ) from None
        raise


async def unsubscribe(accounts: Accounts, webhooks: Webhooks, application: type[Application], webhook: Webhook) -> None:
    """Tell the service to call no more, and forget the webhook. It stays, marked, when the service does not let go.

    Raises `SubscribeRefused`, `TryLater`, `NotReady` or `SecretsError`.
    """
    if not webhook.remote_id:
        raise SubscribeRefused(
            f"what {application.key} calls this webhook was never known: look there for webhooks that call this worker "
            f"and remove this one, then run: orchesty-worker webhooks unsubscribe {webhook.id[:8]} --forget"
        )
    try:
        async with _asking(accounts, webhooks, application, webhook) as client:
            await called(accounts.made(application).unsubscribe, client, webhook.remote_id)
    except BaseException:
        await webhooks.unsubscribe_failed(webhook)
        raise
    await webhooks.remove(webhook)


@asynccontextmanager
async def _asking(
    accounts: Accounts, webhooks: Webhooks, application: type[Application], webhook: Webhook
) -> AsyncIterator[Client]:
    """Give a client. What goes wrong is told without secrets."""
    own = webhooks.secrets(webhook)
    client = await _client(accounts, application, webhook)
    access = await client.access()
    try:
        yield client
    except ServiceRefused as error:
        text = redact(error.response.text, {own.token, own.secret, *access.secrets})
        raise SubscribeRefused(f"{application.key} answered {error.response.status}: {text[:200]}") from None
    except (SubscribeRefused, ReplyUnreadable) as error:
        raise SubscribeRefused(redact(str(error), {own.token, own.secret, *access.secrets})) from None
    except ApplicationError:
        raise
    except Exception as error:  # the application's own code may raise anything
        text = f"{application.key} failed: {type(error).__name__}: {text_without_values(error)}"
        raise SubscribeRefused(redact(text, {own.token, own.secret, *access.secrets})) from error


async def _client(accounts: Accounts, application: type[Application], webhook: Webhook) -> Client:
    """Return a client, also of an install that is switched off: its topologies may be switched on before it."""
    install = await accounts.installs.find(webhook.user, application.key, webhook.sdk)
    if install is None or install.is_enabled:
        return await accounts.client(application, webhook.user, webhook.sdk)
    return await accounts.kept_client(application, install)


def _check(application: type[Application], name: str, parameters: Mapping[str, str]) -> None:
    known = {subscription.name: subscription for subscription in application.webhooks}
    if name not in known:
        raise SubscribeRefused(f"{application.key} has no webhook {name!r}; it has {', '.join(known) or 'none'}")
    if lacking := _lacking(known[name].parameters, parameters):
        raise SubscribeRefused(f"the webhook {name!r} of {application.key} needs {', '.join(lacking)}")


def _lacking(wanted: Sequence[str], given: Mapping[str, str]) -> list[str]:
    return [name for name in wanted if not given.get(name)]
