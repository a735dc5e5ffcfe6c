"""Webhooks as the platform's editor subscribes them."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.accounts import opened, webhooks_of
from support.desk import Desk, desk_service
from support.serving import Asked

from applications.accounts import Accounts


@pytest.fixture
async def accounts(tmp_path: Path) -> AsyncIterator[Accounts]:
    Desk.heard = []
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as accounts:
        yield accounts


@pytest.fixture
def ask(accounts: Accounts) -> Asked:
    return desk_service(accounts)


@pytest.fixture
def desk_calls(ask: Asked) -> list[tuple[str, str]]:
    return Desk.heard


async def test_a_topology_is_subscribed_when_it_is_switched_on(
    ask: Asked, accounts: Accounts, desk_calls: list[tuple[str, str]]
) -> None:
    own = "/webhook/applications/desk/users/alice/sdk/mine"
    await ask("POST", "/applications/desk/users/alice/sdk/mine/install")
    filled = {"authorization_form": {"user": "al", "password": "pw"}}
    await ask("PUT", "/applications/desk/users/alice/sdk/mine/settings", filled)
    await ask("PUT", "/applications/desk/users/alice/sdk/mine/changeState", {"enabled": True})
    wanted = {"name": "opened", "topology": "t1", "node": "n1", "parameters": {"queue": "first"}}
    for _ in range(2):
        subscribed = await ask("POST", f"{own}/subscribe", wanted)
        assert (subscribed.status, subscribed.data) == (200, [])
    ((event, url),) = desk_calls
    assert event == "opened"
    assert re.fullmatch(r"http://start\.test/topologies/t1/nodes/n1/token/[0-9a-f]+/run", url)
    detail = await ask("GET", "/applications/desk/users/alice/sdk/mine")
    assert detail.data["webhookSettings"] == [{"name": "opened", "default": False, "enabled": True, "topology": "t1"}]
    assert (await ask("POST", f"{own}/unsubscribe", {**wanted, "node": "n2"})).data == []
    (webhook,) = await webhooks_of(accounts).list(user="alice")
    assert (await ask("POST", f"{own}/unsubscribe", wanted)).data == [webhook.id]
    assert desk_calls[1:] == [("end", "remote-1")]


async def test_the_methods_of_webhooks_do_the_same(ask: Asked, desk_calls: list[tuple[str, str]]) -> None:
    await ask("POST", "/applications/desk/users/alice/sdk/mine/install")
    filled = {"authorization_form": {"user": "al", "password": "pw"}}
    await ask("PUT", "/applications/desk/users/alice/sdk/mine/settings", filled)
    await ask("PUT", "/applications/desk/users/alice/sdk/mine/changeState", {"enabled": True})
    wanted = {"name": "opened", "topology": "t1", "node": "n1", "user": "alice", "sdk": "mine"}
    wanted |= {"parameters": {"queue": "a"}}
    for method, found in (("subscribeWebhook", "remote-1"), ("unsubscribeWebhook", "remote-1")):
        answer = await ask("POST", f"/applications/desk/sync/{method}", wanted)
        assert answer.data == {"status": "ok", "webhooks": [found]}
    assert [event for event, _ in desk_calls] == ["opened", "end"]


@pytest.mark.parametrize("body", [{}, [], {"node": "n"}, b"{", b""])
async def test_a_subscription_to_nothing_is_refused(ask: Asked, body: object) -> None:
    for what in ("subscribe", "unsubscribe"):
        assert (await ask("POST", f"/webhook/applications/desk/users/alice/{what}", body)).status == 400


async def test_applications_that_nobody_calls_or_that_are_not_filled_in_subscribe_to_nothing(ask: Asked) -> None:
    for key in ("desk", "books"):
        await ask("POST", f"/applications/{key}/users/alice/install")
        answer = await ask("POST", f"/webhook/applications/{key}/users/alice/subscribe", {"name": "opened"})
        assert (answer.status, answer.data) == (200, [])


async def test_one_that_cannot_be_ended_keeps_no_other_one_going(
    ask: Asked, accounts: Accounts, desk_calls: list[tuple[str, str]]
) -> None:
    await ask("POST", "/applications/desk/users/alice/install")
    await ask(
        "PUT", "/applications/desk/users/alice/settings", {"authorization_form": {"user": "al", "password": "pw"}}
    )
    own = "/webhook/applications/desk/users/alice"
    for node in ("n1", "n2", "n3"):
        wanted = {"name": "opened", "topology": "t1", "node": node, "parameters": {"queue": "first"}}
        assert (await ask("POST", f"{own}/subscribe", wanted)).status == 200
    answer = await ask("POST", f"{own}/unsubscribe", {"topology": "t1"})
    assert (answer.status, answer.data["message"]) == (400, "Error occurred: desk failed: KeyError: 'id'")
    assert sorted(remote for event, remote in desk_calls if event == "end") == ["remote-1", "remote-2", "remote-3"]
    (left,) = await webhooks_of(accounts).list(user="alice")
    assert (left.node, left.is_unsubscribe_failed) == ("n2", True)
