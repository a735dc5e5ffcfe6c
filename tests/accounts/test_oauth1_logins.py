"""Logins by OAuth 1.0a: off to the service and back, and calls that are signed with what they bring."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from aiohttp import web
from conftest import MakeTopology, RunWorker
from support.accounts import KEY as KEYS
from support.accounts import install, opened
from support.keys import private_key
from support.logins import REDIRECT, everything_in, visit
from support.oauth1_server import KEY, SECRET, Checked, OAuth1Server, Records, SignedByRsa, SignedByText
from support.queues import Queues, bodies, process_message
from support.records import Look
from support.terminal import Terminal, authorize
from support.topologies import connector, sink
from support.trashed import trashed

from applications import Application
from applications.accounts import Accounts
from applications.errors import LoginDead, LoginForged, LoginRefused, NeedsReconnect, NotAuthorized, TokenEndpointAway


@pytest.fixture
async def server() -> AsyncIterator[OAuth1Server]:
    async with OAuth1Server().serve() as serving:
        yield serving


@pytest.fixture
async def accounts(tmp_path: Path) -> AsyncIterator[Accounts]:
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as found:
        yield found


async def prepare(
    accounts: Accounts, server: OAuth1Server, user: str = "alice", *, application: type[Application] = Records,
    secret: str = SECRET,
) -> None:  # fmt: skip
    await install(accounts, application, user, consumer_key=KEY, consumer_secret=secret, server=server.base_url)


async def log_in(accounts: Accounts, application: type[Application] = Records, user: str = "alice") -> None:
    query = await visit(await accounts.logins.start(application, user, REDIRECT))
    await come_back(accounts, query, application, user)


async def come_back(
    accounts: Accounts, query: dict[str, str], application: type[Application] = Records, user: str = "alice"
) -> None:
    await accounts.finish_login(application, await accounts.logins.read(query, user))


async def get(accounts: Accounts, application: type[Application] = Records, user: str = "alice") -> int:
    client = await accounts.client(application, user)
    return (await client.get("/orders", params={"q": "Žofie & co", "page": "2"}, success={401})).status


async def test_a_person_logs_in_and_calls_are_signed(accounts: Accounts, server: OAuth1Server) -> None:
    await prepare(accounts, server)
    with pytest.raises(NotAuthorized):
        await accounts.access(Records, "alice")
    url = httpx.URL(await accounts.logins.start(Records, "alice", REDIRECT))
    assert dict(url.params) == {"lang": "en", "oauth_token": "request-0", "expiration": "never"}
    assert "alice" not in server.callbacks["request-0"]
    await come_back(accounts, await visit(str(url)))
    assert await get(accounts) == 200
    client = await accounts.client(Records, "alice")
    assert (await client.post("/orders", form={"name": "Žofie & co", "empty": ""})).status == 200
    assert (await client.post("/orders", json={"name": "not signed"})).status == 200
    assert (await client.post("/orders", content=chunks("name=one"), headers=FORM)).status == 200
    assert "name%3Done" in server.api_calls[-1]
    assert server.asked == ["/request", "/access"]


FORM = {"content-type": "application/x-www-form-urlencoded"}


async def chunks(text: str) -> AsyncIterator[bytes]:
    yield text.encode()


async def test_rsa_and_plain_text_sign_as_well(accounts: Accounts, server: OAuth1Server) -> None:
    private, server.public_key = private_key()
    await prepare(accounts, server, application=SignedByRsa, secret=private)
    await prepare(accounts, server, application=SignedByText)
    for application in (SignedByRsa, SignedByText):
        await log_in(accounts, application)
        assert await get(accounts, application) == 200


@pytest.mark.parametrize("user", ["a:b", "a/b", "a+b", "a b", "žofie"])
async def test_a_user_of_any_name_logs_in(accounts: Accounts, server: OAuth1Server, user: str) -> None:
    await prepare(accounts, server, user)
    await log_in(accounts, user=user)
    assert await get(accounts, user=user) == 200


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"state": ""}, "missing, or was not issued here"),
        ({"state": "v1.test.AAAA"}, "missing, or was not issued here"),
        ({"oauth_token": "request-7"}, "token of another login"),
        ({"oauth_verifier": ""}, "sent no oauth_verifier"),
        ({"oauth_problem": "user_refused"}, "the service says oauth_problem=user_refused"),
    ],
)
async def test_a_callback_that_is_wrong_is_refused(
    accounts: Accounts, server: OAuth1Server, change: dict[str, str], problem: str
) -> None:
    await prepare(accounts, server)
    query = await visit(await accounts.logins.start(Records, "alice", REDIRECT)) | change
    with pytest.raises(LoginRefused, match=problem):
        await come_back(accounts, query)
    assert server.asked == ["/request"]


async def test_a_person_who_refuses_is_told(accounts: Accounts, server: OAuth1Server) -> None:
    await prepare(accounts, server)
    server.is_denied = True
    query = await visit(await accounts.logins.start(Records, "alice", REDIRECT))
    with pytest.raises(LoginRefused, match=r"the service says denied$"):
        await come_back(accounts, query)


async def test_a_wrong_verifier_is_refused_by_the_service(accounts: Accounts, server: OAuth1Server) -> None:
    await prepare(accounts, server)
    query = await visit(await accounts.logins.start(Records, "alice", REDIRECT)) | {"oauth_verifier": "guessed-canary"}
    with pytest.raises(LoginDead, match=r"/access answered 401") as caught:
        await come_back(accounts, query)
    assert "canary" not in str(caught.value)
    (found,) = await accounts.installs.list()
    assert (found.sealed.has_token, found.problem) == (False, "")


async def test_a_callback_works_once_and_for_its_user(accounts: Accounts, server: OAuth1Server) -> None:
    await prepare(accounts, server)
    await prepare(accounts, server, "bob")
    query = await visit(await accounts.logins.start(Records, "alice", REDIRECT))
    await come_back(accounts, query)
    with pytest.raises(LoginForged, match="finished before"):
        await come_back(accounts, query)
    query = await visit(await accounts.logins.start(Records, "alice", REDIRECT))
    with pytest.raises(LoginRefused, match="begun for user 'alice', not for 'bob'"):
        await come_back(accounts, query, user="bob")


async def test_a_callback_that_comes_too_late_is_refused(
    accounts: Accounts, server: OAuth1Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await prepare(accounts, server)
    monkeypatch.setattr("applications.logins.SECONDS", -1)
    query = await visit(await accounts.logins.start(Records, "alice", REDIRECT))
    with pytest.raises(LoginRefused, match="took longer"):
        await come_back(accounts, query)


async def answer(status: int, text: str, content_type: str = "text/plain") -> web.Response:
    return web.Response(status=status, text=text, content_type=content_type)


async def never() -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")


@pytest.mark.parametrize("is_back", [False, True])
@pytest.mark.parametrize(
    ("status", "text", "error", "problem"),
    [
        (200, "<html>oauth_tokens are for others</html>", TokenEndpointAway, "answered 200 with text/plain"),
        (200, "oauth_token=x", LoginRefused, "answered without oauth_token and oauth_token_secret"),
        (200, "oauth_problem=parameter_absent", LoginDead, "parameter_absent"),
        (400, "no", TokenEndpointAway, "answered 400"),
        (401, "no", LoginDead, "answered 401"),
        (429, "slowly", TokenEndpointAway, "answered 429"),
        (500, "oops", TokenEndpointAway, "answered 500"),
    ],
)
async def test_an_endpoint_that_misbehaves_is_told(
    accounts: Accounts, server: OAuth1Server, status: int, text: str, error: type[Exception], problem: str,
    *, is_back: bool,
) -> None:  # fmt: skip
    await prepare(accounts, server)
    query = await visit(await accounts.logins.start(Records, "alice", REDIRECT)) if is_back else {}
    server.misbehaviour = lambda: answer(status, text)
    with pytest.raises(error, match=problem):
        await (come_back(accounts, query) if is_back else accounts.logins.start(Records, "alice", REDIRECT))


async def test_an_endpoint_that_is_slow_or_away_is_told(
    accounts: Accounts, server: OAuth1Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await prepare(accounts, server)
    monkeypatch.setattr("applications.token_endpoint.SECONDS", 0.1)
    server.misbehaviour = never
    with pytest.raises(TokenEndpointAway, match="TimedOut"):
        await accounts.logins.start(Records, "alice", REDIRECT)
    await accounts.save("alice", Records, {"authorization_form": {"server": "http://127.0.0.1:1"}})
    with pytest.raises(TokenEndpointAway, match="Cannot connect to host"):
        await accounts.logins.start(Records, "alice", REDIRECT)


async def test_a_service_that_ignores_the_callback_is_refused(accounts: Accounts, server: OAuth1Server) -> None:
    await prepare(accounts, server)
    server.confirms = False
    with pytest.raises(LoginRefused, match="did not confirm the callback"):
        await accounts.logins.start(Records, "alice", REDIRECT)


async def test_a_wrong_consumer_secret_is_refused_by_the_service(accounts: Accounts, server: OAuth1Server) -> None:
    await prepare(accounts, server, secret="wrong-canary")
    with pytest.raises(LoginDead, match="answered 401") as caught:
        await accounts.logins.start(Records, "alice", REDIRECT)
    assert "canary" not in str(caught.value)


async def test_a_login_that_the_service_ends_needs_reconnect_and_heals(
    accounts: Accounts, server: OAuth1Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await prepare(accounts, server)
    await log_in(accounts)
    server.revoked.update(server.issued)
    assert await get(accounts) == 401  # so young a token is not the reason
    monkeypatch.setattr("applications.tokens.MIN_AGE_SECONDS", 0)
    with pytest.raises(NeedsReconnect, match="installs authorize records alice"):
        await get(accounts)
    calls = len(server.api_calls)
    with pytest.raises(NeedsReconnect):
        await get(accounts)
    assert len(server.api_calls) == calls  # nothing is sent any more
    await log_in(accounts)
    assert await get(accounts) == 200


async def test_a_call_that_is_refused_for_want_of_rights_ends_no_login_where_it_can_be_checked(
    accounts: Accounts, server: OAuth1Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await prepare(accounts, server, application=Checked)
    await log_in(accounts, Checked)
    monkeypatch.setattr("applications.tokens.MIN_AGE_SECONDS", 0)
    client = await accounts.client(Checked, "alice")
    assert (await client.get("/secret", success={401})).status == 401
    assert await get(accounts, Checked) == 200
    server.revoked.update(server.issued)
    with pytest.raises(NeedsReconnect, match=r"/api/me\?full=1 answered 401"):
        await get(accounts, Checked)


@pytest.mark.parametrize("problem", ["timestamp_refused", "nonce_used"])
async def test_a_clock_that_is_wrong_ends_no_login(
    accounts: Accounts, server: OAuth1Server, monkeypatch: pytest.MonkeyPatch, problem: str
) -> None:
    await prepare(accounts, server)
    await log_in(accounts)
    monkeypatch.setattr("applications.tokens.MIN_AGE_SECONDS", 0)
    server.problem = problem
    assert await get(accounts) == 401
    server.problem = ""
    assert await get(accounts) == 200


async def test_what_is_stored_shows_no_secret(accounts: Accounts, server: OAuth1Server, tmp_path: Path) -> None:
    await prepare(accounts, server)
    url = await accounts.logins.start(Records, "alice", REDIRECT)
    on_the_way = everything_in(tmp_path)
    await come_back(accounts, await visit(url))
    stored = on_the_way + everything_in(tmp_path)
    for secret in (SECRET, KEY, *server.secrets, *server.secrets.values()):
        assert secret.encode() not in stored
    access = await accounts.access(Records, "alice")
    await get(accounts)
    assert set(access.secrets) >= {SECRET, server.issued[0], server.secrets[server.issued[0]]}


async def test_the_command_takes_the_browser_to_the_service_and_back(
    server: OAuth1Server, accounts: Accounts, tmp_path: Path
) -> None:
    terminal, actions = Terminal(tmp_path), ("--actions", "support.records")
    await prepare(accounts, server)
    login = await authorize(terminal, "records", "alice", "--port", "0", *actions)
    callback = httpx.URL(server.callbacks[httpx.URL(login.url).params["oauth_token"]])
    async with httpx.AsyncClient(follow_redirects=True) as browser:
        forged = callback.copy_with(params={"state": "forged", "oauth_token": "request-0", "oauth_verifier": "x"})
        assert (await browser.get(forged)).status_code == 400
        assert (await browser.get(login.url)).text == "You are logged in. You may close this window."
    status, shown = await login.ended()
    assert status == 0
    assert "User alice is logged in to records." in shown
    assert all(secret not in shown for secret in server.secrets.values())
    assert await get(accounts) == 200


async def test_the_command_ends_when_the_person_or_the_service_refuses(
    server: OAuth1Server, accounts: Accounts, tmp_path: Path
) -> None:
    terminal, actions = Terminal(tmp_path), ("--actions", "support.records")
    await prepare(accounts, server)
    server.is_denied = True
    login = await authorize(terminal, "records", "alice", "--port", "0", *actions)
    async with httpx.AsyncClient(follow_redirects=True) as browser:
        assert (await browser.get(login.url)).status_code == 400
    status, shown = await login.ended()
    assert (status, "the service says denied" in shown) == (1, True)
    await accounts.save("alice", Records, {"authorization_form": {"consumer_secret": "wrong"}})
    words = ("installs", "authorize", "records", "alice", "--port", "0", *actions)
    assert "answered 401" in await asyncio.to_thread(terminal.run, *words, status=1)


async def test_messages_of_a_login_that_has_ended_wait_in_the_trash_for_a_new_one(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, server: OAuth1Server, accounts: Accounts,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("applications.tokens.MIN_AGE_SECONDS", 0)
    await prepare(accounts, server)
    await log_in(accounts)
    server.revoked.update(server.issued)
    topology = make_topology(connector("look", "records-look", "sink"), sink())
    own = {"installs_url": Terminal(tmp_path).url, "secret_keys": KEYS, "token_journal": tmp_path / "journal"}
    worker = await run_worker(topology, Look(), **own)
    await queues.publish(topology.exchange("look"), process_message({}, user="alice"))
    reason = str((await trashed(worker)).reason)
    assert "needs reconnect" in reason
    assert "installs authorize records alice" in reason
    await log_in(accounts)
    await worker.command("trash", "approve", "--reason", "needs reconnect", "--yes")
    assert bodies(await queues.read(topology.queue("sink"), 1)) == [{"ok": True}]
