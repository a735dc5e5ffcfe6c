"""An application with hooks, limits, buttons and webhooks, and a service that has it."""

from collections.abc import Mapping

from pydantic import Field, SecretStr

from applications import Application, Basic, Form, Limit, Subscription
from applications.accounts import Accounts
from applications.application import ApplicationType, CustomAction
from applications.http.client import Client
from applications.install import Install
from support.accounts import database_of
from support.oauth_application import Books
from support.serving import Asked
from worker.accounts.opening import OpenAccounts
from worker.actions.registry import Registry
from worker.service.service import open_service
from worker.settings.settings import load_settings


class Login(Form):
    """What a user fills in."""

    user: str = Field(title="User")
    password: SecretStr = Field(title="Password")
    pages: int = Field(10, title="Pages")
    drafts: bool = Field(False, title="Drafts")
    tags: list[str] = Field([], title="Tags")


class Desk(Application):
    """A service with hooks, limits, buttons and webhooks."""

    key = "desk"
    name = "Desk"
    description = "Tickets"
    authentication = Basic()
    forms = (Login,)
    kind = ApplicationType.WEBHOOK
    limit = Limit(60, 100)
    group_limit = Limit(3600, 5000)
    custom_actions = (CustomAction("Read all", "call", topology="read", node="start"),)
    webhooks = (Subscription("opened", "A ticket was opened", ("queue",)),)
    heard: list[tuple[str, str]]

    async def subscribe(self, client: Client, name: str, url: str, secret: str, parameters: Mapping[str, str]) -> str:
        """Note it."""
        type(self).heard.append((name, url))
        return f"remote-{len(type(self).heard)}"

    async def unsubscribe(self, client: Client, remote_id: str) -> None:
        """Note it."""
        type(self).heard.append(("end", remote_id))
        if remote_id == "remote-2":
            raise KeyError("id")

    async def after_install(self, install: Install, client: Client) -> None:
        """Note it."""
        type(self).heard.append(("install", install.user))

    async def after_uninstall(self, install: Install, client: Client) -> None:
        """Note it."""
        type(self).heard.append(("uninstall", install.user))

    async def after_enable(self, install: Install, client: Client) -> None:
        """Fail."""
        raise RuntimeError("the desk is closed")


def desk_service(accounts: Accounts | None) -> Asked:
    """Return a service with the desk and the books."""
    registry = Registry()
    registry.applications |= {"desk": Desk, "books": Books}
    settings = load_settings(backend_url="http://backend.test", starting_point_dsn="start.test", egress="none")
    found = OpenAccounts(accounts, database_of(accounts)) if accounts else None
    return Asked(open_service(settings, registry, found))
