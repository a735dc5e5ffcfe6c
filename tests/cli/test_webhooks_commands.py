"""Webhooks from the terminal, and through several worker processes."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from support.hooks import ShouterServer
from support.terminal import Terminal

TOPOLOGY = {"id": "t1", "name": "orders", "nodes": [{"id": "n1", "name": "start", "worker": "worker.null"}]}
ACTIONS = ("--actions", "support.hooks")


@pytest.fixture
async def server() -> AsyncIterator[ShouterServer]:
    async with ShouterServer().serve() as serving:
        yield serving


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    made = Terminal(tmp_path)
    path = tmp_path / "topology.json"
    path.write_text(json.dumps(TOPOLOGY))
    made.environment |= {"TOPOLOGY_JSON": str(path), "WORKER_PUBLIC_URL": "https://hooks.example/"}
    return made


async def run(terminal: Terminal, *arguments: str, status: int = 0) -> str:
    """Run a command while the service answers."""
    return await asyncio.to_thread(terminal.run, *arguments, status=status)


async def test_webhooks_are_subscribed_listed_and_left(terminal: Terminal, server: ShouterServer) -> None:
    words = (f"server={server.base_url}", "token=t")
    await run(terminal, "installs", "add", "shouter", "alice", *words, *ACTIONS)
    text = await run(terminal, "webhooks", "subscribe", "shouter", "alice", "order", "--node", "start", *ACTIONS)
    assert "shouter of user alice calls node start for order." in text
    url = server.hooks["1"]["url"]
    assert url.startswith("https://hooks.example/webhook/topologies/t1/nodes/n1/token/")
    text = await run(terminal, "webhooks", "list", "--json")
    (webhook,) = json.loads(text)
    assert (webhook["name"], webhook["node"], webhook["state"]) == ("order", "n1", "subscribed")
    assert url.rpartition("/")[2] not in text
    assert "subscribed" in await run(terminal, "webhooks", "list")
    assert "no such webhook" in await run(terminal, "webhooks", "unsubscribe", "zz", *ACTIONS, status=1)
    await run(terminal, "webhooks", "unsubscribe", webhook["id"], *ACTIONS)
    assert not server.hooks
    assert "There are no webhooks" in await run(terminal, "webhooks", "list")


async def test_an_install_is_shown_with_choices_of_the_service(terminal: Terminal, server: ShouterServer) -> None:
    words = (f"server={server.base_url}", "token=canary", "useLimit=true", "time=5", "value=2")
    await run(terminal, "installs", "add", "shouter", "alice", *words, *ACTIONS)
    text = await run(terminal, "installs", "show", "shouter", "alice", *ACTIONS)
    assert "selectbox: 1, 2" in text
    assert "alice|shouter;5;2" in text
    facts = json.loads(await run(terminal, "installs", "show", "shouter", "alice", "--json", *ACTIONS))
    assert "canary" not in text + str(facts)
    assert facts["authorized"] is True
    server.status = 500
    assert "was not asked" in await run(terminal, "installs", "show", "shouter", "alice", *ACTIONS)
    assert "has not installed" in await run(terminal, "installs", "show", "shouter", "bob", *ACTIONS, status=1)


async def test_what_is_wrong_is_told(terminal: Terminal, server: ShouterServer) -> None:
    subscribe = ("webhooks", "subscribe", "shouter", "alice", "order", "--node")
    assert "has not installed shouter" in await run(terminal, *subscribe, "start", *ACTIONS, status=1)
    assert "there is no node nope; the topology has: start (n1)" in await run(
        terminal, *subscribe, "nope", *ACTIONS, status=2
    )
    wrong = (*subscribe, "start", "owner", *ACTIONS)
    assert "owner has no value" in await run(terminal, *wrong, status=2)
    del terminal.environment["WORKER_PUBLIC_URL"]
    assert "WORKER_PUBLIC_URL" in await run(terminal, *subscribe, "start", *ACTIONS, status=2)


async def test_one_webhook_whose_key_is_lost_stops_no_command_for_others(
    terminal: Terminal, server: ShouterServer
) -> None:
    for user in ("alice", "bob"):
        await run(terminal, "installs", "add", "shouter", user, f"server={server.base_url}", "token=t", *ACTIONS)
        await run(terminal, "webhooks", "subscribe", "shouter", user, "order", "--node", "start", *ACTIONS)
    lost, kept = json.loads(await run(terminal, "webhooks", "list", "--json"))
    with closing(sqlite3.connect(terminal.url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE webhooks SET sealed_token = 'v1.gone.AAAA' WHERE user = 'alice'")
    assert json.loads(await run(terminal, "webhooks", "list", "--json")) == [lost, kept]
    await run(terminal, "webhooks", "unsubscribe", kept["id"], *ACTIONS)
    assert list(server.hooks) == ["1"]
    text = await run(terminal, "webhooks", "unsubscribe", lost["id"], *ACTIONS, status=1)
    assert "gone" in text
    await run(terminal, "webhooks", "unsubscribe", lost["id"], "--forget", *ACTIONS)
    assert "There are no webhooks" in await run(terminal, "webhooks", "list")


async def test_a_second_webhook_for_the_same_is_made_when_asked_for(terminal: Terminal, server: ShouterServer) -> None:
    await run(terminal, "installs", "add", "shouter", "alice", f"server={server.base_url}", "token=t", *ACTIONS)
    subscribe = ("webhooks", "subscribe", "shouter", "alice", "order", "--node", "start", *ACTIONS)
    await run(terminal, *subscribe)
    assert "--another makes a second one" in await run(terminal, *subscribe, status=1)
    await run(terminal, *subscribe, "--another")
    assert len(server.hooks) == 2
