"""What the worker answers over HTTP."""

from typing import Any

import httpx
import pytest
from conftest import MakeTopology, RunWorker
from support.queues import Queues, process_message
from support.topologies import NodeEntry, pass_on, sink
from support.workers import InProcess

from worker.errors import StartupError

KEY = "hunter2"


def request(node_id: str, **changes: Any) -> dict[str, Any]:
    headers = {**process_message("x").headers, "node-id": node_id, "limiter-key": "alice|shop;1;1"}
    return {"messageId": "m1", "headers": headers, "body": '"x"', "published": 1_795_489_382_982, **changes}


async def post(worker: InProcess, content: Any, key: str = KEY) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        url = f"http://127.0.0.1:{worker.port}/api/process"
        return await client.post(url, json=content, headers={"orchesty-api-key": key.encode("latin-1")})


async def test_a_message_that_the_limiter_gives_back_is_processed(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology = make_topology(pass_on("start", "sink"), sink())
    worker = await run_worker(topology, orchesty_api_key=KEY)
    answer = await post(worker, request(topology.node_id("start")))
    assert answer.json() == {"messageId": "m1", "limiterKey": "alice|shop;1;1", "ok": True}
    (message,) = await queues.read(topology.queue("sink"), 1)
    assert "limit-message-from-limiter" not in message.headers


async def test_a_node_that_is_not_here_is_answered_with_not_ok(
    make_topology: MakeTopology, run_worker: RunWorker
) -> None:
    worker = await run_worker(make_topology(pass_on("start")), orchesty_api_key=KEY)
    answer = await post(worker, request("elsewhere"))
    assert (answer.status_code, answer.json()["ok"]) == (200, False)


@pytest.mark.parametrize(("configured", "given"), [(KEY, "wrong"), (KEY, "ÿ"), (KEY, ""), (None, ""), (None, KEY)])
async def test_nobody_gets_in_without_the_key(
    make_topology: MakeTopology, run_worker: RunWorker, configured: str | None, given: str
) -> None:
    topology = make_topology(pass_on("start"))
    worker = await run_worker(topology, orchesty_api_key=configured)
    answer = await post(worker, request(topology.node_id("start")), key=given)
    assert (answer.status_code, answer.content) == (401, b"")


@pytest.mark.parametrize("changes", [{"headers": []}, {"body": 1}, {"published": "soon"}, {"messageId": None}])
async def test_a_call_that_is_no_message_is_refused_with_the_place(
    make_topology: MakeTopology, run_worker: RunWorker, changes: dict[str, Any]
) -> None:
    topology = make_topology(pass_on("start"))
    worker = await run_worker(topology, orchesty_api_key=KEY)
    answer = await post(worker, request(topology.node_id("start"), **changes))
    assert answer.status_code == 400
    assert [problem["loc"] for problem in answer.json()["problems"]] == [list(changes)]


async def test_the_probes_show_each_node(make_topology: MakeTopology, run_worker: RunWorker) -> None:
    worker = await run_worker(make_topology(pass_on("start", "next"), pass_on("next")))
    status, state = await worker.probe("/readyz")
    assert (status, state["status"], state["inWork"]) == (200, "ok", 0)
    assert state["nodes"] == {"start": "consuming", "next": "consuming"}


async def test_a_user_task_answers_ok_when_it_is_kept(make_topology: MakeTopology, run_worker: RunWorker) -> None:
    topology = make_topology(NodeEntry("ask", (), "worker.user"))
    worker = await run_worker(topology, orchesty_api_key=KEY)
    assert (await post(worker, request(topology.node_id("ask")))).json()["ok"] is True
    assert len(await worker.worker.handler.trash.store.waiting()) == 1


async def test_a_port_in_use_ends_the_start_with_the_setting_to_change(
    make_topology: MakeTopology, run_worker: RunWorker
) -> None:
    first = await run_worker(make_topology(pass_on("start")))
    second = InProcess(make_topology(pass_on("start")), amqp_url="amqp://127.0.0.1:1/", http_port=first.port)
    with pytest.raises(StartupError, match="WORKER_HTTP_PORT"):
        await second.worker.run()
