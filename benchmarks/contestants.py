"""Who is measured: our worker, and the same work in what one would pick instead."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from benchmarks.rig import ROOT, VAR, Command, Setup

PEERS = VAR / "peers"
PINNED = ROOT / "benchmarks" / "peers" / "requirements.lock"
RELAY = "/custom-node/relay/process"
WORKER_TYPES = {"custom-node": "worker.custom_node", "connector": "worker.http", "batch": "worker.batch"}


def ours(
    setup: Setup,
    action: str = RELAY,
    *,
    application: str = "",
    idle_nodes: int = 0,
    extra_followers: int = 0,
) -> Command:
    """Return our worker over the setup's nodes, beside nodes that get nothing and with followers more than needed."""
    VAR.mkdir(exist_ok=True)
    topology = VAR / "bench-topology.json"
    extra = [f"bench-extra-{number}" for number in range(extra_followers)]
    idle = [f"bench-idle-{number}" for number in range(idle_nodes)]
    nodes = [_node(setup, action, application, own, [follower, *extra]) for own, follower in pairwise(setup.nodes)]
    nodes += [{"id": name, "name": name, "worker": "worker.null"} for name in (setup.nodes[-1], *idle, *extra)]
    topology.write_text(json.dumps({"id": "bench", "name": "bench", "nodes": nodes}))
    environment = {
        "TOPOLOGY_JSON": str(topology),
        "WORKER_MODE": "platform",
        "WORKER_NODES": ",".join((*setup.nodes[:-1], *idle)),
        "WORKER_HTTP_PORT": "0",
        "WORKER_AMQP_URL": setup.amqp_url,
        "WORKER_ACTIONS": "benchmarks.actions",
        "WORKER_TRASH_URL": f"sqlite:///{VAR}/bench-trash.sqlite",
    }
    return Command([sys.executable, "-m", "worker", "run"], environment)


def _node(setup: Setup, action: str, application: str, name: str, followers: Sequence[str]) -> dict[str, Any]:
    return {
        "id": name,
        "name": name,
        "worker": WORKER_TYPES[action.split("/")[1]],
        "application": application,
        "settings": {"actionPath": action, "rabbitPrefetch": setup.prefetch},
        "followers": [{"id": follower, "name": follower} for follower in followers],
    }


def standalone(action: str = RELAY, *, is_counted: bool) -> Callable[[Setup], Command]:
    """Return what starts our worker in standalone mode, where it counts runs in SQLite or does not."""

    def command(setup: Setup) -> Command:
        database = VAR / "bench-processes.sqlite"
        for file in VAR.glob(f"{database.name}*"):
            file.unlink()
        own = {"WORKER_MODE": "standalone", "WORKER_PROCESS_STATE": str(is_counted)}
        started = ours(setup, action)
        return Command(started.words, {**started.environment, **own, "WORKER_DATABASE_URL": f"sqlite:///{database}"})

    return command


def peer(script: str, *mode: str) -> Callable[[Setup], Command]:
    """Return what starts a script of `benchmarks/peers`."""
    python = str(PEERS / "bin" / "python")
    path = str(PINNED.parent / f"{script}.py")
    return lambda setup: Command(
        [python, path, *mode, setup.amqp_url, str(setup.prefetch), setup.counter, *setup.nodes]
    )


def peer_fill(script: str) -> Callable[[Setup], None]:
    """Return what fills the first queue with messages in a peer's own form."""

    def fill(setup: Setup) -> None:
        subprocess.run(
            [*peer(script, "fill", str(setup.messages), str(setup.body_bytes))(setup).words], check=True, cwd=ROOT
        )

    return fill


CONTESTANTS: Mapping[str, Callable[[Setup], Command]] = {
    "orchesty-worker": ours,
    "orchesty-worker, standalone": standalone(is_counted=True),
    "orchesty-worker, standalone, uncounted": standalone(is_counted=False),
    "aio-pika": peer("aio_pika_relay"),
    "FastStream": peer("faststream_relay"),
    "taskiq-aio-pika": peer("taskiq_relay", "run"),
    "Celery": peer("celery_relay", "run"),
}

OWN_MESSAGES: Mapping[str, Callable[[Setup], None]] = {
    "taskiq-aio-pika": peer_fill("taskiq_relay"),
    "Celery": peer_fill("celery_relay"),
}
"""Contestants whose messages have a form of their own."""


def setup_for(name: str, setup: Setup) -> Setup:
    """Return the setup with queues of the contestant's own when its messages have a form of their own."""
    if name not in OWN_MESSAGES:
        return setup
    nodes = tuple(f"{name}-{number}" for number in range(len(setup.nodes)))
    return replace(setup, nodes=nodes, counter=f"{name}-counter")


def install_peers() -> None:
    """Install the peers as pinned, once."""
    stamp = PEERS / "installed"
    if stamp.exists() and stamp.read_text() == PINNED.read_text():
        return
    print("Installing the peers ...", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", PEERS], check=True)
    pip = [str(PEERS / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(PINNED)], check=True)
    stamp.write_text(PINNED.read_text())
