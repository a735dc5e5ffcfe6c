"""Tokens are renewed in time, once, and never lost."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from aiohttp import web
from support.accounts import (
    database_of,
    deliveries_of,
    install_books,
    log_in,
    opened,
    put_token,
    webhooks_of,
    without_refresh,
)
from support.databases import MakeDatabase
from support.oauth_application import Books, Machine
from support.oauth_server import CLIENT, SECRET, HungUp, OAuthServer

from applications import read_token
from applications.accounts import Accounts
from applications.errors import NeedsReconnect, TokenEndpointAway, TryLater
from applications.http.response import Response
from applications.journal import Arrived, Journal
from worker.accounts.tables import installs, metadata


@pytest.fixture
async def server() -> AsyncIterator[OAuthServer]:
    async with OAuthServer().serve() as serving:
        yield serving


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, make_database: MakeDatabase) -> str:
    return make_database(request.param)


@pytest.fixture
async def accounts(url: str, tmp_path: Path, server: OAuthServer) -> AsyncIterator[Accounts]:
    async with opened(url, tmp_path) as found:
        await install_books(found, server)
        yield found


async def ask(accounts: Accounts) -> Response:
    client = await accounts.client(Books, "alice")
    return await client.get("/orders", success={401})


async def test_fifty_tasks_with_an_expired_token_make_one_refresh(accounts: Accounts, server: OAuthServer) -> None:
    await log_in(accounts, server, age=4000)
    replies = await asyncio.gather(*(ask(accounts) for _ in range(50)))
    assert {reply.status for reply in replies} == {200}
    assert [call["grant_type"] for call in server.calls] == ["refresh_token"]


async def test_a_token_is_renewed_before_it_ends(accounts: Accounts, server: OAuthServer) -> None:
    await log_in(accounts, server, age=3000)
    await ask(accounts)
    assert not server.calls
    await log_in(accounts, server, age=3400)
    await ask(accounts)
    assert len(server.calls) == 1


async def test_a_refused_token_is_renewed_once_and_the_call_repeated(accounts: Accounts, server: OAuthServer) -> None:
    token = await log_in(accounts, server, age=100)
    server.revoked.add(token.access_token)
    replies = await asyncio.gather(*(ask(accounts) for _ in range(10)))
    assert {reply.status for reply in replies} == {200}
    assert len(server.calls) == 1


async def test_a_fresh_token_that_is_refused_is_not_renewed(accounts: Accounts, server: OAuthServer) -> None:
    token = await log_in(accounts, server)
    server.revoked.add(token.access_token)
    assert (await ask(accounts)).status == 401
    assert not server.calls


@pytest.mark.parametrize("lifetime", [None, 0, -5, "soon", 1e300])
async def test_a_token_without_a_usable_life_time_is_used_until_it_is_refused(
    accounts: Accounts, server: OAuthServer, lifetime: object
) -> None:
    server.lifetime = lifetime
    token = await log_in(accounts, server, age=100)
    assert (await ask(accounts)).status == 200
    assert not server.calls
    server.revoked.add(token.access_token)
    assert (await ask(accounts)).status == 200
    assert len(server.calls) == 1


async def test_a_reply_without_refresh_token_keeps_the_old_one(accounts: Accounts, server: OAuthServer) -> None:
    server.rotates = False
    first = await log_in(accounts, server, age=4000)
    await ask(accounts)
    install = await accounts.installs.get("alice", "books")
    assert install is not None
    token = accounts.installs.token(install)
    assert token is not None
    assert (token.access_token, token.refresh_token) == (server.issued[-1], first.refresh_token)


async def test_a_client_gets_its_own_token(accounts: Accounts, server: OAuthServer) -> None:
    await install_books(accounts, server, application=Machine)
    client = await accounts.client(Machine, "alice")
    assert (await client.get("/orders")).status == 200
    (call,) = server.calls
    assert (call["grant_type"], call["scope"]) == ("client_credentials", "read")


async def test_a_dead_login_is_a_state_that_stops_calls_and_heals(accounts: Accounts, server: OAuthServer) -> None:
    token = await log_in(accounts, server, age=4000)
    server.refresh_tokens.clear()
    for _ in range(3):
        with pytest.raises(NeedsReconnect) as raised:
            await ask(accounts)
    assert len(server.calls) == 1
    assert "needs reconnect (invalid_grant: no such token [hidden])" in str(raised.value)
    assert str(raised.value).endswith("Cure: orchesty-worker installs authorize books alice")
    assert str(token.refresh_token) not in str(raised.value)
    (install,) = await accounts.installs.list()
    assert install.state == "needs reconnect"
    await log_in(accounts, server)
    assert (await ask(accounts)).status == 200


async def test_a_login_without_refresh_token_ends_with_its_token(accounts: Accounts, server: OAuthServer) -> None:
    await put_token(accounts, "alice", "books", without_refresh(await log_in(accounts, server, age=4000)))
    with pytest.raises(NeedsReconnect, match="no refresh token"):
        await ask(accounts)
    assert not server.calls


async def html() -> web.Response:
    return web.Response(text="<html>maintenance</html>", content_type="text/html")


async def too_many() -> web.Response:
    return web.Response(status=429, headers={"Retry-After": "120"})


async def broken() -> web.Response:
    return web.Response(status=500, text="oops")


async def bad_html() -> web.Response:
    return web.Response(status=400, text="<html>bad request</html>", content_type="text/html")


async def no_token() -> web.Response:
    return web.json_response({"hello": "world"})


async def a_list() -> web.Response:
    return web.json_response(["access_token"])


async def hang_up() -> web.Response:
    raise HungUp


@pytest.mark.parametrize("misbehaviour", [html, too_many, broken, bad_html, no_token, a_list, hang_up])
async def test_a_token_endpoint_that_is_away_is_left_alone_for_a_while(
    accounts: Accounts, server: OAuthServer, misbehaviour: object
) -> None:
    await log_in(accounts, server, age=4000)
    server.misbehaviour = misbehaviour  # type: ignore[assignment]
    for _ in range(3):
        with pytest.raises(TokenEndpointAway) as raised:
            await ask(accounts)
    assert len(server.calls) == 1
    assert raised.value.after > timedelta(seconds=100 if misbehaviour is too_many else 0.1)
    install = await accounts.installs.get("alice", "books")
    assert install is not None
    assert (install.state, install.failures) == ("enabled", 1)


async def test_a_token_endpoint_that_was_away_for_days_is_asked_every_few_minutes(
    accounts: Accounts, server: OAuthServer
) -> None:
    await log_in(accounts, server, age=4000)
    async with database_of(accounts).transaction() as connection:
        await connection.execute(installs.update().values(failures=5000))
    server.misbehaviour = broken
    with pytest.raises(TokenEndpointAway) as raised:
        await ask(accounts)
    assert timedelta(seconds=150) <= raised.value.after <= timedelta(seconds=300)


async def test_a_token_endpoint_that_is_slow_is_away(
    accounts: Accounts, server: OAuthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("applications.token_endpoint.SECONDS", 0.2)
    await log_in(accounts, server, age=4000)
    server.held_reply = asyncio.Event()
    with pytest.raises(TokenEndpointAway, match="TimedOut"):
        await ask(accounts)


async def test_a_living_token_is_used_while_the_token_endpoint_is_away(accounts: Accounts, server: OAuthServer) -> None:
    await log_in(accounts, server, age=3500)
    server.misbehaviour = broken
    assert (await ask(accounts)).status == 200
    assert (await ask(accounts)).status == 200
    assert len(server.calls) == 1


async def test_an_answer_200_with_an_error_in_it_is_an_error(accounts: Accounts, server: OAuthServer) -> None:
    async def refuse() -> web.Response:
        return web.json_response({"error": "bad_refresh_token"})

    await log_in(accounts, server, age=4000)
    server.misbehaviour = refuse
    with pytest.raises(NeedsReconnect, match="bad_refresh_token"):
        await ask(accounts)


async def test_a_token_that_a_sibling_brought_is_found_before_a_login_counts_as_dead(
    accounts: Accounts, server: OAuthServer
) -> None:
    await log_in(accounts, server, age=4000)

    async def refuse_after_the_sibling() -> web.Response:
        await log_in(accounts, server)
        return web.json_response({"error": "invalid_grant"}, status=400)

    server.misbehaviour = refuse_after_the_sibling
    assert (await ask(accounts)).status == 200


async def test_a_message_that_is_cancelled_does_not_lose_the_reply(accounts: Accounts, server: OAuthServer) -> None:
    await log_in(accounts, server, age=4000)
    server.held_reply = asyncio.Event()
    asking = asyncio.ensure_future(ask(accounts))
    await server.arrived.wait()
    asking.cancel()
    await asyncio.wait([asking])
    server.held_reply.set()
    await accounts.tokens.close()
    install = await accounts.installs.get("alice", "books")
    assert install is not None
    token = accounts.installs.token(install)
    assert token is not None
    assert token.access_token == server.issued[-1]


async def test_an_older_token_never_stands_over_a_newer_one(accounts: Accounts, server: OAuthServer) -> None:
    await log_in(accounts, server, age=4000)
    install = await accounts.installs.get("alice", "books")
    assert install is not None
    late = await accounts.installs.lease(install)
    assert late is not None
    newest = await log_in(accounts, server)
    sealed = accounts.installs.seal_token("alice", "books", replace(newest, access_token="late"))
    assert not await accounts.installs.save_token("alice", "books", late, sealed, None)


async def test_what_arrived_for_a_process_that_died_is_found_in_the_journal(
    accounts: Accounts, server: OAuthServer, tmp_path: Path
) -> None:
    first = await log_in(accounts, server, age=4000)
    install = await accounts.installs.get("alice", "books")
    assert install is not None
    fence = await accounts.installs.lease(install)
    assert fence is not None
    server.refresh_tokens[str(first.refresh_token)] = time.time()
    reply = server.new_token()
    saved = read_token(reply, time.time())
    sealed = accounts.installs.seal_token("alice", "books", saved)
    journal = Journal(tmp_path / "journal")
    journal.write(Arrived("alice", "books", fence, sealed, saved.expires))
    assert (await ask(accounts)).status == 200
    assert not server.calls
    assert not list(journal.waiting("alice", "books"))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"user": "alice"}', "\x00" * 300])
async def test_a_journal_that_cannot_be_read_is_put_aside(
    accounts: Accounts, server: OAuthServer, tmp_path: Path, text: str
) -> None:
    await log_in(accounts, server, age=4000)
    journal = Journal(tmp_path / "journal")
    journal.write(Arrived("alice", "books", 1, "", None))
    (path,) = (tmp_path / "journal").iterdir()
    path.write_text(text)
    assert (await ask(accounts)).status == 200
    assert [left.suffix for left in (tmp_path / "journal").iterdir()] == [".unreadable"]


async def test_a_body_that_cannot_be_sent_twice_is_repeated_by_the_worker(
    accounts: Accounts, server: OAuthServer
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"once"

    token = await log_in(accounts, server, age=100)
    server.revoked.add(token.access_token)
    client = await accounts.client(Books, "alice")
    with pytest.raises(TryLater, match="cannot be sent twice"):
        await client.post("/orders", content=body())


async def test_no_table_shows_a_secret(accounts: Accounts, server: OAuthServer) -> None:
    token = await log_in(accounts, server)
    url = httpx.URL(await accounts.logins.start(Books, "alice", "http://127.0.0.1:1/callback"))
    webhook = await webhooks_of(accounts).add("alice", "books", "order", "topology", "node")
    own = webhooks_of(accounts).secrets(webhook)
    await deliveries_of(accounts).take([(webhook.id, "delivery")])
    async with database_of(accounts).transaction() as connection:
        rows = {table.name: (await connection.execute(table.select())).all() for table in metadata.sorted_tables}
    assert {name for name, found in rows.items() if found} == set(rows)
    secrets = (SECRET, CLIENT, token.access_token, str(token.refresh_token), own.token, own.secret)
    assert [secret for secret in (*secrets, url.params["state"]) if secret in str(rows)] == []


@pytest.mark.parametrize(
    ("reply", "kept"),
    [
        ({"access_token": "b"}, {"refresh_token": "r", "instance_url": "https://a.test", "scope": "read"}),
        ({"access_token": "b", "refresh_token": "s", "scope": ""}, {"refresh_token": "s", "scope": ""}),
        ({"access_token": "b", "instance_url": "https://b.test"}, {"instance_url": "https://b.test"}),
        ({"access_token": "b", "expires_in": 5}, {"expires_in": 5, "refresh_token_expires_in": None}),
        ({"access_token": "b"}, {"expires_in": None, "expires_at": None, "refresh_token_expires_in": None}),
    ],
)
def test_what_a_refresh_does_not_bring_again_stays_except_for_when_something_ends(
    reply: dict[str, object], kept: dict[str, object]
) -> None:
    login = {"refresh_token": "r", "instance_url": "https://a.test", "scope": "read"}
    ends = {"expires_in": 60, "expires_at": 1, "refresh_token_expires_in": 9}
    before = read_token({"access_token": "a"} | login | ends, 1000)
    token = read_token(reply, 2000).after(before)
    found = {"refresh_token": token.refresh_token, **token.others}
    assert {name: found.get(name) for name in kept} == kept
    assert (token.access_token, token.obtained) == ("b", 2000)
    assert token.expires == (2005 if "expires_in" in reply else None)
