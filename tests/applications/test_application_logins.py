"""Logins: off to the service and back."""

import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import event
from support.accounts import database_of, install, install_books, log_in, opened, sealed_token_of
from support.logins import REDIRECT, everything_in, visit
from support.oauth_application import Books, Machine
from support.oauth_server import CLIENT, SECRET, OAuthServer

from applications import Application
from applications.accounts import Accounts
from applications.catalogue.shopify import ShopifyOAuth
from applications.errors import (
    LoginDead,
    LoginRefused,
    NotAuthorized,
    NotInstalled,
    SettingsMissing,
    TokenEndpointAway,
)
from applications.http.client import Client


@pytest.fixture
async def server() -> AsyncIterator[OAuthServer]:
    async with OAuthServer().serve() as serving:
        yield serving


@pytest.fixture
async def accounts(tmp_path: Path) -> AsyncIterator[Accounts]:
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as found:
        yield found


async def log_in_as_a_person(accounts: Accounts, application: type[Application], user: str = "alice") -> None:
    query = await visit(await accounts.logins.start(application, user, REDIRECT))
    await accounts.finish_login(application, await accounts.logins.read(query, user))


async def test_a_person_logs_in(accounts: Accounts, server: OAuthServer) -> None:
    await install_books(accounts, server)
    with pytest.raises(NotAuthorized):
        await accounts.access(Books, "alice")
    url = await accounts.logins.start(Books, "alice", REDIRECT)
    asked = parse_qs(urlsplit(url).query)
    assert (asked["scope"], asked["access_type"]) == (["read write"], ["offline"])
    assert asked["code_challenge_method"] == ["S256"]
    assert "alice" not in asked["state"][0]
    await log_in_as_a_person(accounts, Books)
    client = await accounts.client(Books, "alice")
    assert (await client.get("/orders")).status == 200
    assert "client_secret" not in server.calls[0]  # it is in the header


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"error": "access_denied", "code": ""}, "the service says access_denied"),
        ({"code": ""}, "sent no code"),
        ({"state": ""}, "missing, or was not issued here"),
        ({"state": "v1.test.AAAA"}, "missing, or was not issued here"),
    ],
)
async def test_a_callback_that_is_wrong_is_refused(
    accounts: Accounts, server: OAuthServer, change: dict[str, str], problem: str
) -> None:
    await install_books(accounts, server)
    query = await visit(await accounts.logins.start(Books, "alice", REDIRECT)) | change
    with pytest.raises(LoginRefused, match=problem):
        await accounts.finish_login(Books, await accounts.logins.read(query, "alice"))
    assert not server.calls


async def test_a_callback_works_once(accounts: Accounts, server: OAuthServer) -> None:
    await install_books(accounts, server)
    query = await visit(await accounts.logins.start(Books, "alice", REDIRECT))
    await accounts.logins.read(query, "alice")
    with pytest.raises(LoginRefused, match="finished before"):
        await accounts.logins.read(query, "alice")


async def test_a_callback_for_another_user_is_refused(accounts: Accounts, server: OAuthServer) -> None:
    await install_books(accounts, server)
    query = await visit(await accounts.logins.start(Books, "alice", REDIRECT))
    with pytest.raises(LoginRefused, match="begun for user 'alice', not for 'bob'"):
        await accounts.logins.read(query, "bob")


@pytest.mark.parametrize("user", ["a:b", "a/b", "a+b", "a b", "žofie"])
async def test_a_user_of_any_name_logs_in(accounts: Accounts, server: OAuthServer, user: str) -> None:
    await install_books(accounts, server, user)
    await log_in_as_a_person(accounts, Books, user)
    client = await accounts.client(Books, user)
    assert (await client.get("/orders")).status == 200


async def test_a_callback_that_comes_too_late_is_refused(
    accounts: Accounts, server: OAuthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await install_books(accounts, server)
    monkeypatch.setattr("applications.logins.SECONDS", -1)
    query = await visit(await accounts.logins.start(Books, "alice", REDIRECT))
    with pytest.raises(LoginRefused, match="took longer"):
        await accounts.logins.read(query, "alice")


async def test_a_login_of_another_application_is_refused(accounts: Accounts, server: OAuthServer) -> None:
    await install_books(accounts, server)
    query = await visit(await accounts.logins.start(Books, "alice", REDIRECT))
    with pytest.raises(LoginRefused, match="begun for books, not for machine"):
        await accounts.logins.finish(Machine, await accounts.logins.read(query, "alice"))


async def test_a_login_needs_an_install_with_its_settings(accounts: Accounts, server: OAuthServer) -> None:
    with pytest.raises(NotInstalled):
        await accounts.logins.start(Books, "alice", REDIRECT)
    await install(accounts, Books, client_id=CLIENT)
    with pytest.raises(SettingsMissing, match="lacks client_secret, server"):
        await accounts.logins.start(Books, "alice", REDIRECT)
    with pytest.raises(LoginRefused, match="machine has no login"):
        await accounts.logins.start(Machine, "alice", REDIRECT)


async def test_a_switched_off_install_may_be_logged_in_before_it_is_switched_on(
    accounts: Accounts, server: OAuthServer
) -> None:
    await install_books(accounts, server)
    await accounts.installs.enable("alice", "books", is_enabled=False)
    await log_in(accounts, server)
    (install,) = await accounts.installs.list()
    assert (install.state, accounts.installs.token(install) is not None) == ("disabled", True)


async def test_a_refresh_of_the_old_login_never_wins_over_the_new_one(
    accounts: Accounts, server: OAuthServer, tmp_path: Path
) -> None:
    """Another process refreshes whenever this one lets go of the database."""
    await install_books(accounts, server)
    old = await log_in(accounts, server, age=4000)
    query = await visit(await accounts.logins.start(Books, "alice", REDIRECT))
    callback = await accounts.logins.read(query)
    (before,) = await accounts.installs.list()

    def refresh(*_: object) -> None:
        with closing(sqlite3.connect(tmp_path / "installs.sqlite")) as other, other:
            leased = "UPDATE installs SET fence = fence + 1, token_fence = fence + 1 WHERE token = ?"
            other.execute(leased, [sealed_token_of(before)])

    event.listen(database_of(accounts)._engine.sync_engine, "checkin", refresh)
    await accounts.finish_login(Books, callback)
    (after,) = await accounts.installs.list()
    token = accounts.installs.token(after)
    assert token is not None
    assert token.access_token == server.issued[-1] != old.access_token


AWAY = "http://127.0.0.1:1/ledgers"


class NoLedger(Books):
    key = "no-ledger"

    async def logged_in(self, client: Client, callback: Mapping[str, str]) -> Mapping[str, Any]:
        reply = await client.get(callback["ledgers"])
        return {"ledger": reply.json()["id"]}


@pytest.mark.parametrize("path", ["/authorize?redirect_uri=x&state=y", "/api/ledgers", "/nowhere", AWAY])
async def test_a_service_that_does_not_say_what_belongs_to_a_login_is_told(
    accounts: Accounts, server: OAuthServer, path: str
) -> None:
    await install_books(accounts, server, application=NoLedger)
    query = await visit(await accounts.logins.start(NoLedger, "alice", REDIRECT))
    callback = await accounts.logins.read(query | {"ledgers": path if path == AWAY else server.base_url + path})
    with pytest.raises(LoginRefused, match="did not say what belongs to the login"):
        await accounts.finish_login(NoLedger, callback)


async def test_a_code_that_the_service_refuses_leaves_the_install_as_it_was(
    accounts: Accounts, server: OAuthServer
) -> None:
    await install_books(accounts, server)
    query = await visit(await accounts.logins.start(Books, "alice", REDIRECT))
    callback = await accounts.logins.read(query, "alice")
    server.codes.clear()
    with pytest.raises(LoginDead, match="invalid_grant"):
        await accounts.logins.finish(Books, callback)
    (found,) = await accounts.installs.list()
    assert (found.sealed.has_token, found.problem) == (False, "")


async def test_a_token_endpoint_that_is_away_is_told(accounts: Accounts) -> None:
    await install(accounts, Machine, client_id=CLIENT, client_secret=SECRET, server="http://127.0.0.1:1")
    with pytest.raises(TokenEndpointAway, match="Cannot connect to host"):
        await accounts.access(Machine, "alice")


async def test_shopify_is_logged_in_to_at_the_own_shop(accounts: Accounts) -> None:
    await install(accounts, ShopifyOAuth, client_id="a", client_secret="b", shopifyUrl="https://eshop.myshopify.com/")
    url = await accounts.logins.start(ShopifyOAuth, "alice", REDIRECT)
    assert url.startswith("https://eshop.myshopify.com/admin/oauth/authorize?")
    assert "scope=read_orders%2Cwrite_orders%2C" in url


async def test_what_is_stored_shows_no_secret(accounts: Accounts, server: OAuthServer, tmp_path: Path) -> None:
    await install_books(accounts, server)
    url = await accounts.logins.start(Books, "alice", REDIRECT)
    query = await visit(url)
    await accounts.finish_login(Books, await accounts.logins.read(query, "alice"))
    stored = everything_in(tmp_path)
    for secret in (SECRET, CLIENT, *server.issued, *server.refresh_tokens):
        assert secret.encode() not in stored
        assert json.dumps(secret).encode() not in stored
