"""Services call, and topologies start: once, and only for who may."""

import asyncio
import gzip
import hmac
import json
import re
import sqlite3
import time
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import MakeTopology, RunWorker, StartWorker
from sqlalchemy import Engine, event
from support.accounts import KEY, install, opened, webhooks_of
from support.actions import CopyConnector
from support.hooks import Hear, Shouter, ShouterServer
from support.proxy import Lost, Proxy
from support.queues import Queues
from support.topologies import TopologyFile, connector, pass_on, sink
from support.workers import InProcess

from applications import WebhookCall
from applications.accounts import Accounts
from applications.crypt import new_key
from applications.errors import TryLater
from applications.signatures import SLACK, RsaSignature
from worker.webhooks.subscriptions import SubscribeRefused, subscribe, unsubscribe


@pytest.fixture
async def server() -> AsyncIterator[ShouterServer]:
    async with ShouterServer().serve() as serving:
        yield serving


@pytest.fixture
async def accounts(tmp_path: Path, server: ShouterServer) -> AsyncIterator[Accounts]:
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as found:
        await install(found, Shouter, server=server.base_url, token="t")
        yield found


@pytest.fixture
def topology(make_topology: MakeTopology) -> TopologyFile:
    return make_topology(pass_on("start", "sink"), sink())


@pytest.fixture
async def worker(topology: TopologyFile, run_worker: RunWorker, tmp_path: Path, accounts: Accounts) -> InProcess:
    own = {"installs_url": f"sqlite:///{tmp_path}/installs.sqlite", "secret_keys": KEY, "token_journal": tmp_path}
    return await run_worker(topology, Hear(), **own)


async def subscribed(accounts: Accounts, worker: InProcess, topology: TopologyFile, **change: str) -> Any:
    chosen = {"topology": worker.worker.parts.topology.id, "node": topology.node_id("start")} | change
    public_url = f"http://127.0.0.1:{worker.port}"
    return await subscribe(
        accounts, webhooks_of(accounts), Shouter, "alice", "order", public_url=public_url, parameters={}, **chosen
    )


async def test_a_call_starts_the_topology_with_its_raw_body_and_headers(
    topology: TopologyFile, worker: InProcess, queues: Queues, accounts: Accounts, server: ShouterServer
) -> None:
    await subscribed(accounts, worker, topology)
    body = b'{"a":  1 ,\n"name": "\xc5\xbdofie"}'
    answer = await server.call("1", body, **{"Content-Type": "application/json; v=2", "X-Shop": "brno", "Cookie": "x"})
    assert (answer.status_code, answer.json()) == (200, {"status": "started"})
    (message,) = await queues.read(topology.queue("sink"), 1)
    assert message.body.encode() == body
    assert (message.headers["user"], message.headers["content-type"]) == ("alice", "application/json; v=2")
    kept = json.loads(message.headers["webhook-headers"])
    assert kept["x-shop"] == "brno"
    assert "cookie" not in kept


async def test_a_run_carries_the_limits_that_its_user_has_set(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, accounts: Accounts, server: ShouterServer,
    tmp_path: Path,
) -> None:  # fmt: skip
    never = replace(connector("never", "copy"), application="shouter")
    topology = make_topology(pass_on("start", "sink"), sink(), never)
    own = {"installs_url": f"sqlite:///{tmp_path}/installs.sqlite", "secret_keys": KEY, "token_journal": tmp_path}
    await accounts.save("alice", Shouter, {"limiter_form": {"useLimit": True, "time": 5, "value": 2}})
    worker = await run_worker(topology, Hear(), CopyConnector(), **own)
    await subscribed(accounts, worker, topology)
    assert (await server.call("1", b"{}")).status_code == 200
    await worker.command(
        *("start", "start", "--user", "alice"),
        WORKER_INSTALLS_URL=str(own["installs_url"]), WORKER_SECRET_KEYS=KEY, WORKER_ACTIONS="support.hooks",
        PYTHONPATH=str(Path(__file__).parent.parent),
    )  # fmt: skip
    messages = await queues.read(topology.queue("sink"), 2)
    assert [message.headers.get("limiter-key") for message in messages] == ["alice|shouter;5;2"] * 2


async def test_a_delivery_that_comes_again_starts_nothing(
    topology: TopologyFile, worker: InProcess, queues: Queues, accounts: Accounts, server: ShouterServer
) -> None:
    await subscribed(accounts, worker, topology)
    answers = await asyncio.gather(*(server.call("1", b"{}", delivery="d1") for _ in range(10)))
    worker.worker.parts.webhooks._once._taken.clear()  # type: ignore[union-attr]  # as after a restart
    answers.append(await server.call("1", b"{}", delivery="d1"))
    assert {answer.status_code for answer in answers} == {200}
    assert [answer.json()["status"] for answer in answers].count("started") == 1
    await server.call("1", b"{}", delivery="d2")
    assert len(await queues.read(topology.queue("sink"), 2)) == 2
    assert not await queues.length(topology.queue("sink"))


async def test_a_body_that_is_no_text_and_one_of_twenty_megabytes_arrive(
    topology: TopologyFile, worker: InProcess, queues: Queues, accounts: Accounts, server: ShouterServer
) -> None:
    await subscribed(accounts, worker, topology)
    assert (await server.call("1", b"\xff\xfe")).status_code == 200
    (message,) = await queues.read(topology.queue("sink"), 1)
    assert (message.body, message.headers["content-transfer-encoding"]) == ("//4=", "base64")
    large = b"x" * (20 << 20)
    assert (await server.call("1", large)).status_code == 200
    (message,) = await queues.read(topology.queue("sink"), 1)
    assert len(message.body) == len(large)


async def test_calls_that_are_not_the_services_start_nothing(
    topology: TopologyFile, worker: InProcess, queues: Queues, accounts: Accounts, server: ShouterServer
) -> None:
    await subscribed(accounts, worker, topology)
    assert (await server.call("1", b"{}", secret="other")).status_code == 401
    assert (await server.call("1", b"{}", **{"X-Hub-Signature-256": ""})).status_code == 401
    url = server.hooks["1"]["url"]
    async with httpx.AsyncClient() as client:
        for wrong in (
            url[:-1],
            f"{url}0",
            url.replace("/nodes/", "/nodes/x"),
            url.replace("/topologies/", "/topologies/x"),
        ):
            assert (await client.post(wrong, content=b"{}")).status_code == 404
    assert not await queues.length(topology.queue("sink"))


@pytest.mark.parametrize("delivery", ["\ud800\x00", "x" * 9000, ValueError("no JSON")])
async def test_an_odd_delivery_id_loses_no_call(
    topology: TopologyFile, worker: InProcess, queues: Queues, accounts: Accounts, server: ShouterServer,
    monkeypatch: pytest.MonkeyPatch, delivery: str | Exception,
) -> None:  # fmt: skip
    def delivery_id(_: Shouter, __: WebhookCall) -> str:
        if isinstance(delivery, Exception):
            raise delivery
        return delivery

    await subscribed(accounts, worker, topology)
    monkeypatch.setattr(Shouter, "delivery_id", delivery_id)
    said = [(await server.call("1", b"{}")).json()["status"] for _ in range(2)]
    has_id = isinstance(delivery, str)
    assert said == ["started", "was started before" if has_id else "started"]
    assert len(await queues.read(topology.queue("sink"), 1 if has_id else 2)) == (1 if has_id else 2)


async def test_bytes_that_are_no_text_in_headers_lose_no_call(
    topology: TopologyFile, worker: InProcess, queues: Queues, accounts: Accounts, server: ShouterServer
) -> None:
    await subscribed(accounts, worker, topology)
    url = server.hooks["1"]["url"]
    signature = hmac.digest(server.hooks["1"]["secret"].encode(), b"{}", "sha256").hex()
    genuine = [("X-Hub-Signature-256", f"sha256={signature}"), ("Content-Type", b"text/\xff"), ("X-Name", b"\xfe")]
    async with httpx.AsyncClient() as client:
        forged = [("X-Hub-Signature-256", b"sha256=\xff\xfe")]
        assert (await client.post(url, content=b"{}", headers=forged)).status_code == 401
        assert (await client.post(url, content=b"{}", headers=genuine)).status_code == 200
    (message,) = await queues.read(topology.queue("sink"), 1)
    assert message.headers["content-type"] == "text/\ufffd"


async def test_a_compressed_body_is_checked_and_kept_as_it_came(
    topology: TopologyFile, worker: InProcess, queues: Queues, accounts: Accounts, server: ShouterServer
) -> None:
    await subscribed(accounts, worker, topology)
    body = gzip.compress(b'{"order": 17}')
    answer = await server.call("1", body, **{"Content-Encoding": "gzip", "Content-Type": "application/json"})
    assert (answer.status_code, answer.json()) == (200, {"status": "started"})
    (message,) = await queues.read(topology.queue("sink"), 1)
    assert b64decode(message.body) == body
    assert json.loads(message.headers["webhook-headers"])["content-encoding"] == "gzip"


async def test_a_body_that_is_too_large_is_refused(
    topology: TopologyFile, worker: InProcess, queues: Queues, accounts: Accounts, server: ShouterServer
) -> None:
    await subscribed(accounts, worker, topology)
    assert (await server.call("1", b"x" * ((64 << 20) + 1))).status_code == 413
    assert not await queues.length(topology.queue("sink"))


async def test_a_call_for_an_install_that_does_not_open_is_refused(
    topology: TopologyFile, run_worker: RunWorker, queues: Queues, accounts: Accounts, server: ShouterServer,
    tmp_path: Path,
) -> None:  # fmt: skip
    other = {"installs_url": f"sqlite:///{tmp_path}/installs.sqlite", "token_journal": tmp_path}
    worker = await run_worker(topology, Hear(), **other, secret_keys=new_key("test"))
    await subscribed(accounts, worker, topology)
    answer = await server.call("1", b"{}")
    assert (answer.status_code, answer.json()) == (409, {"error": "the application is not ready"})
    assert not await queues.length(topology.queue("sink"))


@pytest.mark.parametrize(("table", "column"), [("webhooks", "sealed_token"), ("installs", "settings")])
async def test_a_broken_secret_of_one_user_concerns_nobody_else(
    topology: TopologyFile, worker: InProcess, queues: Queues, accounts: Accounts, server: ShouterServer,
    tmp_path: Path, table: str, column: str, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(Shouter, "signature_secret", "token")
    await install(accounts, Shouter, "bob", server=server.base_url, token="t")
    place = {"topology": worker.worker.parts.topology.id, "node": topology.node_id("start")}
    for user in ("bob", "alice"):
        public_url = f"http://127.0.0.1:{worker.port}"
        await subscribe(
            accounts, webhooks_of(accounts), Shouter, user, "order", public_url=public_url, parameters={}, **place
        )
    with closing(sqlite3.connect(tmp_path / "installs.sqlite")) as connection, connection:
        connection.execute(
            f"UPDATE {table} SET {column} = replace({column}, 'v1.test.', 'v1.test.A') WHERE user = 'bob'"
        )
    assert (await server.call("1", b"{}", secret="t")).status_code == 409
    assert (await server.call("2", b"{}", secret="t")).json() == {"status": "started"}
    (message,) = await queues.read(topology.queue("sink"), 1)
    assert message.headers["user"] == "alice"


async def test_a_challenge_is_answered_when_it_is_signed(
    topology: TopologyFile, worker: InProcess, queues: Queues, accounts: Accounts, server: ShouterServer
) -> None:
    await subscribed(accounts, worker, topology)
    asked = {"Content-Type": "application/json"}
    answer = await server.call("1", b'{"challenge": "abc"}', **asked)
    assert (answer.status_code, answer.text) == (200, "abc")
    assert (await server.call("1", b'{"challenge": "abc"}', secret="other", **asked)).status_code == 401
    assert not await queues.length(topology.queue("sink"))


async def test_a_question_whether_somebody_is_there_starts_nothing(
    topology: TopologyFile, worker: InProcess, queues: Queues, accounts: Accounts, server: ShouterServer
) -> None:
    await subscribed(accounts, worker, topology)
    async with httpx.AsyncClient() as client:
        answers = [await client.get(server.hooks["1"]["url"]), await client.head(server.hooks["1"]["url"])]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert not await queues.length(topology.queue("sink"))


async def test_a_user_who_switched_the_application_off_is_called_no_more(
    topology: TopologyFile, worker: InProcess, accounts: Accounts, server: ShouterServer
) -> None:
    await subscribed(accounts, worker, topology)
    await accounts.installs.enable("alice", "shouter", is_enabled=False)
    assert (await server.call("1", b"{}")).status_code == 404


async def test_a_user_who_removed_the_application_is_called_no_more(
    topology: TopologyFile, worker: InProcess, accounts: Accounts, server: ShouterServer
) -> None:
    await subscribed(accounts, worker, topology)
    await accounts.installs.remove("alice", "shouter")
    assert (await server.call("1", b"{}")).status_code == 404


# An hour ahead: time goes on between stamp and check. test_signatures.py holds the bounds to the second.
@pytest.mark.parametrize("away", [-301, 3600, None])
async def test_a_call_that_was_signed_at_another_time_starts_nothing(
    topology: TopologyFile, worker: InProcess, queues: Queues, accounts: Accounts, server: ShouterServer,
    monkeypatch: pytest.MonkeyPatch, away: int | None,
) -> None:  # fmt: skip
    monkeypatch.setattr(Shouter, "signature", SLACK)
    await subscribed(accounts, worker, topology)
    stamp = "soon" if away is None else str(int(time.time()) + away)
    assert (await slack_call(server, stamp)).status_code == 401
    assert not await queues.length(topology.queue("sink"))
    assert (await slack_call(server, str(int(time.time())))).status_code == 200


async def test_a_key_that_checks_no_signature_is_told_by_the_name_of_its_setting(
    topology: TopologyFile, worker: InProcess, accounts: Accounts, server: ShouterServer,
    monkeypatch: pytest.MonkeyPatch, log_lines: Sequence[Mapping[str, Any]],
) -> None:  # fmt: skip
    monkeypatch.setattr(Shouter, "signature", RsaSignature("x-hub-signature-256"))
    monkeypatch.setattr(Shouter, "signature_secret", "token")
    await subscribed(accounts, worker, topology)
    answer = await server.call("1", b"{}")
    assert (answer.status_code, answer.json()) == (409, {"error": "the application is not ready"})
    (line,) = [line for line in log_lines if line["event"] == "webhook_not_ready"]
    assert line["reason"] == "the token of shouter and user 'alice' is not a public key in PEM"


async def slack_call(server: ShouterServer, stamp: str) -> httpx.Response:
    own = server.hooks["1"]
    signature = hmac.digest(own["secret"].encode(), f"v0:{stamp}:{{}}".encode(), "sha256").hex()
    headers = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={signature}"}
    async with httpx.AsyncClient() as client:
        return await client.post(own["url"], content=b"{}", headers=headers)


async def test_a_user_may_have_any_name(
    topology: TopologyFile, worker: InProcess, queues: Queues, accounts: Accounts, server: ShouterServer
) -> None:
    users = ["a:b", "a/b", "a+b", "a b", "žofie"]
    place = {"topology": worker.worker.parts.topology.id, "node": topology.node_id("start")}
    for user in users:
        await install(accounts, Shouter, user, server=server.base_url, token="t")
        public_url = f"http://127.0.0.1:{worker.port}"
        await subscribe(
            accounts, webhooks_of(accounts), Shouter, user, "order", public_url=public_url, parameters={}, **place
        )
    answers = await asyncio.gather(*(server.call(hook, b"{}", delivery="d1") for hook in server.hooks))
    assert [answer.json()["status"] for answer in answers] == ["started"] * len(users)
    messages = await queues.read(topology.queue("sink"), len(users))
    assert sorted(message.headers["user"] for message in messages) == sorted(users)


async def test_without_the_broker_the_service_is_asked_to_call_again(
    topology: TopologyFile, worker: InProcess, queues: Queues, accounts: Accounts, server: ShouterServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    await subscribed(accounts, worker, topology)
    monkeypatch.setattr("worker.webhooks.intake.PUBLISH_SECONDS", 0)
    assert (await server.call("1", b"{}", delivery="d1")).status_code == 503
    monkeypatch.undo()
    assert (await server.call("1", b"{}", delivery="d1")).json() == {"status": "started"}


async def test_without_the_brokers_confirm_no_call_is_answered_well(
    topology: TopologyFile, run_worker: RunWorker, queues: Queues, accounts: Accounts, server: ShouterServer,
    tmp_path: Path, proxy: Proxy, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("worker.webhooks.intake.PUBLISH_SECONDS", 0.5)
    own = {"installs_url": f"sqlite:///{tmp_path}/installs.sqlite", "secret_keys": KEY, "token_journal": tmp_path}
    worker = await run_worker(topology, Hear(), amqp_url=proxy.url, **own)
    await subscribed(accounts, worker, topology)
    with proxy.losing(Lost.CONFIRM):
        answers = await asyncio.gather(*(server.call("1", b"{}", delivery=f"d{number}") for number in range(5)))
    assert [answer.status_code for answer in answers] == [503] * 5
    assert proxy.lost
    again = await asyncio.gather(*(server.call("1", b"{}", delivery=f"d{number}") for number in range(5)))
    assert [answer.json() for answer in again] == [{"status": "started"}] * 5
    messages = await queues.read(topology.queue("sink"), 10)
    assert len({message.headers["correlation-id"] for message in messages}) == 5  # by which the second start is known


async def test_nothing_of_ours_stays_when_the_service_refuses(
    topology: TopologyFile, worker: InProcess, accounts: Accounts, server: ShouterServer
) -> None:
    server.status = 422
    with pytest.raises(SubscribeRefused, match="shouter answered 422"):
        await subscribed(accounts, worker, topology)
    assert not await webhooks_of(accounts).list()
    with pytest.raises(SubscribeRefused, match="has no webhook 'nope'; it has order, issues"):
        await subscribe(
            accounts,
            webhooks_of(accounts),
            Shouter,
            "alice",
            "nope",
            topology="t",
            node="n",
            public_url="http://x",
            parameters={},
        )
    with pytest.raises(SubscribeRefused, match="needs owner"):
        await subscribe(
            accounts,
            webhooks_of(accounts),
            Shouter,
            "alice",
            "issues",
            topology="t",
            node="n",
            public_url="http://x",
            parameters={},
        )


async def test_unsubscribing_tells_the_service_and_is_tried_again(
    topology: TopologyFile, worker: InProcess, accounts: Accounts, server: ShouterServer
) -> None:
    await subscribed(accounts, worker, topology)
    (webhook,) = await webhooks_of(accounts).list()
    server.status = 500
    with pytest.raises((SubscribeRefused, TryLater)):
        await unsubscribe(accounts, webhooks_of(accounts), Shouter, webhook)
    (webhook,) = await webhooks_of(accounts).list()
    assert webhook.is_unsubscribe_failed
    server.status = 201
    await unsubscribe(accounts, webhooks_of(accounts), Shouter, webhook)
    assert (server.hooks, list(await webhooks_of(accounts).list())) == ({}, [])


async def test_names_with_strange_characters_are_called(
    topology: TopologyFile, run_worker: RunWorker, queues: Queues, accounts: Accounts, server: ShouterServer,
    tmp_path: Path,
) -> None:  # fmt: skip
    topology.path.write_text(topology.path.read_text().replace('"name": "start"', '"name": "a/b č%2F"'))
    own = {"installs_url": f"sqlite:///{tmp_path}/installs.sqlite", "secret_keys": KEY, "token_journal": tmp_path}
    worker = await run_worker(topology, Hear(), nodes=(topology.node_id("start"),), **own)
    await subscribed(accounts, worker, topology, node="a/b č%2F")
    assert "/nodes/a%2Fb%20%C4%8D%252F/token/" in server.hooks["1"]["url"]
    assert (await server.call("1", b"{}")).json() == {"status": "started"}
    await queues.read(topology.queue("sink"), 1)


async def test_the_address_may_name_topology_and_node_by_id_or_name(
    topology: TopologyFile, worker: InProcess, queues: Queues, accounts: Accounts, server: ShouterServer
) -> None:
    await subscribed(accounts, worker, topology)
    hook = server.hooks["1"]
    for place in (f"{topology.id}/nodes/start", f"faults/nodes/{topology.node_id('start')}", "faults/nodes/start"):
        hook["url"] = re.sub("topologies/.*/token", f"topologies/{place}/token", hook["url"])
        assert (await server.call("1", b"{}")).json() == {"status": "started"}
    hook["url"] = hook["url"].replace("nodes/start", "nodes/sink")  # is there, but the webhook is not for it
    assert (await server.call("1", b"{}")).status_code == 404
    assert len(await queues.read(topology.queue("sink"), 3)) == 3


async def test_a_new_webhook_is_called_at_once_on_a_node_that_is_called_all_the_time(
    topology: TopologyFile, worker: InProcess, accounts: Accounts, server: ShouterServer
) -> None:
    for hook, name in (("1", "order"), ("2", "issues")):
        parameters = {"owner": "me"}
        place = {"topology": topology.id, "node": topology.node_id("start")}
        public_url = f"http://127.0.0.1:{worker.port}"
        await subscribe(
            accounts,
            webhooks_of(accounts),
            Shouter,
            "alice",
            name,
            public_url=public_url,
            parameters=parameters,
            **place,
        )
        assert (await server.call(hook, b"{}")).json() == {"status": "started"}


async def test_a_call_reads_its_own_webhook_however_many_the_node_has(
    topology: TopologyFile, worker: InProcess, accounts: Accounts, server: ShouterServer
) -> None:
    await subscribed(accounts, worker, topology)
    place = {"topology": topology.id, "node": topology.node_id("start")}
    for number in range(30):
        await install(accounts, Shouter, f"u{number}", server=server.base_url, token="t")
        await webhooks_of(accounts).add(f"u{number}", "shouter", "order", **place)
    read: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        read.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        assert (await server.call("1", b"{}")).json() == {"status": "started"}
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert len([statement for statement in read if "FROM webhooks" in statement or "FROM installs" in statement]) == 2


async def test_calls_reach_one_of_several_processes_as_they_came(
    topology: TopologyFile, start_worker: StartWorker, queues: Queues, accounts: Accounts, server: ShouterServer,
    tmp_path: Path,
) -> None:  # fmt: skip
    own = {"installs_url": f"sqlite:///{tmp_path}/installs.sqlite", "secret_keys": KEY, "token_journal": tmp_path}
    front = await start_worker(topology, processes=2, actions="support.hooks", **own)
    place = {"topology": json.loads(topology.path.read_text())["id"], "node": topology.node_id("start")}
    public_url = f"http://127.0.0.1:{front.port}"
    await subscribe(
        accounts, webhooks_of(accounts), Shouter, "alice", "order", public_url=public_url, parameters={}, **place
    )
    answers = [await server.call("1", f'{{"n": {number}}}'.encode(), delivery=str(number % 2)) for number in range(4)]
    assert [answer.json()["status"] for answer in answers] == ["started"] * 2 + ["was started before"] * 2
    assert (await server.call("1", b"{}", secret="other")).status_code == 401
    compressed = await server.call("1", gzip.compress(b"{}"), **{"Content-Encoding": "gzip"})
    assert compressed.json()["status"] == "started"
    messages = await queues.read(topology.queue("sink"), 3)
    encodings = [json.loads(message.headers["webhook-headers"]).get("content-encoding") for message in messages]
    assert (len(messages), encodings.count("gzip")) == (3, 1)


async def test_what_reads_a_call_may_start_other_topologies_in_its_place(
    topology: TopologyFile, worker: InProcess, queues: Queues, accounts: Accounts, server: ShouterServer
) -> None:
    await subscribed(accounts, worker, topology)
    start = [worker.worker.parts.topology.id, topology.node_id("start")]
    own = {"challenge": "taken", "start": start, "order": {"id": 17}}
    answer = await server.call("1", json.dumps(own).encode(), **{"Content-Type": "application/json"})
    assert (answer.status_code, answer.text) == (200, "taken")
    (message,) = await queues.read(topology.queue("sink"), 1)
    assert (json.loads(message.body), message.headers["user"]) == ({"id": 17}, "bob")
    assert "webhook-name" not in message.headers


async def test_a_call_whose_other_topology_is_not_there_is_not_lost(
    topology: TopologyFile, worker: InProcess, queues: Queues, accounts: Accounts, server: ShouterServer
) -> None:
    await subscribed(accounts, worker, topology)
    body = json.dumps({"start": ["nothing", "nowhere"], "order": 1}).encode()
    assert (await server.call("1", body, **{"Content-Type": "application/json"})).json() == {"status": "started"}
    (message,) = await queues.read(topology.queue("sink"), 1)
    assert message.body.encode() == body
