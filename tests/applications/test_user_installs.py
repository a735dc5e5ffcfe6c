"""The users' installs, as actions see them."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.accounts import install, install_books, opened, put_token
from support.oauth_application import Books
from support.oauth_server import OAuthServer

from applications import Application, Form, Limit, SyncCall, Token, sync_method
from applications.accounts import Accounts
from applications.errors import KeyMissing, NotInstalled
from applications.starting import start_nothing
from applications.user_installs import UserInstalls
from connectors import Batch, Message, Page
from worker.testing import installed, run_action


class Login(Form):
    """Nothing."""

    name: str = "x"


class Shop(Application):
    """A shop with a limit."""

    key = "shop"
    forms = (Login,)
    limit = Limit(1, 5)


class Store(Shop):
    """Another one."""

    key = "store"
    limit = None
    group_limit = Limit(60, 7)


@pytest.fixture
async def accounts(tmp_path: Path) -> AsyncIterator[Accounts]:
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as found:
        found.join({"shop": Shop, "store": Store, "books": Books}, start_nothing)
        yield found


@pytest.fixture
def installs(accounts: Accounts) -> UserInstalls:
    return UserInstalls(accounts)


async def names(installs: UserInstalls, **wanted: Any) -> list[str]:
    found = await installs.find(**wanted)
    return [f"{one.user}/{one.application}" + (f"@{one.sdk}" if one.sdk else "") for one in found]


async def test_installs_are_found_by_what_they_are(accounts: Accounts, installs: UserInstalls) -> None:
    await install(accounts, Shop)
    await install(accounts, Shop, "bob")
    await install(accounts, Store, "bob")
    await accounts.installs.add("bob", "shop", "python", is_enabled=False)
    assert await names(installs) == ["alice/shop", "bob/shop", "bob/shop@python", "bob/store"]
    assert await names(installs, application=Shop, is_enabled=True) == ["alice/shop", "bob/shop"]
    assert await names(installs, user="bob", application="store") == ["bob/store"]
    assert await names(installs, sdk="python") == ["bob/shop@python"]
    assert await names(installs, user="bob", sdk="") == ["bob/shop", "bob/store"]
    assert await names(installs, user="") == await names(installs, user="\x00") == []
    assert (await installs.get(Shop, "bob", "python")).sdk == "python"
    assert (await installs.get("store", "bob", "python")).sdk == ""
    for user in ("", "carol"):
        with pytest.raises(NotInstalled):
            await installs.get(Shop, user)


async def test_installs_are_found_by_when_their_tokens_end(accounts: Accounts, installs: UserInstalls) -> None:
    for user, seconds in (("soon", 200.0), ("later", 4000.0), ("over", -5.0), ("never", None)):
        await install(accounts, Books, user)
        expires = None if seconds is None else time.time() + seconds
        await put_token(accounts, user, "books", Token("a", "r", time.time() - 10, expires))
    assert await names(installs, expires_within=timedelta(minutes=5)) == ["over/books", "soon/books"]


async def test_changes_of_plain_settings_lose_nothing(accounts: Accounts, installs: UserInstalls) -> None:
    await install(accounts, Shop)
    shop = await installs.get(Shop, "alice")
    shop = await installs.change(shop, {"since": "2026-11-01", "page": {"number": 3}})
    await asyncio.gather(*(installs.change(shop, {f"key{number}": number}) for number in range(4)))
    shop = await installs.change(shop, {"page": None})
    assert shop.plain == {"since": "2026-11-01"} | {f"key{number}": number for number in range(4)}
    assert (await accounts.access(Shop, "alice")).fields["since"] == "2026-11-01"
    await accounts.installs.remove("alice", "shop")
    with pytest.raises(NotInstalled):
        await installs.change(shop, {"since": "2026-11-02"})


async def test_the_limits_of_a_user_are_those_of_all_installs(accounts: Accounts, installs: UserInstalls) -> None:
    await install(accounts, Shop)
    await install(accounts, Store)
    await accounts.installs.add("alice", "shop", "python", is_enabled=True)
    await accounts.installs.add("alice", "books", is_enabled=False)
    await accounts.installs.add("alice", "unknown", is_enabled=True)
    found = await installs.find(user="alice")
    assert installs.limits(found) == "alice|shop;1;5;alice|python:shop;1;5;|store;60;7"
    assert installs.limits([]) == ""


async def test_a_token_is_renewed_when_its_time_has_come(accounts: Accounts, installs: UserInstalls) -> None:
    async with OAuthServer().serve() as server:
        await install_books(accounts, server)
        server.refresh_tokens["old"] = 0
        token = Token("a", "old", time.time() - 3600, time.time() + 60)
        await put_token(accounts, "alice", "books", token)
        assert await installs.renew(await installs.get(Books, "alice"))
        assert await installs.renew(await installs.get(Books, "alice"))
        assert [call["grant_type"] for call in server.calls] == ["refresh_token"]
    await install(accounts, Shop)
    assert not await installs.renew(await installs.get(Shop, "alice"))


async def test_methods_of_applications_have_them_too(accounts: Accounts) -> None:
    class Counting(Shop):
        @sync_method
        async def count(self, call: SyncCall) -> int:
            return len(await self.installs.find(application=type(self)))

    await install(accounts, Counting)
    call = SyncCall(method="GET", client=accounts.later_client(Counting, ""))
    assert await Counting.sync_methods()["count"](accounts.made(Counting), call) == 1


class Orders(Batch[Any, Any]):
    """Begins where an earlier service ended."""

    name = "shop-orders"
    application = Shop

    async def page(self, message: Message[Any], cursor: str | None) -> Page:
        shop = await self.installs.get(Shop, message.user, message.sdk)
        await self.installs.change(shop, {"since": "2026-11-30"})
        return Page([shop.plain.get("since")])


async def test_an_action_reads_and_changes_them() -> None:
    async with installed(Shop, {"since": "2026-11-01"}) as access:
        assert (await run_action(Orders, user="alice", access=access)).items == ["2026-11-01"]
        assert (await run_action(Orders, user="alice", access=access)).items == ["2026-11-30"]
        assert "has not installed shop" in (await run_action(Orders, user="bob", access=access)).reason


async def test_where_no_installs_are_kept_the_cure_is_told() -> None:
    with pytest.raises(KeyMissing, match="WORKER_SECRET_KEYS"):
        await UserInstalls(None).find()
    assert "WORKER_SECRET_KEYS" in (await run_action(Orders, user="alice")).reason
