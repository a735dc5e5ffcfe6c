"""Brokers with unusual settings: no limit for frames, few channels, queues and users that are not as usual."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

import pytest
from conftest import MakeTopology, RunWorker
from support.actions import Copy
from support.queues import Queues, bodies, process_message
from support.rabbitmqctl import add_user, rabbitmqctl, setting
from support.topologies import custom_node, pass_on, sink
from support.waiting import eventually
from support.workers import InProcess
from yarl import URL

from connectors import CustomNode, Message
from deploy.broker import Broker
from worker.broker.lanes import Lanes
from worker.broker.link import Link, Session, TooFewChannels
from worker.broker.opening import open_connection
from worker.errors import BrokerError
from worker.protocol.transport import Publication

LogLines = Sequence[Mapping[str, Any]]


@pytest.fixture
def broker_url(own_broker: Broker) -> str:
    return own_broker.url


@pytest.fixture
def unlimited_frames(own_broker: Broker) -> Iterator[None]:
    with setting(own_broker, "frame_max", 0):
        yield


@pytest.fixture
def restricted(own_broker: Broker) -> str:
    """A user whose permissions the test changes."""
    return add_user(own_broker)


@pytest.fixture
def few_channels(own_broker: Broker) -> Iterator[None]:
    with setting(own_broker, "channel_max", 6):
        yield


@pytest.fixture
async def session(broker_url: str) -> AsyncIterator[Session]:
    async with await open_connection(URL(broker_url), "test") as connection:
        yield Session(connection)


async def test_a_broker_without_a_limit_for_frames_gets_its_messages(
    make_topology: MakeTopology, queues: Queues, run_worker: RunWorker, unlimited_frames: None
) -> None:
    topology = make_topology(custom_node("work", "copy", "sink"), sink())
    await run_worker(topology, Copy())
    large = "x" * 400_000
    await queues.publish(topology.exchange("work"), process_message(1), process_message(large))

    arrived = await queues.read(topology.queue("sink"), 2)
    assert {message.data for message in arrived} == {1, large}


async def test_a_broker_with_fewer_channels_than_needed_is_told_with_the_figure(
    make_topology: MakeTopology, run_worker: RunWorker, few_channels: None, log_lines: LogLines
) -> None:
    topology = make_topology(*(pass_on(f"node-{number}") for number in range(4)))
    worker = await run_worker(topology, is_awaited=False)
    cause = "the broker allows 6 channels on a connection, and these nodes need 7"
    await eventually(lambda: len(lost(log_lines, "consume")) >= 3, what="some attempts", seconds=30)

    attempts = lost(log_lines, "consume")
    assert all(cause in str(line["cause"]) for line in attempts)
    assert attempts[2]["retry_in_seconds"] > attempts[0]["retry_in_seconds"]
    status, described = await worker.probe("/readyz")
    assert (status, described["status"]) == (503, "not consuming")
    assert cause in described["broker"]["consume"]


async def test_more_exchanges_than_channels_share_them(
    make_topology: MakeTopology, queues: Queues, run_worker: RunWorker, few_channels: None
) -> None:
    followers = [f"sink-{number}" for number in range(9)]
    topology = make_topology(pass_on("work", *followers), *(sink(name) for name in followers))
    await run_worker(topology)
    await queues.publish(topology.exchange("work"), *(process_message(number) for number in range(30)))

    for name in followers:
        assert bodies(await queues.read(topology.queue(name), 30)) == list(range(30))


async def test_a_session_waits_for_a_channel_and_then_says_how_many_there_are(
    few_channels: None, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    channels = [await session.channel() for _ in range(6)]
    waiting = asyncio.ensure_future(session.channel())
    await channels[2].close()
    assert (await waiting).number == channels[2].number

    monkeypatch.setattr("worker.broker.link.CONNECT_SECONDS", 0.1)
    with pytest.raises(TooFewChannels, match="allows 6 channels"):
        await session.channel()
    assert not session.underlay.is_closed


async def test_many_refused_questions_at_once_break_no_connection(session: Session) -> None:
    """aiormq gives the number of a channel away that it has not yet answered for."""
    lanes = Lanes(session)

    async def refused(number: int) -> str:
        exchange = f"missing-{number}"
        with pytest.raises(BrokerError) as raised:
            await (await lanes.send_first(Publication(exchange, "1", b"{}"), lanes[exchange]))
        return str(raised.value)

    for _ in range(5):
        causes = await asyncio.gather(*(refused(number) for number in range(60)))
        assert all(f"no exchange 'missing-{number}'" in cause for number, cause in enumerate(causes))
    assert not session.underlay.is_closed


async def test_a_standby_of_a_queue_with_a_single_active_consumer_is_not_silent(
    make_topology: MakeTopology, queues: Queues, run_worker: RunWorker, log_lines: LogLines
) -> None:
    topology = make_topology(custom_node("work", "copy", "sink"), sink())
    single = {"x-queue-type": "quorum", "x-single-active-consumer": True}
    await queues.declare(topology.exchange("work"), topology.queue("work"), single)
    active = await run_worker(topology, Stuck(), silence_seconds=0.2)
    standby = await run_worker(topology, Copy(), silence_seconds=0.2, trash_url=f"{topology.state_url}.standby")
    await queues.publish(topology.exchange("work"), *(process_message(number) for number in range(30)))
    await eventually(lambda: active.worker.in_work == 10, what="messages in work")

    looks = Looks(standby)
    await eventually(lambda: looks.count >= 5, what="some looks of the one that stands by")
    assert not restarts(log_lines)
    assert standby.is_ready
    assert not [line for line in log_lines if line["event"] == "consumer_restarted"]


async def test_an_exchange_of_a_node_that_was_deleted_is_declared_again(
    make_topology: MakeTopology, queues: Queues, run_worker: RunWorker, log_lines: LogLines
) -> None:
    topology = make_topology(custom_node("work", "copy", "sink"), sink())
    worker = await run_worker(topology, Copy(), silence_seconds=0.2)
    for name in ("work", "sink"):
        await queues.delete(topology.exchange(name))

    def restored() -> set[str]:
        return {line["nodeName"] for line in log_lines if line["event"] == "exchange_missing"}

    await eventually(lambda: restored() == {"work", "sink"}, what="exchange_missing")
    await eventually(lambda: worker.is_ready, what="a ready worker")
    await queues.publish(topology.exchange("work"), process_message(1))
    assert bodies(await queues.read(topology.queue("sink"), 1)) == [1]
    assert not [line for line in log_lines if line["event"] in {"broker_lost", "consumer_restarted"}]


async def test_an_exchange_that_cannot_be_declared_again_is_told(
    make_topology: MakeTopology,
    queues: Queues,
    restricted: str,
    run_worker: RunWorker,
    own_broker: Broker,
    log_lines: LogLines,
) -> None:
    topology = make_topology(custom_node("work", "copy", "sink"), sink())
    worker = await run_worker(topology, Copy(), silence_seconds=0.2, amqp_url=restricted)
    name = str(URL(restricted).user)
    await asyncio.to_thread(rabbitmqctl, own_broker, "set_permissions", name, "nothing", ".*", ".*")
    await queues.delete(topology.exchange("work"))
    await eventually(lambda: not worker.is_ready, what="a worker that is not ready")

    _, described = await worker.probe("/readyz")
    assert described["nodes"]["work"] == "its exchange is missing"
    await asyncio.to_thread(rabbitmqctl, own_broker, "set_permissions", name, ".*", ".*", ".*")
    await eventually(lambda: worker.is_ready, what="a ready worker")
    assert not [line for line in log_lines if line["event"] == "consumer_restarted"]


async def test_a_queue_that_may_not_be_read_holds_no_other_node(
    make_topology: MakeTopology,
    queues: Queues,
    restricted: str,
    run_worker: RunWorker,
    own_broker: Broker,
    log_lines: LogLines,
) -> None:
    topology = make_topology(pass_on("closed", "sink"), custom_node("work", "copy", "sink"), sink())
    others = f"^(?!{topology.queue('closed')}$).*".replace(".", r"\.", 2)
    await asyncio.to_thread(rabbitmqctl, own_broker, "set_permissions", str(URL(restricted).user), ".*", ".*", others)
    for name in ("work", "sink"):
        await queues.declare(topology.exchange(name), topology.queue(name))
    worker = await run_worker(topology, Copy(), amqp_url=restricted, is_awaited=False)
    await queues.publish(topology.exchange("work"), *(process_message(number) for number in range(20)))
    assert bodies(await queues.read(topology.queue("sink"), 20)) == list(range(20))

    await eventually(lambda: len(restarts(log_lines)) >= 3, what="some attempts", seconds=30)
    assert all("ACCESS_REFUSED" in line["cause"] for line in restarts(log_lines))
    assert (await worker.probe("/readyz"))[1]["nodes"] == {"closed": "not consuming", "work": "consuming"}
    assert worker.worker.parts.links[0].losses == 0


@pytest.mark.parametrize(
    ("path", "cause"),
    [("/no-such-vhost", "vhost no-such-vhost not found"), ("/%2F?heartbeat=5", "ACCESS_REFUSED")],
    ids=["vhost", "password"],
)
async def test_the_cause_is_the_brokers_own(broker_url: str, path: str, cause: str) -> None:
    url = URL(broker_url)
    wrong = URL(str(url.with_password("wrong" if "heartbeat" in path else url.password)).removesuffix("/%2F") + path)
    with pytest.raises(BrokerError, match=cause) as raised:
        await open_connection(wrong, "test")
    assert "object at" not in str(raised.value)


@pytest.mark.parametrize("option", ["cafile", "certfile", "keyfile", "capath"])
async def test_a_file_of_the_address_that_is_missing_is_named(option: str) -> None:
    with pytest.raises(BrokerError, match=f"{option}=/no/such/file of the broker's address"):
        await open_connection(URL(f"amqps://localhost?{option}=/no/such/file"), "test")


async def test_pauses_grow_until_a_connection_serves(broker_url: str, log_lines: LogLines) -> None:
    async def refuse(_: Session) -> None:
        raise BrokerError("cannot serve")

    running = asyncio.ensure_future(Link(broker_url, "test", refuse).run())
    await eventually(lambda: len(lost(log_lines, "test")) >= 4, what="four attempts", seconds=30)
    running.cancel()
    await asyncio.wait([running])

    pauses = [line["retry_in_seconds"] for line in lost(log_lines, "test")]
    assert 0.4 < pauses[0] < 1.1
    assert 1.9 < pauses[2] < 4.1


class Stuck(CustomNode[Any, Any]):
    """Holds its messages."""

    name = "copy"

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Wait until cancelled."""
        await asyncio.Event().wait()
        return message


class Looks:
    """Counts how often a worker has looked at its queues."""

    def __init__(self, worker: InProcess) -> None:
        self.count = 0
        (consumer,) = worker.worker.parts.intake.consumers.values()
        look = consumer.check

        def counted(waiting: int, consumers: int) -> None:
            self.count += 1
            look(waiting, consumers)

        consumer.check = counted  # type: ignore[method-assign] # so that the test waits for an event


def lost(log_lines: LogLines, connection: str) -> LogLines:
    return [line for line in log_lines if line["event"] == "broker_lost" and line["connection"] == connection]


def restarts(log_lines: LogLines) -> LogLines:
    return [line for line in log_lines if line["event"] == "consumer_restarted"]
