"""A broker without the plugin that the platform's exchanges need."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from conftest import MakeTopology, RunWorker
from support.command import command_async
from support.topologies import pass_on
from support.waiting import eventually

from deploy.broker import Broker, PrivateNode, installed_server, started

CURE = "rabbitmq-plugins enable rabbitmq_consistent_hash_exchange"


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    node = started(PrivateNode(installed_server(print), plugins="[].\n"))
    yield node
    node.close()


@pytest.fixture(scope="module")
def broker_url(broker: Broker) -> str:
    return broker.url


async def test_the_log_names_the_command_that_enables_it(
    make_topology: MakeTopology, run_worker: RunWorker, log_lines: Sequence[Mapping[str, Any]]
) -> None:
    worker = await run_worker(make_topology(pass_on("one"), pass_on("two")), is_awaited=False)
    lost = await eventually(lambda: [line for line in log_lines if line["event"] == "broker_lost"])
    assert CURE in lost[0]["cause"]
    assert not await worker.has_status(200, "/readyz")


async def test_check_names_it_too(broker_url: str, make_topology: MakeTopology) -> None:
    topology = make_topology(pass_on("only"))
    done = await command_async("check", WORKER_AMQP_URL=broker_url, TOPOLOGY_JSON=str(topology.path))
    assert done.returncode == 1
    assert CURE in " ".join(done.stdout.split())
