"""A worker's connectors call services as the user of their message."""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from conftest import MakeTopology, RunWorker
from structlog.testing import capture_logs
from support.accounts import KEY, install, install_books, log_in, opened
from support.books import Ask, Tell
from support.oauth_application import Books
from support.oauth_server import OAuthServer
from support.queues import Queues, bodies, process_message
from support.topologies import TopologyFile, connector, sink
from support.trashed import trashed

from applications.accounts import Accounts
from worker.accounts.opening import open_needed
from worker.errors import SettingsError
from worker.settings.settings import load_settings

STRANGE_USERS = ("a:b", "a/b", "a+b", "a b", "žofie", "'; drop table installs; --")


@pytest.fixture
async def server() -> AsyncIterator[OAuthServer]:
    async with OAuthServer().serve() as serving:
        yield serving


@pytest.fixture
async def accounts(tmp_path: Path) -> AsyncIterator[Accounts]:
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as found:
        yield found


@pytest.fixture
def own_settings(tmp_path: Path) -> dict[str, Any]:
    return {
        "installs_url": f"sqlite:///{tmp_path}/installs.sqlite",
        "secret_keys": KEY,
        "token_journal": tmp_path / "journal",
    }


@pytest.fixture
def topology(make_topology: MakeTopology) -> TopologyFile:
    return make_topology(connector("ask", "books-ask", "sink"), sink())


async def test_each_message_is_sent_as_its_user(
    topology: TopologyFile, run_worker: RunWorker, queues: Queues, server: OAuthServer, accounts: Accounts,
    own_settings: dict[str, Any],
) -> None:  # fmt: skip
    tokens = {}
    for user in STRANGE_USERS:
        await install_books(accounts, server, user)
        tokens[user] = (await log_in(accounts, server, user)).access_token
    await run_worker(topology, Ask(), **own_settings)
    await queues.publish(topology.exchange("ask"), *(process_message({}, user=user) for user in STRANGE_USERS))
    assert len(await queues.read(topology.queue("sink"), len(STRANGE_USERS))) == len(STRANGE_USERS)
    used = {call.headers["authorization"].removeprefix("Bearer ") for call in server.api_calls}
    assert used == set(tokens.values())


@pytest.mark.parametrize(
    ("user", "is_installed", "is_enabled", "reason"),
    [
        ("bob", False, True, "user 'bob' has not installed books. Cure: orchesty-worker installs add books bob"),
        ("bo b", True, False, "books for user 'bo b' is disabled. Cure: orchesty-worker installs enable books 'bo b'"),
        ("bob", True, True, "has not logged in to books. Cure: orchesty-worker installs authorize books bob"),
        ("", False, True, "books needs a user, and the message has no header `user`"),
    ],
)
async def test_a_message_whose_user_is_not_ready_goes_to_the_trash_with_the_cure(
    topology: TopologyFile, run_worker: RunWorker, queues: Queues, server: OAuthServer, accounts: Accounts,
    own_settings: dict[str, Any], user: str, is_installed: bool, is_enabled: bool, reason: str,
) -> None:  # fmt: skip
    if is_installed:
        await install_books(accounts, server, user)
        await accounts.installs.enable(user, "books", is_enabled=is_enabled)
    worker = await run_worker(topology, Ask(), **own_settings)
    await queues.publish(topology.exchange("ask"), process_message({}, **({"user": user} if user else {})))
    entry = await trashed(worker)
    assert reason in str(entry.reason)
    assert entry.application in {"", "books"}


async def test_messages_that_a_dead_login_stopped_go_on_after_a_new_one(
    topology: TopologyFile, run_worker: RunWorker, queues: Queues, server: OAuthServer, accounts: Accounts,
    own_settings: dict[str, Any],
) -> None:  # fmt: skip
    await install_books(accounts, server)
    await log_in(accounts, server, age=4000)
    server.refresh_tokens.clear()
    worker = await run_worker(topology, Ask(), **own_settings)
    await queues.publish(topology.exchange("ask"), process_message({}, user="alice"))
    assert "the login of user 'alice' to books needs reconnect" in str((await trashed(worker)).reason)
    await log_in(accounts, server)
    await worker.command("trash", "approve", "--reason", "needs reconnect", "--yes")
    assert bodies(await queues.read(topology.queue("sink"), 1)) == [{"ok": True}]


async def test_a_refused_token_is_renewed_and_the_same_body_sent_again(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, server: OAuthServer, accounts: Accounts,
    own_settings: dict[str, Any],
) -> None:  # fmt: skip
    topology = make_topology(connector("tell", "books-tell", "sink"), sink())
    await install_books(accounts, server)
    server.revoked.add((await log_in(accounts, server, age=100)).access_token)
    await run_worker(topology, Tell(), **own_settings)
    await queues.publish(topology.exchange("tell"), *(process_message({"order": 17}, user="alice") for _ in range(10)))
    assert len(await queues.read(topology.queue("sink"), 10)) == 10
    assert len(server.calls) == 1
    assert [await call.json() for call in server.api_calls] == [{"order": 17}] * len(server.api_calls)


async def test_messages_wait_in_the_broker_while_the_token_endpoint_is_away(
    topology: TopologyFile, run_worker: RunWorker, queues: Queues, server: OAuthServer, accounts: Accounts,
    own_settings: dict[str, Any],
) -> None:  # fmt: skip
    async def busy() -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "1"})

    await install_books(accounts, server)
    await log_in(accounts, server, age=4000)
    server.misbehaviour = busy
    worker = await run_worker(topology, Ask(), **own_settings)
    await queues.publish(topology.exchange("ask"), *(process_message({}, user="alice") for _ in range(5)))
    await server.arrived.wait()
    server.misbehaviour = None
    assert len(await queues.read(topology.queue("sink"), 5)) == 5
    assert not await worker.worker.handler.trash.store.waiting()


async def test_a_message_whose_user_has_settings_to_fill_in_goes_to_the_trash_with_the_cure(
    topology: TopologyFile, run_worker: RunWorker, queues: Queues, accounts: Accounts, own_settings: dict[str, Any]
) -> None:
    await install(accounts, Books, client_id="c")
    worker = await run_worker(topology, Ask(), **own_settings)
    await queues.publish(topology.exchange("ask"), process_message({}, user="alice"))
    reason = str((await trashed(worker)).reason)
    assert "books of user 'alice' lacks client_secret, server" in reason
    assert "Cure: orchesty-worker installs set books alice client_secret=... server=..." in reason


async def test_an_install_that_is_removed_at_work_is_called_no_more(
    topology: TopologyFile, run_worker: RunWorker, queues: Queues, server: OAuthServer, accounts: Accounts,
    own_settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("applications.accounts.FRESH_SECONDS", 0)
    await install_books(accounts, server)
    await log_in(accounts, server)
    worker = await run_worker(topology, Ask(), **own_settings)
    await queues.publish(topology.exchange("ask"), process_message({}, user="alice"))
    await queues.read(topology.queue("sink"), 1)
    await accounts.installs.remove("alice", "books")
    await queues.publish(topology.exchange("ask"), process_message({}, user="alice"))
    assert "user 'alice' has not installed books" in str((await trashed(worker)).reason)
    assert len(server.api_calls) == 1


async def test_a_ciphertext_that_was_changed_is_told_in_the_trash_and_healed_by_filling_in(
    topology: TopologyFile, run_worker: RunWorker, queues: Queues, server: OAuthServer, accounts: Accounts,
    own_settings: dict[str, Any], tmp_path: Path,
) -> None:  # fmt: skip
    await install_books(accounts, server)
    await log_in(accounts, server)
    tamper(tmp_path / "installs.sqlite")
    worker = await run_worker(topology, Ask(), **own_settings)
    await queues.publish(topology.exchange("ask"), process_message({}, user="alice"))
    reason = str((await trashed(worker)).reason)
    assert "alice / books / authorization_form / client_secret does not open with the key 'test'" in reason
    assert "the value was changed or moved" in reason
    await accounts.installs.remove("alice", "books")
    await install_books(accounts, server)
    await log_in(accounts, server)
    await worker.command("trash", "approve", "--reason", "does not open", "--yes")
    assert bodies(await queues.read(topology.queue("sink"), 1)) == [{"ok": True}]


def tamper(database: Path) -> None:
    """Change one character of the client's secret."""
    with closing(sqlite3.connect(database)) as connection, connection:
        ((text,),) = connection.execute("SELECT settings FROM installs")
        settings = json.loads(text)
        sealed = settings["authorization_form"]["client_secret"]
        settings["authorization_form"]["client_secret"] = sealed[:-10] + chr(ord(sealed[-10]) ^ 1) + sealed[-9:]
        connection.execute("UPDATE installs SET settings = ?", (json.dumps(settings),))


async def test_a_key_that_opens_nothing_is_told_in_the_trash(
    topology: TopologyFile, run_worker: RunWorker, queues: Queues, server: OAuthServer, accounts: Accounts,
    own_settings: dict[str, Any],
) -> None:  # fmt: skip
    await install_books(accounts, server)
    other = "test:" + "A" * 43 + "="
    worker = await run_worker(topology, Ask(), **own_settings | {"secret_keys": other})
    await queues.publish(topology.exchange("ask"), process_message({}, user="alice"))
    reason = str((await trashed(worker)).reason)
    assert "does not open with the key 'test'" in reason
    assert "alice / books / authorization_form / client_id" in reason


async def test_a_worker_without_key_does_not_start(
    topology: TopologyFile, run_worker: RunWorker, own_settings: dict[str, Any]
) -> None:
    with pytest.raises(SettingsError, match=r"settings of books are kept encrypted.*orchesty-worker secrets generate"):
        await run_worker(topology, Ask(), **own_settings | {"secret_keys": None})


async def test_a_worker_that_cannot_write_its_journal_says_so_at_its_start(
    topology: TopologyFile, run_worker: RunWorker, own_settings: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with capture_logs() as lines:
        await run_worker(topology, Ask(), **own_settings | {"token_journal": tmp_path / "file" / "journal"})
    (line,) = [line for line in lines if line["event"] == "token_journal_unwritable"]
    assert "WORKER_TOKEN_JOURNAL" in line["cure"]


async def test_a_worker_without_applications_opens_no_accounts(own_settings: dict[str, Any]) -> None:

    settings = load_settings(**own_settings | {"secret_keys": None})
    assert open_needed(settings, set()) is None
