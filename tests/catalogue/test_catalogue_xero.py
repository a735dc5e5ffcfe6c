"""Xero: log in, call as an organisation, stay logged in; against a server that behaves like it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from support.accounts import install, opened, put_token
from support.webhook_services import CLIENT, SECRET
from support.xero_server import XeroServer

from applications import Application
from applications.accounts import Accounts
from applications.catalogue.xero import Xero
from applications.errors import LoginDead, LoginRefused, NeedsReconnect, NotAuthorized

REDIRECT = "http://127.0.0.1:1/callback"


@pytest.fixture
async def server() -> AsyncIterator[XeroServer]:
    xero = XeroServer()
    async with xero.serve():
        yield xero


@pytest.fixture
def application(server: XeroServer) -> type[Application]:
    """Xero as it is declared, at the loopback server."""
    own = replace(
        Xero.authentication,
        authorize_url=f"{server.base_url}/identity/connect/authorize",
        token_url=f"{server.base_url}/connect/token",
    )
    urls = {"base_url": server.base_url, "connections_url": f"{server.base_url}/connections"}
    return type("LocalXero", (Xero,), {**urls, "authentication": own})


@pytest.fixture
async def accounts(tmp_path: Path, application: type[Application]) -> AsyncIterator[Accounts]:
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as found:
        await install(found, application, client_id=CLIENT, client_secret=SECRET)
        yield found


async def log_in(accounts: Accounts, application: type[Application], **change: str) -> None:
    async with httpx.AsyncClient() as client:
        reply = await client.get(await accounts.logins.start(application, "alice", REDIRECT))
    query = dict(parse_qsl(urlsplit(reply.headers["location"]).query)) | change
    await accounts.finish_login(application, await accounts.logins.read(query, "alice"))


async def organisation(accounts: Accounts, application: type[Application]) -> str:
    client = await accounts.client(application, "alice")
    reply = await client.get("/api.xro/2.0/Organisation")
    return str(reply.json()["Organisations"][0]["OrganisationID"])


async def test_a_person_logs_in_and_the_first_organisation_is_called(
    accounts: Accounts, application: type[Application], server: XeroServer
) -> None:
    with pytest.raises(NotAuthorized):
        await organisation(accounts, application)
    with pytest.raises(LoginDead, match="invalid_grant"):
        await log_in(accounts, application, code="guessed")
    await log_in(accounts, application)
    assert "offline_access" in server.scopes.split(" ")
    assert await organisation(accounts, application) == "tenant-1"


async def test_a_login_without_an_organisation_is_refused(
    accounts: Accounts, application: type[Application], server: XeroServer
) -> None:
    server.tenants.clear()
    with pytest.raises(LoginRefused, match="no organisation was connected"):
        await log_in(accounts, application)


async def test_a_token_that_ended_is_renewed_by_one_that_rotates_until_the_right_is_taken_away(
    accounts: Accounts, application: type[Application], server: XeroServer
) -> None:
    await log_in(accounts, application)
    for _ in range(2):
        await let_it_age(accounts, application, server)
        assert await organisation(accounts, application) == "tenant-1"
    assert server.grants == ["authorization_code", "refresh_token", "refresh_token"]
    server.is_revoked = True
    await let_it_age(accounts, application, server)
    with pytest.raises(NeedsReconnect, match="installs authorize xero alice"):
        await organisation(accounts, application)
    server.is_revoked = False
    await log_in(accounts, application)
    assert await organisation(accounts, application) == "tenant-1"


async def let_it_age(accounts: Accounts, application: type[Application], server: XeroServer) -> None:
    """Let an hour pass: the stored token and the server's have ended."""
    found = await accounts.installs.get("alice", application.key)
    assert found is not None
    token = accounts.installs.token(found)
    assert token is not None
    old = replace(token, obtained=token.obtained - 3600, expires=(token.expires or 0) - 3600)
    await put_token(accounts, "alice", application.key, old)
    server.access[token.access_token] -= 3600
