"""Secrets are searched for wherever the worker writes, and are not there."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from urllib.parse import quote

import pytest
from conftest import MakeTopology, StartWorker
from support.accounts import KEY, install, log_in, opened
from support.blabbing import Blabber
from support.hooks import ShouterServer
from support.oauth_application import Books
from support.oauth_server import CLIENT, SECRET, OAuthServer
from support.queues import Queues, process_message
from support.terminal import Terminal
from support.topologies import NodeEntry, TopologyFile, connector, sink
from support.waiting import eventually

from worker.trash.entry import Entry
from worker.trash.opening import open_trash


@pytest.fixture
async def server() -> AsyncIterator[OAuthServer]:
    async with OAuthServer().serve() as serving:
        yield serving


async def test_no_secret_is_in_logs_errors_tables_or_what_commands_print(
    make_topology: MakeTopology, start_worker: StartWorker, queues: Queues, server: OAuthServer, tmp_path: Path
) -> None:
    terminal = Terminal(tmp_path)
    topology = make_topology(
        connector("ask", "books-ask", "sink"),
        NodeEntry("leak", ("sink",), "worker.batch", settings={"actionPath": "/batch/books-leak/action"}),
        sink(),
    )
    async with opened(terminal.url, tmp_path) as accounts:
        for user in ("well", "dead", "away", "refused"):
            words = {"client_id": CLIENT, "client_secret": SECRET, "server": server.base_url}
            await install(accounts, Books, user, **words)
            await log_in(accounts, server, user, age=4000)
        dead = (await accounts.installs.get("dead", "books")) or pytest.fail("it was installed")
        token = accounts.installs.token(dead)
        assert token is not None
        server.refresh_tokens.pop(str(token.refresh_token))
        await accounts.save("away", Books, {"authorization_form": {"server": "http://127.0.0.1:1"}})
        await accounts.save("refused", Books, {"authorization_form": {"client_secret": "wrong-canary"}})
    own = {"installs_url": terminal.url, "secret_keys": KEY, "token_journal": tmp_path / "journal"}
    worker = await start_worker(topology, actions="support.books", log_level="debug", **own)
    users = ("well", "dead", "away", "refused", "unknown")
    await queues.publish(topology.exchange("ask"), *(process_message({}, user=user) for user in users))
    await queues.publish(topology.exchange("leak"), process_message({}, user="well"))
    await queues.read(topology.queue("sink"), 2)
    entries = await waiting_entries(topology, 3)
    commands = terminal.run("installs", "list", "--json") + terminal.run("installs", "list")
    written = [json.dumps(worker.lines), str(entries), await worker.get("/metrics"), commands, files(tmp_path)]
    secrets = [
        SECRET,
        KEY.partition(":")[2],
        "wrong-canary",
        *server.issued,
        *server.refresh_tokens,
        str(token.refresh_token),
    ]
    found = [secret for secret in secrets if any(secret in text for text in written)]
    assert found == []
    shown = [json.dumps(line) for line in worker.lines if line.get("event") in {"leaked", "confirmed_failed"}]
    assert len(shown) == 2
    assert all("[hidden]" in line for line in shown)
    assert any("needs reconnect" in str(entry.reason) for entry in entries)


PATH_SECRET = "canary/in the path+1"


async def test_no_secret_of_a_url_or_of_a_careless_connector_is_shown(
    make_topology: MakeTopology, start_worker: StartWorker, queues: Queues, server: OAuthServer, tmp_path: Path
) -> None:
    terminal = Terminal(tmp_path)
    topology = make_topology(connector("blab", "blabber-blab", "sink"), sink())
    async with opened(terminal.url, tmp_path) as accounts:
        words = {"client_id": CLIENT, "client_secret": SECRET, "path_secret": PATH_SECRET, "server": server.base_url}
        for user in ("well", "away", "dead"):
            await install(accounts, Blabber, user, **words)
        await accounts.save("away", Blabber, {"authorization_form": {"server": "http://127.0.0.1:1"}})
        await accounts.save("dead", Blabber, {"authorization_form": {"client_secret": "wrong-canary"}})
    own = {"installs_url": terminal.url, "secret_keys": KEY, "token_journal": tmp_path / "journal"}
    worker = await start_worker(topology, actions="support.blabbing", log_level="debug", **own)
    asked = (("well", "say"), ("well", "raise"), ("away", "say"), ("dead", "say"))
    await queues.publish(topology.exchange("blab"), *(process_message(data, user=user) for user, data in asked))
    await queues.read(topology.queue("sink"), 1)
    entries = await waiting_entries(topology, 2)
    commands = await asyncio.to_thread(terminal.run, "installs", "list", "--json")
    commands += await asyncio.to_thread(
        terminal.run, "installs", "show", "blabber", "away", "--json", "--actions", "support.blabbing"
    )
    written = [json.dumps(worker.lines, ensure_ascii=False), str(entries), str([entry.document() for entry in entries])]
    written += [await worker.get("/metrics"), commands, files(tmp_path)]
    secrets = [SECRET, "wrong-canary", PATH_SECRET, quote(PATH_SECRET), quote(PATH_SECRET, safe=""), *server.issued]
    assert [(number, secret) for secret in secrets for number, text in enumerate(written) if secret in text] == []
    assert "[hidden]" in written[0]
    assert any(line.get("event") == "asking_failed" and "exception" in line for line in worker.lines)
    assert any(line.get("event") == "token_endpoint_away" for line in worker.lines)


async def test_no_secret_is_printed_when_a_service_refuses_a_webhook_and_repeats_what_was_asked(
    make_topology: MakeTopology, tmp_path: Path
) -> None:
    terminal, topology = Terminal(tmp_path), make_topology(sink("start"))
    actions = ("--actions", "support.hooks")
    place = ("--topology", str(topology.path), "--node", "start", "--public-url", "https://hooks.example")
    async with ShouterServer(status=422, does_repeat=True).serve() as shouter:
        words = (f"server={shouter.base_url}", f"token={SECRET}")
        await asyncio.to_thread(terminal.run, "installs", "add", "shouter", "alice", *words, *actions)
        subscribe = ("webhooks", "subscribe", "shouter", "alice", "order", *place, *actions)
        text = await asyncio.to_thread(terminal.run, *subscribe, status=1)
    (asked,) = shouter.asked
    assert "[hidden]" in text
    secrets = (SECRET, asked["secret"], asked["url"].rpartition("/")[2])
    assert [secret for secret in secrets if secret in text + files(tmp_path)] == []


async def waiting_entries(topology: TopologyFile, count: int) -> Sequence[Entry]:
    store = open_trash(f"sqlite:///{topology.path.with_suffix('.sqlite')}")

    async def trashed() -> Sequence[Entry] | None:
        found = await store.waiting()
        return found if len(found) == count else None

    entries = await eventually(trashed, what=f"{count} entries in the trash")
    await store.close()
    return entries


def files(directory: Path) -> str:
    return "".join(path.read_bytes().decode("latin-1") for path in directory.rglob("*") if path.is_file())
