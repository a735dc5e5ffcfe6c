"""Subscribing at services, and leaving again."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import httpx

from applications.accounts import Accounts
from applications.application import Application
from applications.errors import ApplicationError, TryLater
from applications.webhooks import Webhook, path_of


class SubscribeRefused(ApplicationError):
    """There is no such event, a parameter is missing, or the service refuses."""


async def subscribe(
    accounts: Accounts, application: type[Application], user: str, name: str, *, topology: str, node: str,
    public_url: str, parameters: Mapping[str, str],
) -> Webhook:  # fmt: skip
    """Let a service call us when `name` happens. Nothing of ours stays when it refuses.

    Raises `SubscribeRefused`, `TryLater` or `NotReady`.
    """
    _check(application, name, parameters)
    webhook = await accounts.webhooks.add(user, application.key, name, topology, node)
    url = public_url.rstrip("/") + path_of(webhook)
    try:
        async with accounts.client(application, user) as client:
            remote_id = await application().subscribe(client, name, url, webhook.secret, parameters)
    except BaseException as error:
        await accounts.webhooks.remove(webhook)
        raise _told(application, error) from error
    await accounts.webhooks.subscribed(webhook, remote_id)
    return webhook


async def unsubscribe(accounts: Accounts, application: type[Application], webhook: Webhook) -> None:
    """Tell the service to call no more, and forget the webhook. It stays, marked, when the service does not let go."""
    try:
        async with accounts.client(application, webhook.user) as client:
            await application().unsubscribe(client, webhook.remote_id)
    except BaseException as error:
        await accounts.webhooks.unsubscribe_failed(webhook)
        raise _told(application, error) from error
    await accounts.webhooks.remove(webhook)


def _check(application: type[Application], name: str, parameters: Mapping[str, str]) -> None:
    known = {subscription.name: subscription for subscription in application.webhooks}
    if name not in known:
        raise SubscribeRefused(f"{application.key} has no webhook {name!r}; it has {', '.join(known) or 'none'}")
    if lacking := _lacking(known[name].parameters, parameters):
        raise SubscribeRefused(f"the webhook {name!r} of {application.key} needs {', '.join(lacking)}")


def _lacking(wanted: Sequence[str], given: Mapping[str, str]) -> list[str]:
    return [name for name in wanted if not given.get(name)]


def _told(application: type[Application], error: BaseException) -> BaseException:
    """Return the error in words that help; httpx's own would show the request."""
    if isinstance(error, httpx.HTTPStatusError):
        return SubscribeRefused(f"{application.key} answered {error.response.status_code}: {error.response.text[:200]}")
    if isinstance(error, httpx.HTTPError):
        return TryLater(f"{application.key} cannot be reached: {type(error).__name__}", timedelta(minutes=1))
    return error
