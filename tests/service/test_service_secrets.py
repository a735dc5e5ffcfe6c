"""What is secret of installs is in no reply and in no line of the log, whatever the platform asks."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.accounts import database_of, install_books, log_in, opened
from support.oauth_application import Books
from support.oauth_server import SECRET, OAuthServer
from support.serving import Asked

from applications.accounts import Accounts
from worker.accounts.opening import OpenAccounts
from worker.actions.registry import Registry
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
