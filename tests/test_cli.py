"""The command line, run as a person runs it."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeTopology, RunWorker
from support.actions import Copy
from support.queues import Queues
from support.topologies import TopologyFile, custom_node, pass_on, sink

TOPOLOGY = {"id": "t1", "name": "orders", "nodes": [{"id": "n1", "name": "start", "worker": "worker.null"}]}


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("WORKER_", "TOPOLOGY_"))}
    return subprocess.run(
        [sys.executable, "-m", "worker", *arguments],
        capture_output=True,
        text=True,
        env={**clean, **environment},
        timeout=60,
        check=False,
    )


@pytest.fixture
def topology_path(tmp_path: Path) -> Path:
    path = tmp_path / "topology.json"
    path.write_text(json.dumps(TOPOLOGY))
    return path


@pytest.mark.parametrize(
    "arguments", [(), ("run",), ("start",), ("topology", "check"), ("trash", "list"), ("trash", "approve")]
)
def test_every_command_explains_itself(arguments: tuple[str, ...]) -> None:
    done = command(*arguments, "--help")
    assert done.returncode == 0
    assert "Usage:" in done.stdout
    assert not arguments or "Example" in done.stdout


def test_a_topology_is_checked_and_shown(topology_path: Path) -> None:
    done = command("topology", "check", str(topology_path))
    assert (done.returncode, done.stdout) == (0, "orders (t1): 1 node\n  start  pass-on\n")


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({"TOPOLOGY_JSON": "/no/such/file.json"}, "/no/such/file.json: No such file or directory"),
        ({"WORKER_HTTP_PORT": "eighty"}, "WORKER_HTTP_PORT: Input should be a valid integer"),
        ({"WORKER_ACTIONS": "no_such_module"}, "cannot import the actions of no_such_module"),
        ({"WORKER_NODES": "nope"}, "WORKER_NODES names nope"),
        ({}, "no broker: set WORKER_AMQP_URL"),
        ({"WORKER_AMQP_URL": "localhost"}, "must look like amqp://user:password@host:5672/%2F"),
    ],
)
def test_a_start_that_cannot_be_ends_with_status_2_and_the_cure(
    topology_path: Path, environment: dict[str, str], problem: str
) -> None:
    done = command("run", **{"TOPOLOGY_JSON": str(topology_path)} | environment)
    assert done.returncode == 2
    assert problem in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_usage_ends_with_status_2(topology_path: Path) -> None:
    done = command("start", "start", "--data", "{}", "--file", str(topology_path))
    assert (done.returncode, "not both" in done.stderr) == (2, True)


def started(topology: TopologyFile, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return command("start", *arguments, TOPOLOGY_JSON=str(topology.path), WORKER_AMQP_URL=url)


async def in_thread(*arguments: Any) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(started, *arguments)


async def test_a_process_is_started_and_followed_to_its_end(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, broker_url: str
) -> None:
    topology = make_topology(pass_on("start", "copy"), custom_node("copy", "copy", "sink"), sink())
    await run_worker(topology, Copy())
    done = await in_thread(topology, broker_url, "start", "--data", '{"order": 17}', "--user", "alice")
    assert (done.returncode, done.stdout[:8]) == (0, "started ")
    (message,) = await queues.read(topology.queue("sink"), 1)
    assert (message.data, message.headers["user"]) == ({"order": 17}, "alice")


async def test_waiting_shows_how_the_run_ended(
    make_topology: MakeTopology, run_worker: RunWorker, broker_url: str
) -> None:
    topology = make_topology(pass_on("start", "a", "b"), pass_on("a"), pass_on("b"))
    await run_worker(topology)
    done = await in_thread(topology, broker_url, "start", "--wait", "--json")
    facts = json.loads(done.stdout)
    assert (facts["total"], facts["succeeded"], facts["failed"]) == (3, 3, 0)
