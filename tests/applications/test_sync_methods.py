"""Synchronous methods: what others may ask an application."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.accounts import install_books, log_in, opened
from support.oauth_application import Books
from support.oauth_server import OAuthServer

from applications import Application, SyncCall, TextReply, sync_method
from applications.accounts import Accounts
from applications.errors import ApplicationError, NotReady


@pytest.fixture
async def server() -> AsyncIterator[OAuthServer]:
    async with OAuthServer().serve() as serving:
        yield serving


@pytest.fixture
async def accounts(tmp_path: Path) -> AsyncIterator[Accounts]:
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as found:
        yield found


async def ask(accounts: Accounts, application: type[Application], name: str, user: str = "", **facts: Any) -> Any:
    call = SyncCall(user=user, client=accounts.later_client(application, user), **{"method": "GET"} | facts)
    return await application.sync_methods()[name](accounts.made(application), call)


async def test_a_method_asks_the_service_as_the_user_of_the_request(accounts: Accounts, server: OAuthServer) -> None:
    await install_books(accounts, server)
    await log_in(accounts, server)
    assert await ask(accounts, Books, "orders", "alice", query={"state": "open"}) == {"ok": True}
    assert server.api_calls[0].query["state"] == "open"
    for nobody, problem in (("", "needs a user"), ("bob", "has not installed books")):
        with pytest.raises(NotReady, match=problem):
            await ask(accounts, Books, "orders", nobody)


async def test_a_method_answers_text_or_nothing_to_whoever_asks(accounts: Accounts) -> None:
    page = await ask(accounts, Books, "whatIsAsked", method="PUT", body=b'{"lang": "cs"}')
    assert page == TextReply("<p>PUT nobody cs</p>", "text/html")
    assert await ask(accounts, Books, "whatIsAsked") is None


def test_methods_are_known_by_their_names_for_others() -> None:
    class Other(Books):
        @sync_method("list")
        async def list_(self, call: SyncCall) -> Any:
            return []

        async def orders(self, call: SyncCall) -> Any:
            """No longer one of them."""

    assert list(Books.sync_methods()) == ["whatIsAsked", "orders"]
    assert list(Other.sync_methods()) == ["whatIsAsked", "list"]


async def test_a_method_starts_topologies_where_there_is_a_worker(accounts: Accounts) -> None:
    started: list[tuple[str, str, Any]] = []

    class Starting(Application):
        key = "starting"

        @sync_method
        async def begin(self, call: SyncCall) -> None:
            await self.start_topology("welcome", data=call.json(), user="alice")

    with pytest.raises(ApplicationError, match="cannot start welcome: this application belongs to no worker"):
        await ask(accounts, Starting, "begin", body=b"1")

    async def start(topology: str, node: str = "start", **options: Any) -> None:
        started.append((topology, node, options))

    accounts.join({}, start)
    await ask(accounts, Starting, "begin", body=b"1")
    assert started == [("welcome", "start", {"data": 1, "user": "alice"})]
