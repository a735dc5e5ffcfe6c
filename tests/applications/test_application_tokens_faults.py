"""What goes wrong around a refresh: other machines, full disks, changed settings, slow and odd services."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import Field, HttpUrl, SecretStr
from support.accounts import install, install_books, log_in, opened
from support.databases import MakeDatabase
from support.oauth_application import Books, Machine
from support.oauth_server import CLIENT, SECRET, OAuthServer

from applications import Application, ClientAuthentication, Form, Token, TokenExchange, read_token
from applications.accounts import Accounts
from applications.authentication import TokenCall
from applications.errors import ApplicationError, NeedsReconnect, TokenEndpointAway
from applications.http.response import Response
from applications.install import Install
from applications.journal import Arrived, Journal


@pytest.fixture
async def server() -> AsyncIterator[OAuthServer]:
    async with OAuthServer().serve() as serving:
        yield serving


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, make_database: MakeDatabase) -> str:
    return make_database(request.param)


@pytest.fixture
async def here(url: str, tmp_path: Path) -> AsyncIterator[Accounts]:
    async with opened(url, tmp_path / "here") as found:
        yield found


@pytest.fixture
async def elsewhere(url: str, tmp_path: Path) -> AsyncIterator[Accounts]:
    """The same database from another machine."""
    async with opened(url, tmp_path / "elsewhere") as found:
        yield found


@pytest.fixture
def reads_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("applications.accounts.FRESH_SECONDS", -1)


async def ask(accounts: Accounts, application: type[Application] = Books) -> Response:
    client = await accounts.client(application, "alice")
    return await client.get("/orders", success={401})


async def stored(accounts: Accounts, application: str = "books") -> Token | None:
    found = await accounts.installs.get("alice", application)
    assert found is not None
    return accounts.installs.token(found)


async def test_a_token_in_the_journal_heals_what_another_machine_found_dead(
    here: Accounts, elsewhere: Accounts, server: OAuthServer, tmp_path: Path
) -> None:
    await install_books(here, server)
    first = await log_in(here, server, age=4000)
    found = await here.installs.get("alice", "books")
    assert found is not None
    fence = await here.installs.lease(found)
    assert fence is not None
    server.refresh_tokens[str(first.refresh_token)] = 1  # used: the reply is in the journal, and nowhere else
    fresh = read_token(server.new_token(), time.time())
    sealed = here.installs.seal_token("alice", "books", fresh)
    Journal(tmp_path / "here" / "journal").write(Arrived("alice", "books", fence, sealed, fresh.expires))
    await here.installs.mark_away(found, fence, 0)
    with pytest.raises(NeedsReconnect):
        await ask(elsewhere)
    assert (await ask(here)).status == 200
    assert await stored(here) == fresh
    assert not list((tmp_path / "here" / "journal").iterdir())


async def test_a_journal_that_cannot_be_written_loses_no_token(url: str, server: OAuthServer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with opened(url, tmp_path / "file") as accounts:
        await install_books(accounts, server)
        await log_in(accounts, server, age=4000)
        assert (await ask(accounts)).status == 200
        token = await stored(accounts)
    assert token is not None
    assert [token.access_token] == server.issued[1:]


async def test_a_token_of_another_process_is_used_soon_after_its_login(
    here: Accounts, elsewhere: Accounts, server: OAuthServer, reads_always: None
) -> None:
    await install_books(here, server)
    await log_in(here, server)
    await ask(elsewhere)
    new = await log_in(here, server)
    await ask(elsewhere)
    assert server.api_calls[-1].headers["authorization"] == f"Bearer {new.access_token}"


async def test_another_client_gets_a_token_of_its_own(
    here: Accounts, elsewhere: Accounts, server: OAuthServer, reads_always: None
) -> None:
    await install_books(here, server, application=Machine)
    await ask(here, Machine)
    await ask(elsewhere, Machine)
    await here.save("alice", Machine, {"authorization_form": {"client_id": "another client"}})
    for accounts in (here, elsewhere):
        with pytest.raises(NeedsReconnect, match="invalid_client"):
            await ask(accounts, Machine)


async def test_a_refresh_under_way_with_the_old_client_is_not_kept(here: Accounts, server: OAuthServer) -> None:
    await install_books(here, server, application=Machine)
    server.held_reply = asyncio.Event()
    asking = asyncio.ensure_future(ask(here, Machine))
    await server.arrived.wait()
    await here.save("alice", Machine, {"authorization_form": {"client_id": "another client"}})
    server.held_reply.set()
    with pytest.raises(NeedsReconnect, match="invalid_client"):
        await asking


async def test_settings_corrected_during_a_refusal_count(
    here: Accounts, elsewhere: Accounts, server: OAuthServer
) -> None:
    async def refuse_while_a_person_corrects() -> web.Response:
        await elsewhere.save("alice", Machine, {"authorization_form": {"client_secret": SECRET}})
        server.misbehaviour = None
        return web.json_response({"error": "invalid_client"}, status=401)

    await install(here, Machine, client_id=CLIENT, client_secret="wrong", server=server.base_url)
    server.misbehaviour = refuse_while_a_person_corrects
    async with asyncio.timeout(10):
        assert (await ask(here, Machine)).status == 200


async def test_a_living_token_is_used_while_the_service_takes_its_time(here: Accounts, server: OAuthServer) -> None:
    await install_books(here, server)
    old = await log_in(here, server, age=3500)
    server.held_reply = asyncio.Event()
    first = asyncio.ensure_future(ask(here))
    await server.arrived.wait()
    async with asyncio.timeout(10):
        assert (await ask(here)).status == 200
    assert server.api_calls[-1].headers["authorization"] == f"Bearer {old.access_token}"
    server.held_reply.set()
    assert (await first).status == 200
    assert len(server.calls) == 1


async def test_a_refused_token_is_not_used_while_the_service_takes_its_time(
    here: Accounts, server: OAuthServer
) -> None:
    await install_books(here, server)
    old = await log_in(here, server, age=100)
    server.revoked.add(old.access_token)
    server.held_reply = asyncio.Event()
    first = asyncio.ensure_future(ask(here))
    await server.arrived.wait()
    second = asyncio.ensure_future(ask(here))
    await asyncio.wait([second], timeout=0.5)
    server.held_reply.set()
    assert [(await asking).status for asking in (first, second)] == [200, 200]
    used = [call.headers["authorization"] for call in server.api_calls]
    assert used.count(f"Bearer {old.access_token}") == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [(403, "Forbidden"), (404, "Not Found"), (400, "rate_limited"), (400, "temporarily_unavailable")],
)
async def test_an_error_that_does_not_concern_the_login_leaves_it_alive(
    here: Accounts, server: OAuthServer, status: int, error: str
) -> None:
    async def refuse() -> web.Response:
        return web.json_response({"error": error}, status=status)

    await install_books(here, server)
    await log_in(here, server, age=4000)
    server.misbehaviour = refuse
    with pytest.raises(TokenEndpointAway, match=error):
        await ask(here)
    (found,) = await here.installs.list()
    assert found.state == "enabled"


async def test_a_reply_without_end_is_not_read_to_its_end(here: Accounts, server: OAuthServer) -> None:
    sent = []

    async def pour() -> AsyncIterator[bytes]:
        for _ in range(1000):
            sent.append(1)
            yield b"x" * 100_000

    async def answer() -> web.Response:
        return web.Response(body=pour())

    server.misbehaviour = answer
    await install_books(here, server)
    await log_in(here, server, age=4000)
    with pytest.raises(TokenEndpointAway, match="not with a token"):
        await ask(here)
    assert len(sent) < 300, "what the connection holds, and no more"


class OwnForm(Form):
    server: HttpUrl = Field(title="Server")
    password: SecretStr = Field(title="Password")


async def own_exchange(settings: Mapping[str, str], call: TokenCall) -> Token:
    reply = await call(f"{settings['server'].rstrip('/')}/token", json={"password": settings["password"]})
    return Token(reply[settings["password"]], obtained=time.time())


class Own(Application):
    key = "own"
    base_url = "{server}/api"
    forms = (OwnForm,)
    authentication = TokenExchange(own_exchange)


async def test_an_exchange_that_raises_is_told_at_once_and_does_not_block_the_next(
    here: Accounts, server: OAuthServer
) -> None:
    async def odd() -> web.Response:
        return web.json_response({"hello": "world"})

    server.misbehaviour = odd
    await install(here, Own, server=server.base_url, password="hunter2!")
    for _ in range(2):
        async with asyncio.timeout(10):
            with pytest.raises(ApplicationError, match="the exchange of own failed") as raised:
                await ask(here, Own)
        assert "hunter2!" not in str(raised.value)
    assert len(server.calls) == 2


class PrivateKey(Books):
    key = "private-key"
    authentication = replace(Books.authentication, client_authentication=ClientAuthentication.PRIVATE_KEY_JWT)


async def test_a_private_key_that_is_none_is_a_wrong_setting(here: Accounts, server: OAuthServer) -> None:
    await install_books(here, server, application=PrivateKey)
    await log_in(here, server, age=4000, application=PrivateKey)
    for _ in range(2):
        async with asyncio.timeout(10):
            with pytest.raises(
                ApplicationError, match="the setting client_secret cannot be used: it is not a private key in PEM"
            ):
                await ask(here, PrivateKey)
    assert not server.calls


async def test_a_token_that_has_ended_is_renewed_however_young_it_is(here: Accounts, server: OAuthServer) -> None:
    server.lifetime = 5
    await install_books(here, server)
    young = await log_in(here, server, age=6)
    renewed = await here.tokens.get(Books, "alice", refused=young.access_token)
    assert renewed.access_token == server.issued[-1] != young.access_token


async def test_who_joins_a_look_for_the_token_does_not_get_the_refused_one_back(
    here: Accounts, server: OAuthServer
) -> None:
    await install_books(here, server)
    old = await log_in(here, server, age=100)
    first, joining = await asyncio.gather(
        here.tokens.get(Books, "alice"), here.tokens.get(Books, "alice", refused=old.access_token)
    )
    assert first == old
    assert joining.access_token == server.issued[-1] != old.access_token


async def test_a_lease_is_given_back_when_somebody_saved_during_a_refusal(here: Accounts, server: OAuthServer) -> None:
    async def refuse_while_a_person_saves() -> web.Response:
        found = await here.installs.get("alice", "books")
        assert found is not None
        await here.installs.save_plain(found, {"note": "new"})
        server.misbehaviour = None
        return web.json_response({"error": "invalid_grant"}, status=400)

    await install_books(here, server)
    await log_in(here, server, age=4000)
    server.misbehaviour = refuse_while_a_person_saves
    async with asyncio.timeout(10):
        assert (await ask(here)).status == 200
    assert len(server.calls) == 2


async def test_the_token_at_hand_stays_while_the_database_has_no_later_one(here: Accounts, server: OAuthServer) -> None:
    await install_books(here, server)
    old = await log_in(here, server)
    assert await here.tokens.get(Books, "alice") == old
    found = await here.installs.get("alice", "books")
    assert found is not None
    here.tokens.compare(found)
    at_once = here.tokens.get(Books, "alice")
    with pytest.raises(StopIteration) as ended:  # it waits for nothing: no database is asked
        at_once.send(None)
    assert ended.value.value == old
    here.tokens.compare(replace(found, token_fence=found.token_fence + 1))
    asking = asyncio.ensure_future(here.tokens.get(Books, "alice"))
    await asyncio.sleep(0)
    assert not asking.done()
    assert await asking == old


@pytest.mark.parametrize("is_whole", [True, False])
async def test_a_token_whose_file_did_not_get_its_name_is_not_lost(
    here: Accounts, server: OAuthServer, tmp_path: Path, *, is_whole: bool
) -> None:
    """A process that is killed while it waits for the disk leaves the file under its first name."""
    await install_books(here, server)
    first = await log_in(here, server, age=4000)
    found = await here.installs.get("alice", "books")
    assert found is not None
    fence = await here.installs.lease(found)
    assert fence is not None
    fresh = read_token(server.new_token(), time.time())
    Journal(tmp_path / "here" / "journal").write(
        Arrived("alice", "books", fence, here.installs.seal_token("alice", "books", fresh), fresh.expires)
    )
    (file,) = (tmp_path / "here" / "journal").iterdir()
    part = file.rename(file.with_suffix(".4194305"))
    if is_whole:
        server.refresh_tokens[str(first.refresh_token)] = 1  # used
    else:
        part.write_bytes(part.read_bytes()[:-1])
        await here.installs.give_back(found, fence)
    assert (await ask(here)).status == 200
    assert (await stored(here) == fresh, len(server.calls)) == (is_whole, 0 if is_whole else 1)
    assert not list((tmp_path / "here" / "journal").iterdir()), "it is cleared away"


async def test_a_token_that_comes_while_the_lease_is_sought_is_used(
    here: Accounts, server: OAuthServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await install_books(here, server)
    await log_in(here, server, age=4000)
    fresh = read_token(server.new_token(), time.time())
    lease = here.installs.lease

    async def lease_late(install: Install) -> int | None:
        fence = await lease(install)
        if fence is not None and not server.calls and await stored(here) != fresh:
            sealed = here.installs.seal_token("alice", "books", fresh)
            Journal(tmp_path / "here" / "journal").write(Arrived("alice", "books", fence, sealed, fresh.expires))
        return fence

    monkeypatch.setattr(here.installs, "lease", lease_late)
    assert (await ask(here)).status == 200
    assert (await stored(here), server.calls) == (fresh, [])


@pytest.mark.parametrize("ahead", [90, -90, 4000])
async def test_a_process_whose_clock_is_wrong_refreshes_no_second_time_and_no_later(
    here: Accounts, elsewhere: Accounts, server: OAuthServer, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    real = time.time
    await install_books(here, server)
    await log_in(here, server, age=4000)
    await ask(here)
    monkeypatch.setattr(time, "time", lambda: real() + ahead)
    assert (await ask(elsewhere)).status == 200
    assert len(server.calls) == 1
    token = await stored(here)
    assert token is not None
    server.revoked.add(token.access_token)
    monkeypatch.setattr("applications.tokens.MIN_AGE_SECONDS", 0.0)
    assert (await ask(elsewhere)).status == 200
    renewed = await stored(here)
    assert renewed is not None
    assert abs(renewed.obtained - real()) < 30, "by the store's clock"
