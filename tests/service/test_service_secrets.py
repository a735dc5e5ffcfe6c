"""What is secret of installs is in no reply and in no line of the log, whatever the platform asks."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs
from support.accounts import CRYPT_SECRET, database_of, install_books, log_in, opened
from support.installation.together import PREFIX, SDK, Installation, installation
from support.installation.worker_api import KEY
from support.oauth_application import Books
from support.oauth_server import CLIENT, SECRET, OAuthServer
from support.serving import Asked

from applications.accounts import Accounts
from connectors import Connector, Message
from worker.accounts.opening import OpenAccounts
from worker.actions.registry import Registry
from worker.checks.installation import check_installation
from worker.service.service import open_service
from worker.settings.settings import load_settings

CANARY = "canary-0f3a9c"
OWN = "/applications/books/users/alice"


@pytest.fixture
async def server() -> AsyncIterator[OAuthServer]:
    async with OAuthServer().serve() as serving:
        yield serving


@pytest.fixture
async def accounts(tmp_path: Path) -> AsyncIterator[Accounts]:
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as accounts:
        yield accounts


@pytest.mark.parametrize("app_env", ["prod", "debug"])
async def test_no_reply_and_no_line_of_the_log_has_a_secret(
    accounts: Accounts, server: OAuthServer, app_env: str
) -> None:
    await install_books(accounts, server)
    token = await log_in(accounts, server)
    registry = Registry()
    registry.applications |= {"books": Books}
    settings = load_settings(backend_url="http://backend.test", egress="none", app_env=app_env)
    ask = Asked(open_service(settings, registry, OpenAccounts(accounts, database_of(accounts))))
    wrong, one = (
        {"client_secret": CANARY, "server": "no address"},
        {"formKey": "authorization_form", "password": CANARY},
    )
    with capture_logs() as logs:
        answers = [
            await ask("GET", "/applications"),
            await ask("GET", "/applications/users/alice"),
            await ask("GET", OWN),
            await ask("GET", f"{OWN}/authorize?redirect_url=http://page.test"),
            await ask("GET", f"{OWN}/authorize/token?code={CANARY}&state={CANARY}"),
            await ask("GET", "/applications/books/sync/orders?user=alice"),
            await ask("POST", "/applications/limits", {"user": "alice", "applications": ["books"]}),
            await ask("POST", f"{OWN}/install"),
            await ask("PUT", f"{OWN}/password", one | {"fieldKey": "no"}),
            await ask("PUT", f"{OWN}/password", one | {"fieldKey": "client_secret", "formKey": CANARY}),
            await ask("PUT", f"{OWN}/settings", {"authorization_form": {"client_secret": [CANARY]}}),
            await ask("PUT", f"{OWN}/settings", {"authorization_form": wrong}),
            await ask("PUT", f"{OWN}/settings", {"authorization_form": {"client_secret": CANARY}}),
            await ask("GET", OWN),
            await ask("DELETE", f"{OWN}/uninstall"),
        ]
    told = [answer.reply.body.decode() for answer in answers] + [str(line) for line in logs]
    assert len(told) >= len(answers)
    for secret in (CANARY, SECRET, *token.secrets):
        assert [text for text in told if secret in text] == [], secret


class Orders(Connector[object, object]):
    """Brings the application along."""

    name = "orders"
    application = Books

    async def process(self, message: Message[object]) -> Message[object]:
        """Return what the service says."""
        return message.with_data((await self.get("/orders")).json())


PLACES = {"key": "books", "user": "alice", "sdk": SDK, "name": "orders", "method": "orders"}
QUERY = f"redirect_url=http://page.test&code={CANARY}&state={CANARY}&user=alice&sdk={SDK}"
BODIES = (
    {},
    {"authorization_form": {"client_secret": CANARY, "server": "no address"}},
    {"authorization_form": {"client_secret": [CANARY]}},
    {"formKey": "authorization_form", "fieldKey": "client_secret", "password": CANARY},
    {"user": "alice", "applications": ["books"], "name": CANARY, "topology": "t", "node": "n", "enabled": True},
)


async def asked_everything(at: Installation, client: httpx.AsyncClient) -> list[str]:
    """Ask each route that is described in several ways, those that delete at last; return what was answered."""
    described = (await client.get("/openapi.json")).json()["paths"]
    routes = [(verb.upper(), path.format(**PLACES)) for path, verbs in described.items() for verb in verbs]
    in_order = sorted(routes, key=lambda route: route[0] == "DELETE")
    asked = [(verb, f"{path}?{QUERY}", body) for verb, path in in_order for body in BODIES]
    asked += [("GET", page, None) for page in ("/docs", "/openapi.json", f"{at.service.removesuffix(PREFIX)}/metrics")]
    return [(await client.request(verb, url, json=body)).text for verb, url, body in asked]


async def test_no_route_no_page_no_document_and_no_check_has_a_secret(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with installation(tmp_path, Orders(), names_services=True) as at:
            at.backend.register(SDK, at.service)
            await at.backend.install(SDK, "books", "alice")
            filled = {"client_id": CLIENT, "client_secret": SECRET, "server": at.oauth.base_url}
            await at.backend.save(SDK, "books", "alice", **filled)
            await at.log_in("books", "alice", "http://page.test")
            await at.backend.switch(SDK, "books", "alice", enabled=True)
            async with httpx.AsyncClient(
                base_url=at.service, headers={"orchesty-api-key": KEY}, trust_env=False
            ) as own:
                told = await asked_everything(at, own)
            told += [str(finding) async for finding in check_installation(at.settings)]
    told += [json.dumps(at.worker_api.documents), str(at.worker_api.requests), *map(str, logs)]
    assert sum("ok" in text for text in told) > 5, "the action, the method and hooks were run"
    for secret in (CANARY, SECRET, CRYPT_SECRET, KEY, PREFIX, *at.oauth.issued, *at.oauth.refresh_tokens):
        assert [text for text in told if secret in text] == [], secret
