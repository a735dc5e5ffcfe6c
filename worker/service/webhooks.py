"""Webhooks: the platform's editor subscribes when a topology goes on, and unsubscribes when it goes off."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from applications import Application
from applications.application import ApplicationType
from applications.errors import ApplicationError
from worker.service.applications import Known, found_in, found_install, is_authorized
from worker.service.errors import Refused
from worker.service.http import Reply, Request, json_reply
from worker.service.routing import Places, Route
from worker.webhooks.webhook import Webhook, path_of

if TYPE_CHECKING:
    from applications.accounts import Accounts
    from worker.webhooks.store import Webhooks

SECONDS: Final = 25.0
NOBODY: Final = "orchesty"
"""Whose webhooks are meant where no user is named."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the editor asks for; empty where it says nothing."""

    name: str
    topology: str
    node: str
    parameters: Mapping[str, str]


def read_asked(sent: object) -> Asked:
    """Return what a body asks for. Raises `Refused` when it says neither event nor topology."""
    given: dict[str, Any] = sent if isinstance(sent, dict) else {}
    if not given.get("name") and not given.get("topology"):
        raise Refused("Required parameter [name, topology] not found.")
    name, topology, node = (str(given.get(key) or "") for key in ("name", "topology", "node"))
    parameters = given.get("parameters")
    told = parameters.items() if isinstance(parameters, dict) else ()
    return Asked(name, topology, node, {str(key): str(value) for key, value in told})


class WebhookRoutes:
    """Subscribes for users, at the address of the starting point or at the worker's own."""

    def __init__(self, known: Known, accounts: "Accounts | None", webhooks: "Webhooks | None", base_url: str) -> None:
        self._known = known
        self._accounts = accounts
        self._webhooks = webhooks
        self._base_url = base_url

    def routes(self) -> Iterator[Route]:
        """Return the routes."""
        for sdk in ("/sdk/{sdk}", ""):
            own = f"/webhook/applications/{{key}}/users/{{user}}{sdk}"
            yield Route("POST", f"{own}/subscribe", self._subscribe, SECONDS, "Subscribe for an event of a service")
            yield Route("POST", f"{own}/unsubscribe", self._unsubscribe, SECONDS, "End subscriptions")

    async def shown(self, application: type[Application], user: str) -> list[Mapping[str, Any]]:
        """Return the events of an application, with what the user is subscribed to."""
        if self._webhooks is None or application.kind is not ApplicationType.WEBHOOK:
            return []
        topologies: dict[str, str] = {}
        for webhook in await self._webhooks.list(user=user, application=application.key):
            topologies.setdefault(webhook.name, webhook.topology)
        return [
            {
                "name": event.name,
                "default": False,
                "enabled": event.name in topologies,
                "topology": topologies.get(event.name, ""),
            }
            for event in application.webhooks
        ]

    async def _subscribe(self, request: Request, places: Places) -> Reply:
        asked = read_asked(await request.json())
        await self.subscribe(places, asked)
        return json_reply([])

    async def _unsubscribe(self, request: Request, places: Places) -> Reply:
        asked = read_asked(await request.json())
        return json_reply([webhook.id for webhook in await self.unsubscribe(places, asked)])

    async def subscribe(self, places: Mapping[str, str], asked: Asked) -> Sequence[Webhook]:
        """Subscribe, unless it is so already; nothing happens for an application that nobody calls.

        Raises what `worker.webhooks.subscriptions.subscribe` does.
        """
        from worker.webhooks.subscriptions import subscribe  # noqa: PLC0415 - it loads what only installs need

        sdk = places.get("sdk", "")
        found_in(self._known, places["key"])
        accounts, application, install = await found_install(self._known, self._accounts, places)
        is_called = application.kind is ApplicationType.WEBHOOK and bool(application.webhooks)
        if self._webhooks is None or not is_called or not asked.name:
            return ()
        if not sdk and not is_authorized(accounts, application, install):
            return ()
        own = {"user": install.user, "application": application.key, "name": asked.name}
        for webhook in await self._webhooks.list(**own, topology=asked.topology, node=asked.node):
            if webhook.sdk == install.sdk:
                return (webhook,)
        made = await subscribe(
            accounts, self._webhooks, application, install.user, asked.name,
            topology=asked.topology, node=asked.node, public_url=self._base_url, parameters=asked.parameters,
            sdk=install.sdk, path=run_path if sdk else path_of,
        )  # fmt: skip
        return (made,)

    async def unsubscribe(self, places: Mapping[str, str], asked: Asked) -> Sequence[Webhook]:
        """End the subscriptions that are meant; 4.x names them by their topology alone. Return them.

        One that cannot be ended keeps no other one going: what it raises is raised at the end.
        """
        from worker.webhooks.subscriptions import unsubscribe  # noqa: PLC0415 - as above

        sdk = places.get("sdk", "")
        found_in(self._known, places["key"])
        accounts, application, install = await found_install(self._known, self._accounts, places)
        if self._webhooks is None or not (asked.topology or sdk):
            return ()
        wanted = {"name": asked.name, "node": asked.node, "topology": asked.topology}
        only = wanted if sdk else {"topology": asked.topology}
        found = await self._webhooks.list(user=install.user, application=application.key, **only)
        mine = [webhook for webhook in found if webhook.sdk == install.sdk]
        failed: ApplicationError | None = None
        for webhook in mine:
            try:
                await unsubscribe(accounts, self._webhooks, application, webhook)
            except ApplicationError as error:
                failed = failed or error
        if failed is not None:
            raise failed
        return mine


def run_path(webhook: Webhook, token: str) -> str:
    """Return the path of the starting point of 3.0."""
    topology, node = quote(webhook.topology, safe=""), quote(webhook.node, safe="")
    return f"/topologies/{topology}/nodes/{node}/token/{token}/run"
