"""The broker of the tests and the demonstration: it answers, keeps its data, and leaves nothing behind."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from deploy.broker import (
    Broker,
    BrokerNotOurs,
    BrokerUnavailable,
    ContainerBroker,
    GivenBroker,
    PrivateNode,
    docker_answers,
    installed_server,
    provide_broker,
    started,
)
from deploy.ports import server_version, wait_for_amqp

ROOT = Path(__file__).parent.parent.parent
MESSAGES = [b"first", b"second", b"third"]
# What a test does when a broker must die with its owner.
OWNER_SCRIPT = """
import signal, sys
from deploy.broker import PrivateNode, installed_server, started
broker = started(PrivateNode(installed_server(print)))
print(broker.url, flush=True)
signal.pause()
"""


KINDS = (
    "private node",
    pytest.param("container", marks=pytest.mark.skipif(not docker_answers(), reason="no Docker engine answers")),
)


@pytest.fixture(scope="module", params=KINDS)
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    ours = started(ContainerBroker()) if request.param == "container" else started(private_node())
    with closing(ours):
        yield ours


def private_node() -> PrivateNode:
    return PrivateNode(installed_server(print))


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def version_at(url: str) -> str | None:
    return server_version(urlsplit(url).hostname or "", port_of(url))


def on_channel(url: str, act: Callable[[AbstractChannel], Awaitable[None]]) -> None:
    async def connected() -> None:
        async with await aio_pika.connect(url) as connection, await connection.channel() as channel:
            await act(channel)

    asyncio.run(connected())


async def publish_durably(channel: AbstractChannel) -> None:
    await channel.declare_queue("kept", durable=True, arguments={"x-queue-type": "quorum"})
    for body in MESSAGES:
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, routing_key="kept")


async def expect_messages(channel: AbstractChannel) -> None:
    queue = await channel.get_queue("kept")
    received: list[bytes] = []
    async with asyncio.timeout(20), queue.iterator() as messages:
        async for message in messages:
            received.append(message.body)
            await message.ack()
            if len(received) == len(MESSAGES):
                break
    assert received == MESSAGES


def processes_of(url: str) -> list[int]:
    """The living processes of a private node, by what all of them inherit; zombies have no environment."""
    variable = f"RABBITMQ_NODE_PORT={port_of(url)}".encode()
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            variables = environment.read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if variable in variables:
            found.append(int(environment.parent.name))
    return found


def directory_of(url: str) -> Path:
    environment = Path(f"/proc/{processes_of(url)[0]}/environ").read_bytes().split(b"\0")
    (home,) = (entry for entry in environment if entry.startswith(b"HOME="))
    return Path(os.fsdecode(home.removeprefix(b"HOME=")))


def wait_until(is_so: Callable[[], bool], *, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)


def owner(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_it_answers_in_amqp_and_says_what_it_is(broker: Broker) -> None:
    version = version_at(broker.url)

    assert version is not None
    assert broker.is_ours
    assert version in broker.description
    assert str(port_of(broker.url)) in broker.description


def test_it_has_the_consistent_hash_exchange(broker: Broker) -> None:
    async def declare(channel: AbstractChannel) -> None:
        await channel.declare_exchange("hashed", "x-consistent-hash")

    on_channel(broker.url, declare)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_messages_in_a_quorum_queue_survive_its_end(broker: Broker, end: str) -> None:
    url = broker.url
    on_channel(url, publish_durably)

    getattr(broker, end)()
    assert version_at(url) is None
    broker.start()

    assert broker.url == url
    on_channel(url, expect_messages)


def test_starting_a_running_broker_changes_nothing(broker: Broker) -> None:
    on_channel(broker.url, publish_durably)

    broker.start()

    on_channel(broker.url, expect_messages)


def test_two_run_beside_each_other_and_a_closed_one_leaves_nothing(broker: Broker) -> None:
    with closing(started(private_node())) as second:
        directory = directory_of(second.url)
        assert second.url != broker.url
        assert version_at(broker.url)
        assert version_at(second.url)

    assert not directory.exists()
    wait_until(lambda: not processes_of(second.url))
    assert version_at(broker.url)


def test_a_given_url_is_used_as_it_is_and_not_stopped(broker: Broker) -> None:
    with provide_broker(broker.url) as given:
        assert given.url == broker.url
        assert not given.is_ours
        for forbidden in (given.stop, given.kill, given.start):
            with pytest.raises(BrokerNotOurs, match="Only its owner"):
                forbidden()

    assert version_at(broker.url)


def test_the_environment_gives_the_url_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_TEST_AMQP_URL", "amqp://user:secret@broker.example/%2F")

    with provide_broker() as given:
        assert given.url == "amqp://user:secret@broker.example/%2F"


def test_the_description_of_a_given_broker_keeps_the_password_to_itself() -> None:
    given = GivenBroker("amqp://user:secret@broker.example/%2F")

    assert given.description == "the given RabbitMQ at broker.example:5672"


def test_nothing_is_left_after_the_owner_was_killed() -> None:
    with owner("-c", OWNER_SCRIPT) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        directory = directory_of(url)
        assert len(processes_of(url)) > 1
        process.kill()

    wait_until(lambda: not processes_of(url))
    wait_until(lambda: not directory.exists())


def test_the_command_prints_the_url_and_stops_its_broker_on_sigterm() -> None:
    with owner("-m", "deploy.broker") as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert version_at(url)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0

    assert version_at(url) is None
    assert not processes_of(url)


def test_without_the_package_and_without_a_way_to_install_it_the_command_is_named(tmp_path: Path) -> None:
    with pytest.raises(BrokerUnavailable, match=r"sudo apt-get install .* rabbitmq-server"):
        installed_server(print, server=tmp_path / "rabbitmq-server", search_path=str(tmp_path))


def test_a_server_which_ends_at_once_is_reported_with_its_output_and_leaves_nothing() -> None:
    node = PrivateNode(Path("/bin/ls"))  # shows the files beside it and ends

    with pytest.raises(BrokerUnavailable, match=r"did not come to answer[^.]*\. Its log ends:[^.]*rabbitmq\.conf"):
        started(node)

    assert not processes_of(node.url)


def test_a_port_without_a_broker_is_reported_with_the_log() -> None:
    with pytest.raises(BrokerUnavailable, match="out of memory"):
        wait_for_amqp("127.0.0.1", 1, is_running=lambda: False, read_log=lambda: "out of memory")
