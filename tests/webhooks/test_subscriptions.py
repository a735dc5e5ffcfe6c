"""Subscribing at a service: nothing is lost between the two sides, and nothing secret is said."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.accounts import install, opened, webhooks_of
from support.hooks import Shouter, ShouterServer

from applications.accounts import Accounts
from applications.errors import InstallsAway
from worker.webhooks.subscriptions import SubscribeRefused, subscribe, unsubscribe
from worker.webhooks.webhook import Webhook

SECRET = "canary-of-the-user"


@pytest.fixture
async def server() -> AsyncIterator[ShouterServer]:
    async with ShouterServer().serve() as serving:
        yield serving


@pytest.fixture
async def accounts(tmp_path: Path, server: ShouterServer) -> AsyncIterator[Accounts]:
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as found:
        await install(found, Shouter, server=server.base_url, token=SECRET)
        yield found


async def subscribed(accounts: Accounts, name: str = "order", **change: Any) -> Webhook:
    chosen = {"topology": "t", "node": "n", "public_url": "http://x", "parameters": {}} | change
    return await subscribe(accounts, webhooks_of(accounts), Shouter, "alice", name, **chosen)


@pytest.mark.parametrize("does_unsubscribe", [True, False])
async def test_what_cannot_be_saved_is_taken_back_at_the_service(
    accounts: Accounts,
    server: ShouterServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    does_unsubscribe: bool,
) -> None:
    await webhooks_of(accounts).list()
    with closing(sqlite3.connect(tmp_path / "installs.sqlite")) as connection, connection:
        refuse = "BEGIN SELECT RAISE(ABORT, 'away'); END"
        connection.execute(f"CREATE TRIGGER away BEFORE UPDATE OF remote_id ON webhooks {refuse}")
        connection.execute(f"CREATE TRIGGER gone BEFORE DELETE ON webhooks {refuse}")
    server.lets_go = does_unsubscribe
    with pytest.raises(InstallsAway if does_unsubscribe else SubscribeRefused) as raised:
        await subscribed(accounts)
    assert list(server.hooks) == ([] if does_unsubscribe else ["1"])
    assert does_unsubscribe or "calls us as 1, which could be neither saved nor taken back" in str(raised.value)
    (left,) = await webhooks_of(accounts).list()
    with pytest.raises(SubscribeRefused, match=f"unsubscribe {left.id[:8]} --forget"):
        await unsubscribe(accounts, webhooks_of(accounts), Shouter, left)
    assert [webhook.id for webhook in await webhooks_of(accounts).list()] == [left.id]


async def test_a_service_that_names_no_id_is_not_believed(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nameless(*_: object) -> str:
        return ""

    monkeypatch.setattr(Shouter, "subscribe", nameless)
    with pytest.raises(SubscribeRefused, match="did not say what it calls the webhook: remove it there"):
        await subscribed(accounts)
    assert not await webhooks_of(accounts).list()


async def test_the_same_is_subscribed_twice_only_when_asked_for(accounts: Accounts, server: ShouterServer) -> None:
    made = await subscribed(accounts)
    with pytest.raises(SubscribeRefused, match=f"already, as {made.id[:8]}"):
        await subscribed(accounts)
    await subscribed(accounts, node="m")
    await subscribed(accounts, "issues", parameters={"owner": "me"})
    await subscribed(accounts, "issues", parameters={"owner": "you"})
    with pytest.raises(SubscribeRefused, match="already"):
        await subscribed(accounts, "issues", parameters={"owner": "you"})
    await subscribed(accounts, is_another=True)
    assert len(server.hooks) == len(await webhooks_of(accounts).list()) == 5
    await unsubscribe(accounts, webhooks_of(accounts), Shouter, made)
    assert "1" not in server.hooks


async def test_what_a_service_repeats_of_the_request_shows_no_secret(accounts: Accounts, server: ShouterServer) -> None:
    made = await subscribed(accounts)
    own = webhooks_of(accounts).secrets(made)
    server.status, server.does_repeat = 422, True
    with pytest.raises(SubscribeRefused, match=r"answered 422: .*\[hidden\].*\[hidden\]") as refused:
        await subscribed(accounts, node="m")
    asked = server.asked[-1]
    said = str(refused.value)
    assert [word for word in (SECRET, asked["secret"], asked["url"].rpartition("/")[2]) if word in said] == []
    with pytest.raises(SubscribeRefused, match="answered 422") as refused:
        await unsubscribe(accounts, webhooks_of(accounts), Shouter, made)
    assert [word for word in (SECRET, own.token, own.secret) if word in str(refused.value)] == []
