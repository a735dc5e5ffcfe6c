"""Several worker processes and their supervisor, as real processes."""

import asyncio
import os
import signal
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import MakeTopology, StartWorker
from prometheus_client.parser import text_string_to_metric_families
from support.queues import Queues, bodies, process_message
from support.topologies import custom_node, pass_on, sink
from support.waiting import eventually
from support.workers import WorkerProcess

from worker import load_settings
from worker.errors import StartupError
from worker.supervisor import child as supervised
from worker.supervisor.supervisor import Supervisor

ACTIONS = """
from connectors import CustomNode


class Say(CustomNode):
    name = "say"

    async def process(self, message):
        return message.with_data({word!r})
"""


async def workers(worker: WorkerProcess) -> Mapping[str, Any]:
    return (await worker.probe())[1]["workers"]


async def pids(worker: WorkerProcess) -> list[int]:
    return [state["pid"] for state in (await workers(worker)).values()]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def metric(worker: WorkerProcess, name: str) -> dict[str, float]:
    """Return a metric without other labels, by worker."""
    families = text_string_to_metric_families(await worker.get("/metrics"))
    found = [sample for family in families for sample in family.samples if sample.name == name]
    return {sample.labels["worker"]: sample.value for sample in found}


async def test_the_probes_tell_the_truth_about_all_processes(
    make_topology: MakeTopology, start_worker: StartWorker
) -> None:
    worker = await start_worker(make_topology(pass_on("start")), processes=2)
    status, state = await worker.probe("/healthz")
    assert (status, state["status"], list(state["workers"])) == (200, "ok", ["1", "2"])
    killed, other = await pids(worker)
    os.kill(killed, signal.SIGSTOP)
    status, state = await worker.probe("/healthz")
    assert (status, state["workers"]["1"]["status"], state["workers"]["2"]["status"]) == (503, "not answering", "ok")
    os.kill(killed, signal.SIGKILL)

    async def is_restarted() -> bool:
        status, state = await worker.probe()
        return status == 200 and state["workers"]["1"]["pid"] != killed

    await eventually(is_restarted, seconds=30, what="another process in its place")
    assert (await pids(worker))[1] == other
    (line,) = worker.logged("worker_process_ended")
    assert (line["worker"], line["cause"]) == (1, "signal SIGKILL")
    assert await metric(worker, "orchesty_worker_restarts_total") == {"1": 1, "2": 0}


@pytest.mark.timing
async def test_pauses_between_restarts_grow(make_topology: MakeTopology, start_worker: StartWorker) -> None:
    worker = await start_worker(make_topology(pass_on("start")), processes=2)
    for count in range(1, 4):
        os.kill((await pids(worker))[0], signal.SIGKILL)
        await eventually(lambda count=count: len(worker.logged("worker_process_ended")) == count, what="the log line")
        await eventually(lambda: has_pid(worker), seconds=30, what="the next process")
    pauses = [line["restart_in_seconds"] for line in worker.logged("worker_process_ended")]
    assert all(most / 2 - 0.05 <= pause <= most for pause, most in zip(pauses, (0.5, 1, 2), strict=True)), pauses


async def has_pid(worker: WorkerProcess) -> bool:
    return (await pids(worker))[0] is not None


async def test_all_processes_work_and_their_metrics_are_in_one_place(
    make_topology: MakeTopology, start_worker: StartWorker, queues: Queues
) -> None:
    topology = make_topology(custom_node("sleep", "sleep", "sink", prefetch=2), sink())
    worker = await start_worker(topology, processes=2)
    await queues.publish(topology.exchange("sleep"), *(process_message({"seconds": 0.2}) for _ in range(8)))
    assert len(await queues.read(topology.queue("sink"), 8)) == 8

    async def shares() -> list[float]:
        return list((await metric(worker, "orchesty_worker_messages_received_total")).values())

    async def are_all_counted() -> bool:
        counted = await shares()
        return len(counted) == 2 and sum(counted) == 8

    await eventually(are_all_counted, what="the work of both processes in /metrics")
    assert min(await shares()) > 0
    assert await metric(worker, "orchesty_worker_up") == {"1": 1, "2": 1}
    assert {line["worker"] for line in worker.logged("worker_started")} == {1, 2}


async def test_the_first_signal_lets_messages_in_work_finish(
    make_topology: MakeTopology, start_worker: StartWorker, queues: Queues
) -> None:
    """Ctrl-C is one signal for each worker: a terminal sends it to the whole process group of the supervisor."""
    topology = make_topology(custom_node("sleep", "sleep", "sink"), sink())
    worker = await start_worker(topology, processes=2, grace=20)
    groups = {os.getpgid(pid) for pid in await pids(worker)}
    assert os.getpgid(worker.pid) not in groups
    assert len(groups) == 2
    await queues.publish(topology.exchange("sleep"), process_message({"seconds": 1.5}))
    await eventually(worker.in_work, what="a message in work")
    worker.signal(signal.SIGINT)
    assert await worker.ended() == 0
    assert bodies(await queues.read(topology.queue("sink"), 1)) == [{"seconds": 1.5}]
    assert len(worker.logged("worker_stopped")) == 2


async def test_the_second_signal_ends_at_once(
    make_topology: MakeTopology, start_worker: StartWorker, queues: Queues
) -> None:
    topology = make_topology(custom_node("sleep", "sleep", "sink"), sink())
    worker = await start_worker(topology, processes=2, grace=600)
    await queues.publish(topology.exchange("sleep"), process_message({"seconds": 300}))
    await eventually(worker.in_work, what="a message in work")
    worker.signal()
    await eventually(lambda: len(worker.logged("worker_stopping")) == 2, what="stopping workers")
    worker.signal()
    assert await worker.ended() == 128 + signal.SIGTERM
    await eventually(lambda: queues.length(topology.queue("sleep")), what="the message back in its queue")


async def test_the_exit_status_is_the_worst_of_the_processes(
    make_topology: MakeTopology, start_worker: StartWorker, queues: Queues
) -> None:
    topology = make_topology(custom_node("sleep", "sleep", "sink"), sink())
    worker = await start_worker(topology, processes=2, grace=600)
    children = await pids(worker)
    await queues.publish(topology.exchange("sleep"), process_message({"seconds": 300}))
    await eventually(worker.in_work, what="a message in work")
    worker.signal()
    (busy,) = await eventually(
        lambda: only_one([pid for pid in children if is_running(pid)]), what="the idle one's end"
    )
    os.kill(busy, signal.SIGKILL)
    assert await worker.ended() == 128 + signal.SIGKILL


def only_one(running: list[int]) -> list[int]:
    return running if len(running) == 1 else []


async def test_workers_whose_supervisor_is_killed_stop_gracefully(
    make_topology: MakeTopology, start_worker: StartWorker, queues: Queues
) -> None:
    topology = make_topology(custom_node("sleep", "sleep", "sink"), sink())
    worker = await start_worker(topology, processes=2, grace=20)
    children = await pids(worker)
    await queues.publish(topology.exchange("sleep"), process_message({"seconds": 1.5}))
    await eventually(worker.in_work, what="a message in work")
    worker.signal(signal.SIGKILL)
    assert await worker.ended() == -signal.SIGKILL
    await eventually(lambda: not any(map(is_running, children)), seconds=30, what="the end of the workers")
    assert bodies(await queues.read(topology.queue("sink"), 1)) == [{"seconds": 1.5}]
    assert len(worker.logged("supervisor_lost")) == 2


async def test_a_worker_that_cannot_start_ends_all_with_status_2(
    make_topology: MakeTopology, start_worker: StartWorker
) -> None:
    worker = await start_worker(
        make_topology(pass_on("start")), is_awaited=False, processes=2, actions="no_such_module"
    )
    assert await worker.ended() == 2
    assert any("no_such_module" in line.get("text", "") for line in worker.lines)
    assert worker.logged("worker_process_cannot_start")


async def test_a_port_in_use_ends_the_start_with_status_2(
    make_topology: MakeTopology, start_worker: StartWorker
) -> None:
    first = await start_worker(make_topology(pass_on("start")))
    second = await start_worker(make_topology(pass_on("start")), is_awaited=False, processes=2, http_port=first.port)
    assert await second.ended() == 2
    assert any("WORKER_HTTP_PORT" in line.get("text", "") for line in second.lines)


@pytest.mark.parametrize("folder", ["x" * 90, "missing/folder"])
async def test_a_folder_that_holds_no_sockets_is_told_at_the_start_in_one_line_with_its_cure(
    make_topology: MakeTopology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    (tmp_path / ("x" * 90)).mkdir()
    settings = load_settings(topology=make_topology(pass_on("start")).path, processes=2)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / folder))
    with pytest.raises(StartupError, match="TMPDIR") as raised:
        await Supervisor(settings).run()
    assert "\n" not in str(raised.value)


async def test_calls_of_the_platform_reach_a_worker(
    make_topology: MakeTopology, start_worker: StartWorker, queues: Queues
) -> None:
    topology = make_topology(pass_on("start", "sink"), sink())
    worker = await start_worker(topology, processes=2, orchesty_api_key="hunter2")
    headers = {**process_message("x").headers, "node-id": topology.node_id("start")}
    content = {"messageId": "m1", "headers": headers, "body": '"x"', "published": 1_795_489_382_982}
    keys = ("wrong", "hunter2", "wrong", "hunter2")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{worker.port}", trust_env=False) as client:
        call = partial(client.post, "/api/process", json=content)
        answers = [await call(headers={"orchesty-api-key": key}) for key in keys]
    assert [answer.status_code for answer in answers] == [401, 200, 401, 200]
    assert answers[1].json() == {"messageId": "m1", "limiterKey": "", "ok": True}
    assert bodies(await queues.read(topology.queue("sink"), 2)) == ["x", "x"]
    assert await queues.length(topology.queue("sink")) == 0


async def test_edits_of_actions_and_topology_start_the_worker_anew(
    make_topology: MakeTopology, start_worker: StartWorker, queues: Queues, tmp_path: Path
) -> None:
    folder = tmp_path / "own_actions"
    folder.mkdir()
    module = folder / "said.py"
    (folder / "__init__.py").touch()
    module.write_text(ACTIONS.format(word="before"))
    topology = make_topology(custom_node("say", "say", "sink"), sink())
    worker = await start_worker(topology, arguments=("--reload",), python_path=tmp_path, actions="own_actions", grace=1)
    assert await said(topology, queues) == "before"

    module.write_text("import this is no Python")
    await eventually(lambda: worker.logged("worker_process_cannot_start"), seconds=30, what="the complaint")
    module.write_text(ACTIONS.format(word="after"))
    assert await said(topology, queues) == "after"

    (first,) = await pids(worker)
    topology.path.write_text(topology.path.read_text() + "\n")
    await eventually(lambda: has_other_pid(worker, first), seconds=30, what="another process")


async def said(topology: Any, queues: Queues) -> str:
    await queues.publish(topology.exchange("say"), process_message("x"))
    (message,) = await queues.read(topology.queue("sink"), 1, seconds=30)
    return str(message.data)


async def has_other_pid(worker: WorkerProcess, first: int) -> bool:
    return (await pids(worker))[0] not in {None, first}


async def test_a_process_that_does_not_stop_is_killed(
    make_topology: MakeTopology,
    queues: Queues,
    broker_url: str,
    tmp_path: Path,
    log_lines: Sequence[Mapping[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervised, "CLOSE_SECONDS", 0.5)
    topology = make_topology(custom_node("work", "block-the-thread", "sink"), sink())
    await queues.declare(topology.exchange("work"), topology.queue("work"))
    await queues.publish(topology.exchange("work"), process_message("stays"))
    environment = WorkerProcess(topology, amqp_url=broker_url)._environment
    child = supervised.Child(1, environment, tmp_path, 0.2, awaits_changes=False)
    running = asyncio.create_task(child.run())
    await eventually(lambda: is_taken(queues, topology.queue("work")), seconds=30, what="a message in work")

    child.stop(signal.SIGTERM)
    await running

    assert child.status == 128 + signal.SIGKILL
    assert [line["worker"] for line in log_lines if line["event"] == "worker_process_killed"] == [1]
    assert bodies(await queues.read(topology.queue("work"), 1)) == ["stays"]


async def is_taken(queues: Queues, queue: str) -> bool:
    return await queues.length(queue) == 0
