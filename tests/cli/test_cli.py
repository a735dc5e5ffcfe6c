"""The command line, run as a person runs it."""

import asyncio
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from conftest import MakeTopology, RunWorker
from support.actions import Copy
from support.command import command
from support.queues import Queues
from support.topologies import TopologyFile, custom_node, pass_on, sink

from worker.cli import cli
from worker.errors import ActionsError

TOPOLOGY = {"id": "t1", "name": "orders", "nodes": [{"id": "n1", "name": "start", "worker": "worker.null"}]}


@pytest.fixture
def topology_path(tmp_path: Path) -> Path:
    path = tmp_path / "topology.json"
    path.write_text(json.dumps(TOPOLOGY))
    return path


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, found in group.commands.items():
        if isinstance(found, click.Group):
            yield from commands(found, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("path", list(commands(cli)), ids=" ".join)
def test_every_command_explains_itself_with_an_example(path: tuple[str, ...]) -> None:
    done = CliRunner().invoke(cli, [*path, "--help"])
    assert done.exit_code == 0
    assert "Usage:" in done.output
    assert f"orchesty-worker {' '.join(path)}" in done.output.partition("Example")[2]


def groups(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, found in group.commands.items():
        if isinstance(found, click.Group):
            yield from groups(found, (*path, name))


@pytest.mark.parametrize("path", [*groups(cli), *commands(cli)], ids=" ".join)
def test_no_help_shows_the_mark_that_keeps_lines_apart(path: tuple[str, ...]) -> None:
    done = CliRunner().invoke(cli, [*path, "--help"])
    assert done.exit_code == 0
    assert r"\b" not in done.output


def test_the_command_itself_lists_the_others() -> None:
    done = command("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in cli.commands)
    assert "Exit status: 0 done, 1 failed, 2 wrong usage" in done.stdout


@pytest.mark.parametrize("line", [["check"], ["topology", "show"], ["trash", "collect"]], ids=" ".join)
@pytest.mark.parametrize("address", ["localhost:5672", "amqp://u:pa/SECRET@localhost/%2F"])
def test_an_address_that_is_none_is_told_without_its_password(
    topology_path: Path, line: list[str], address: str
) -> None:
    done = command(*line, TOPOLOGY_JSON=str(topology_path), WORKER_AMQP_URL=address)
    assert done.returncode in {1, 2}
    text = " ".join((done.stdout + done.stderr).split())
    assert "user:password@host" in text
    assert "SECRET" not in text
    assert "Traceback" not in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands(shell: str) -> None:
    script = command(_ORCHESTY_WORKER_COMPLETE=f"{shell}_source")
    assert (script.returncode, "_ORCHESTY_WORKER_COMPLETE" in script.stdout) == (0, True)
    words = {"COMP_WORDS": "orchesty-worker topo", "COMP_CWORD": "topo" if shell == "fish" else "1"}
    done = command(_ORCHESTY_WORKER_COMPLETE=f"{shell}_complete", **words)
    assert "topology" in done.stdout


def test_a_misspelt_variable_is_named_in_the_log(topology_path: Path) -> None:
    done = command("run", TOPOLOGY_JSON=str(topology_path), WORKER_ACTION="shop", WORKER_LOG_FORMAT="json")
    (line,) = (json.loads(line) for line in done.stderr.splitlines() if "unknown_variable" in line)
    assert (line["variable"], line["hint"], line["level"]) == (
        "WORKER_ACTION",
        "did you mean WORKER_ACTIONS?",
        "warning",
    )


@pytest.mark.parametrize(("environment", "has_colors"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_are_left_out_on_request(topology_path: Path, environment: dict[str, str], has_colors: bool) -> None:
    own = {"TOPOLOGY_JSON": str(topology_path), "WORKER_ACTION": "x", "TERM": "xterm-256color", **environment}
    text = on_terminal("run", **own) + on_terminal("topology", "show", str(topology_path), **own)
    assert "did you mean" in text
    assert bool(re.search(r"\x1b\[[\d;]*3[0-7]", text)) is has_colors


def on_terminal(*arguments: str, **environment: str) -> str:
    """Run the command on a terminal; return what it shows."""
    near, far = pty.openpty()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("WORKER_", "NO_COLOR"))}
    with subprocess.Popen(
        [sys.executable, "-m", "worker", *arguments], stdout=far, stderr=far, env={**clean, **environment}
    ):
        os.close(far)
        shown = b""
        with suppress(OSError):  # the terminal is closed
            while part := os.read(near, 65536):
                shown += part
    os.close(near)
    return shown.decode()


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
        ({"WORKER_AMQP_URL": "localhost"}, "must be amqp://user:password@host:5672/%2F"),
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
    assert (done.returncode, "give either --data or --file" in done.stderr) == (2, True)


FILTER: dict[str, Any] = {
    "id": "n2",
    "name": "big",
    "worker": "worker.custom_node",
    "settings": {"actionPath": "/custom-node/filter/process"},
}


@pytest.mark.parametrize(
    ("node", "arguments", "problem"),
    [
        ({"configuration": {"jmespath": "total >"}}, (), "jmespath"),
        ({"configuration": {}}, (), "settings.configuration"),
        ({"actionPath": "/connector/nope/action"}, ("--actions", "support.actions"), "wants the action"),
        ({"actionPath": "/connector/nope/action"}, (), ""),
    ],
)
def test_a_check_of_the_file_finds_what_a_worker_would_refuse(
    tmp_path: Path, node: dict[str, Any], arguments: tuple[str, ...], problem: str
) -> None:
    entry = FILTER | {"settings": FILTER["settings"] | node}
    path = tmp_path / "topology.json"
    path.write_text(json.dumps(TOPOLOGY | {"nodes": [*TOPOLOGY["nodes"], entry]}))
    done = CliRunner().invoke(cli, ["topology", "check", str(path), *arguments])
    assert ("orders" in done.output, isinstance(done.exception, ActionsError)) == (True, bool(problem))
    assert problem in str(done.exception)


@pytest.mark.parametrize("arguments", [("start", "start"), ("actions", "run", "github-list-releases")], ids="-".join)
@pytest.mark.parametrize("data", ["{bad", "", "{'order': 17}", "NaN", "[" * 100_000], ids=str.__len__)
def test_data_that_is_no_json_is_refused(topology_path: Path, arguments: tuple[str, ...], data: str) -> None:
    done = CliRunner().invoke(cli, [*arguments, "--data", data], env={"TOPOLOGY_JSON": str(topology_path)})
    assert (done.exit_code, "--data is not JSON" in done.output, "--file" in done.output) == (2, True, True)


@pytest.mark.parametrize("part", ["guest:guest@", "%2F"])
def test_a_broker_that_refuses_is_told_at_once(topology_path: Path, broker_url: str, part: str) -> None:
    url = broker_url.replace(part, "guest:wrong@" if "@" in part else "nowhere")
    done = command("start", "start", TOPOLOGY_JSON=str(topology_path), WORKER_AMQP_URL=url)
    assert (done.returncode, "the broker refuses WORKER_AMQP_URL" in done.stderr) == (1, True)


def started(topology: TopologyFile, url: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {"TOPOLOGY_JSON": str(topology.path), "WORKER_AMQP_URL": url, "WORKER_DATABASE_URL": topology.state_url}
    return command("start", *arguments, **own | environment)


async def in_thread(*arguments: Any, **environment: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(started, *arguments, **environment)


async def test_a_process_is_started_and_followed_to_its_end(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, broker_url: str
) -> None:
    topology = make_topology(pass_on("start", "copy"), custom_node("copy", "copy", "sink"), sink())
    await run_worker(topology, Copy())
    done = await in_thread(topology, broker_url, "start", "--data", '{"order": 17}', "--user", "alice")
    assert (done.returncode, done.stdout[:8]) == (0, "started ")
    (message,) = await queues.read(topology.queue("sink"), 1)
    assert (message.data, message.headers["user"]) == ({"order": 17}, "alice")


@pytest.mark.parametrize("is_counted", [True, False])
async def test_waiting_shows_how_the_run_ended(
    make_topology: MakeTopology, run_worker: RunWorker, broker_url: str, *, is_counted: bool
) -> None:
    topology = make_topology(pass_on("start", "a", "b"), pass_on("a"), pass_on("b"))
    await run_worker(topology, process_state=is_counted)
    done = await in_thread(topology, broker_url, "start", "--wait", "--json", WORKER_PROCESS_STATE=str(is_counted))
    facts = json.loads(done.stdout)
    assert (facts["total"], facts["succeeded"], facts["failed"]) == (3, 3, 0)
