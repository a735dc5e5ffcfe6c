"""Limited messages on a real broker: what the service sees, with Redis, without it, and while it is away."""

import asyncio
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from conftest import MakeTopology, RunWorker
from support.accounts import KEY
from support.command import command_async
from support.queues import ProcessMessage, Queues, process_message
from support.services import serving
from support.topologies import NodeEntry, TopologyFile, connector, sink
from support.waiting import eventually
from support.workers import InProcess

from applications import Application, Form, Limit
from connectors import Connector, Message
from deploy.redis import PrivateRedis
from worker.errors import SettingsError


class Shop(Application):
    """Has a limit of its own, that holds without any header."""

    key = "shop"
    group_limit = Limit(seconds=1, amount=3)


class Note(Connector[Any, Any]):
    """Notes when it is called."""

    name = "note"

    def __init__(self) -> None:
        self.times: list[float] = []

    async def process(self, message: Message[Any]) -> Message[Any]:
        self.times.append(time.monotonic())
        return message


class NoteOfShop(Note):
    """The same, for the shop."""

    name = "note-shop"
    application = Shop


class Login(Form):
    """What a user gives."""

    name: str = ""


class Account(Application):
    """Has no limit but those of its users."""

    key = "account"
    forms = (Login,)


class NoteOfAccount(Note):
    """The same, for users' accounts."""

    name = "note-account"
    application = Account


def limited(action: str, application: str = "shop", *, prefetch: int = 4) -> NodeEntry:
    entry = connector("ask", action, "sink", prefetch=prefetch)
    return NodeEntry(entry.name, entry.followers, entry.worker, application, entry.settings)


def most(times: Sequence[float], seconds: float) -> int:
    return max(sum(start <= at < start + seconds for at in times) for start in times)


def messages(count: int, key: str | None) -> list[ProcessMessage]:
    headers = {"user": "alice"} if key is None else {"user": "alice", "limiter-key": key}
    return [process_message(number, **headers) for number in range(count)]


async def start(topology: TopologyFile, queues: Queues, count: int, key: str | None) -> None:
    await queues.publish(topology.exchange("ask"), *messages(count, key))


@pytest.mark.parametrize("is_shared", [False, True], ids=["in the process", "in Redis"])
async def test_parked_messages_come_back_and_the_limit_holds(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, redis_url: str, *, is_shared: bool
) -> None:
    topology, action = make_topology(limited("note"), sink()), Note()
    worker = await run_worker(topology, action, redis_url=redis_url if is_shared else None)
    await start(topology, queues, 16, f"alice-{is_shared}|shop;1;3")
    arrived = await queues.read(topology.queue("sink"), 16, seconds=30)
    assert {message.data for message in arrived} == set(range(16))
    assert not any({"limit-place", "application"} & set(message.headers) for message in arrived)
    assert most(action.times, 1) <= 3
    assert worker.worker.counts[topology.node_id("ask"), "limited"] > 0
    metrics = await worker.get("/metrics")
    assert 'orchesty_worker_limit_granted_total{application="shop"} 16' in metrics


async def test_an_application_is_limited_without_any_header(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology, action = make_topology(limited("note-shop", prefetch=10), sink()), NoteOfShop()
    await run_worker(topology, action)
    await start(topology, queues, 8, None)
    await queues.read(topology.queue("sink"), 8, seconds=20)
    assert most(action.times, 1) <= 3


async def test_a_user_is_limited_as_their_limiter_form_says(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, tmp_path: Path
) -> None:
    url, action = f"sqlite:///{tmp_path}/installs.sqlite", NoteOfAccount()
    own = {
        "WORKER_INSTALLS_URL": url,
        "WORKER_SECRET_KEYS": KEY,
        "WORKER_ACTIONS": __name__,
        "PYTHONPATH": f"{Path(__file__).parent}{os.pathsep}{Path(__file__).parent.parent}",
    }
    for arguments in (("add", "account", "alice"), ("set", "account", "alice", "useLimit=true", "value=2", "time=1")):
        done = await command_async("installs", *arguments, **own)
        assert done.returncode == 0, done.stderr
    topology = make_topology(limited("note-account", "account", prefetch=10), sink())
    await run_worker(topology, action, installs_url=url, secret_keys=KEY, token_journal=tmp_path / "journal")
    await start(topology, queues, 6, None)
    await queues.read(topology.queue("sink"), 6, seconds=20)
    assert most(action.times, 1) <= 2


def test_processes_that_do_not_share_an_applications_limit_do_not_start(make_topology: MakeTopology) -> None:
    topology = make_topology(limited("note-shop"), sink())
    with pytest.raises(SettingsError, match="limits of shop for themselves"):
        InProcess(topology, NoteOfShop(), amqp_url="amqp://127.0.0.1/", processes=2)


async def test_messages_wait_while_redis_is_away(
    make_topology: MakeTopology,
    run_worker: RunWorker,
    queues: Queues,
    own_redis: PrivateRedis,
    log_lines: list[dict[str, Any]],
) -> None:
    topology, action = make_topology(limited("note"), sink()), Note()
    own_redis.stop()
    await run_worker(topology, action, redis_url=own_redis.url)
    await start(topology, queues, 3, "alice|shop;1;30")
    await eventually(lambda: [line for line in log_lines if line["event"] == "limits_away"], what="the log line")
    assert not action.times
    await asyncio.to_thread(own_redis.start)
    await queues.read(topology.queue("sink"), 3, seconds=20)
    assert len(action.times) == 3


async def test_redis_that_lost_its_data_does_not_let_calls_through_twice(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, own_redis: PrivateRedis
) -> None:
    topology, action = make_topology(limited("note", prefetch=20), sink()), Note()
    await run_worker(topology, action, redis_url=own_redis.url)
    await start(topology, queues, 5, "alice|shop;3;5")
    await queues.read(topology.queue("sink"), 5, seconds=20)
    await asyncio.to_thread(own_redis.restart)
    await start(topology, queues, 5, "alice|shop;3;5")
    await queues.read(topology.queue("sink"), 5, seconds=20)
    assert most(action.times, 3) <= 5


@pytest.mark.parametrize("policy", ["refuse", "divide"])
async def test_several_processes_without_redis_refuse_or_divide(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, log_lines: list[dict[str, Any]], policy: str
) -> None:
    topology, action = make_topology(limited("note", prefetch=10), sink()), Note()
    await run_worker(topology, action, processes=2, limits_without_redis=policy)
    await start(topology, queues, 4, "alice|shop;1;4")
    if policy == "refuse":
        (line, *_) = await eventually(lambda: [line for line in log_lines if line["event"] == "limits_away"])
        assert "WORKER_REDIS_URL" in line["cause"]
        assert not action.times
    else:
        await queues.read(topology.queue("sink"), 4, seconds=20)
        assert most(action.times, 1) <= 2


class Ask(Connector[Any, Any]):
    """Asks the service that the message names."""

    name = "ask"

    async def process(self, message: Message[Any]) -> Message[Any]:
        await self.get(message.data)
        return message


async def test_what_the_service_says_is_learned_and_the_commands_show_it(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, own_redis: PrivateRedis
) -> None:
    times: list[float] = []

    async def answer(request: web.Request) -> web.Response:
        times.append(time.monotonic())
        if len(times) == 1:
            return web.Response(status=429, headers={"Retry-After": "3"})
        return web.Response()

    topology = make_topology(limited("ask", prefetch=1), sink())
    worker = await run_worker(topology, Ask(), redis_url=own_redis.url, limit_recovery=600)
    async with serving(answer) as url:
        sent = [process_message(url, **{"limiter-key": "alice|shop;1;8"}) for _ in range(3)]
        await queues.publish(topology.exchange("ask"), *sent)
        await eventually(lambda: times, what="a call")
        await eventually(lambda: worker.worker.counts[topology.node_id("ask"), "limited"], what="a parked message")
        shown = await command_async(
            "limits", "list", "--json", WORKER_REDIS_URL=own_redis.url, WORKER_LIMIT_RECOVERY="600"
        )
        (state,) = json.loads(shown.stdout)
        assert (state["key"], state["amount"], state["amountNow"]) == ("alice|shop", 8, 4)
        await queues.read(topology.queue("sink"), 3, seconds=30)
    assert times[1] - times[0] >= 2.9
    reset = await command_async("limits", "reset", "alice|shop", WORKER_REDIS_URL=own_redis.url)
    assert (reset.returncode, reset.stdout) == (0, "1 limit of alice|shop reset\n")
    missing = await command_async("limits", "show", "bob|shop", WORKER_REDIS_URL=own_redis.url)
    assert missing.returncode == 1
    assert "limits list" in missing.stderr


async def test_the_commands_say_what_is_missing() -> None:
    without = await command_async("limits", "list")
    assert (without.returncode, "Set WORKER_REDIS_URL" in without.stderr) == (2, True)
    away = await command_async("limits", "list", WORKER_REDIS_URL="redis://127.0.0.1:1/0")
    assert (away.returncode, "Is WORKER_REDIS_URL right?" in away.stderr) == (1, True)
    wrong = await command_async("limits", "list", WORKER_REDIS_URL="http://127.0.0.1")
    assert (wrong.returncode, "WORKER_REDIS_URL" in wrong.stderr) == (2, True)
