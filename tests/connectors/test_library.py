"""Nodes that services of the platform have as well, by their names."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.accounts import install, install_books, opened, put_token
from support.oauth_application import Books
from support.oauth_server import OAuthServer
from support.visits import node

from applications import Application, Form, Limit, Token
from applications.accounts import Accounts
from connectors import Connector, CustomNode, Message, Stop
from connectors.kind import Kind
from worker.accounts.opening import UserAccess
from worker.actions.binding import bind
from worker.actions.registry import AnyAction, load_actions
from worker.actions.remote import RemoteActions
from worker.testing import ActionResult, InMemoryTopology, run_action


class Login(Form):
    """Something."""

    name: str = "x"


class Shop(Application):
    """A shop with a limit."""

    key = "shop"
    forms = (Login,)
    limit = Limit(1, 5)


class Erp(Shop):
    """Another one."""

    key = "erp"


class Ask(Connector[Any, Any]):
    """Brings the application along."""

    name = "shop-ask"
    application = Shop

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Do nothing."""
        return message


class AskErp(Ask):
    """Brings the other one along."""

    name = "erp-ask"
    application = Erp


OWN = (Ask(), AskErp())


def ready(kind: Kind, name: str) -> AnyAction:
    found = load_actions(["support.books"], own=OWN).make(kind, name)
    assert found is not None
    return found


@pytest.fixture
async def accounts(tmp_path: Path) -> AsyncIterator[Accounts]:
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as found:
        yield found


async def list_users(accounts: Accounts, body: str, user: str | None = None, **headers: str) -> ActionResult:
    topology: dict[str, Any] = {
        "id": "t", "name": "t", "nodes": [
            {"id": "users", "name": "users", "worker": "worker.batch", "followers": [{"id": "next", "name": "next"}],
             "settings": {"actionPath": "/batch/shop-list-users/action"}}]}  # fmt: skip
    async with InMemoryTopology(topology, [*OWN], access=UserAccess(accounts)) as running:
        await running.start("users", body=body, user=user, headers=headers)
        await running.run()
        outcomes = [call.outcome for call in running.calls("users")]
        return ActionResult(outcomes, running.messages("next"), None, [])


def summary(result: ActionResult) -> list[tuple[Any, ...]]:
    names = ("user", "sdk", "limiter-key")
    return [(message.data, *(message.headers.get(name) for name in names)) for message in result.messages]


async def test_each_user_of_an_application_gets_a_message(accounts: Accounts) -> None:
    await install(accounts, Shop, "alice")
    await install(accounts, Erp, "alice")
    await install(accounts, Shop, "bob")
    await accounts.installs.add("carol", "shop", is_enabled=False)
    await accounts.installs.add("bob", "shop", "python", is_enabled=True)
    bobs = "bob|shop;1;5;bob|python:shop;1;5"
    everybody = [
        ({"day": 1}, "alice", None, "alice|erp;1;5;alice|shop;1;5"),
        ({"day": 1}, "bob", None, bobs),
        ({"day": 1}, "bob", "python", bobs),
    ]
    stale = {"limiter-key": "x|y;1;1"}
    assert summary(await list_users(accounts, '{"day": 1, "user": "orchesty"}', "bob", **stale)) == everybody
    assert summary(await list_users(accounts, '{"day": 1}')) == everybody
    assert summary(await list_users(accounts, '{"day": 1}', "alice")) == everybody[:1]
    narrowed = await list_users(accounts, '{"user": "alice"}', "bob", applications="shop;else")
    assert summary(narrowed) == [({}, "alice", None, "alice|shop;1;5")]
    assert [message.body for message in (await list_users(accounts, "", "alice")).messages] == ["{}"]


async def test_without_users_the_branch_ends_as_a_success(accounts: Accounts) -> None:
    await accounts.installs.add("carol", "shop", is_enabled=False)
    assert (await list_users(accounts, "{}")).outcomes == [Stop("nobody has installed shop")]
    assert (await list_users(accounts, "{}", "carol")).outcomes == [Stop("user 'carol' has not installed shop")]


async def test_the_platforms_topology_renews_tokens(accounts: Accounts) -> None:
    topology = {
        "id": "t", "name": "refresh-oauth2-token", "nodes": [
            {"id": "get", "name": "get", "worker": "worker.batch", "followers": [{"id": "renew", "name": "renew"}],
             "settings": {"actionPath": "/batch/get-application-for-refresh/action"}},
            {"id": "renew", "name": "renew", "worker": "worker.http", "followers": [{"id": "end", "name": "end"}],
             "settings": {"actionPath": "/connector/refresh-oauth2-token/action"}}]}  # fmt: skip
    async with OAuthServer().serve() as server:
        for user, left in (("alice", 60), ("bob", 3000)):
            await install_books(accounts, server, user)
            server.refresh_tokens[user] = 0
            await put_token(accounts, user, "books", Token("a", user, time.time() - 3600, time.time() + left))
        async with InMemoryTopology(topology, ["support.books"], access=UserAccess(accounts)) as running:
            await running.start("get")
            await running.run()
            (end,) = running.messages("end")
        assert (end.data, end.user) == ({"app": "books"}, "alice")
        assert [call["refresh_token"] for call in server.calls] == ["alice"]
    assert (await accounts.tokens.get(Books, "alice")).access_token == server.issued[0]


@pytest.mark.parametrize("event", ["processSuccess", "processFailed", "limitOverflow", "messageInTrash"])
async def test_events_are_told_apart(event: str) -> None:
    wanted = ready(Kind.CUSTOM_NODE, f"event-status-filter-{event}")
    assert (await run_action(wanted, {"type": event, "data": {}})).data == {"type": event, "data": {}}
    assert (await run_action(wanted, {"type": "other"})).outcome == Stop("Filtered out!")


async def test_limits_are_taken_off_a_message() -> None:
    remove = ready(Kind.CUSTOM_NODE, "remove-limiter")
    result = await run_action(remove, {}, headers={"limiter-key": "a|b;1;2", "x": "1"})
    assert "limiter-key" not in result.messages[0].headers
    assert result.messages[0].headers["x"] == "1"


async def test_a_topology_is_started_by_the_name_of_a_connector() -> None:
    path = "/connector/my-orders-begin-run-topology/action"
    first = {"id": "a", "name": "a", "worker": "worker.http", "settings": {"actionPath": path}}
    second = {"id": "b", "name": "begin", "worker": "worker.null", "followers": [{"id": "c", "name": "c"}]}
    topology = {"id": "t", "name": "my-orders", "nodes": [first, second]}
    async with InMemoryTopology(topology, []) as running:
        await running.start("a", {"id": 5}, user="alice")
        await running.run()
        (started,) = running.messages("c")
    assert (started.data, started.user) == ({"id": 5}, "alice")
    assert load_actions([]).make(Kind.CUSTOM_NODE, "a-b-run-topology") is None


async def test_a_service_that_a_node_names_keeps_its_own(accounts: Accounts) -> None:
    class Mine(CustomNode[Any, Any]):
        """Stands instead of the library's."""

        name = "remove-limiter"

        async def process(self, message: Message[Any]) -> Message[Any]:
            """Do nothing."""
            return message

    path, mine = "/custom-node/remove-limiter/process", Mine()
    far = node(url="http://nodejs-sdk:8080", action_path=path)
    near = node(url="http://nodejs-sdk:8080", action_path=path, is_here=True)
    registry = load_actions([])
    assert registry.at(far) is None
    assert registry.at(near) is registry.at(node(action_path=path)) is not None
    assert load_actions([], own=[mine]).at(far) is mine
    remote = RemoteActions()
    assert set(bind([far], registry, remote)) == {far.id}
    await remote.close()
