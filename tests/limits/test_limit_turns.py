"""What becomes of turns and places: of calls that are late, refused or made again, and of messages that end."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from conftest import MakeTopology, RunWorker
from structlog.testing import capture_logs
from support.clock import Clock
from support.queues import ProcessMessage, Queues, process_message
from support.services import serving
from support.topologies import NodeEntry, connector, sink
from support.visits import node, visit
from support.waiting import eventually

from applications.http.request import Outgoing
from connectors import Connector, Message
from connectors.http import Http
from connectors.rate import RateNotice
from deploy.redis import PrivateRedis
from worker.limits import gate
from worker.limits.call_observer import Observed, observing
from worker.limits.gate import AWAY_SECONDS, HELD_SECONDS, WAY_SECONDS, Go, Held, ReservingGate
from worker.limits.memory import MemoryReservations
from worker.limits.redis import RedisReservations
from worker.limits.reservations import LimitState
from worker.protocol import headers as h
from worker.protocol.message import Visit, encode
from worker.protocol.topology import Role
from worker.protocol.transport import Delivery

NOBODY = "redis://127.0.0.1:1/0"


def limited(key: str, user: str = "alice", **headers: Any) -> Visit:
    return visit(node("next", role=Role.CONNECTOR, application="shop"), user=user, limiter_key=key, **headers)


async def go_of(chosen: ReservingGate, message: Visit, clock: Clock) -> Go:
    decision = await chosen.admit(message, clock.pause)
    assert isinstance(decision, Go)
    return decision


@pytest.fixture
async def unreachable() -> AsyncIterator[RedisReservations]:
    """A store that is away."""
    store = RedisReservations(NOBODY, guard_seconds=0)
    yield store
    await store.close()


async def test_a_message_is_parked_in_the_broker_when_the_store_is_away_for_long(
    unreachable: RedisReservations,
) -> None:
    clock = Clock()
    message = limited("alice|shop;1;1", limit_place="7")
    decision = await ReservingGate(unreachable, clock=clock).admit(message, clock.pause)
    assert decision == Held("shop", AWAY_SECONDS, 7)
    assert HELD_SECONDS <= clock.now - 1000 < HELD_SECONDS + 10


async def test_an_outage_is_told_of_once_and_so_is_its_end(own_redis: PrivateRedis) -> None:
    own_redis.stop()
    store = RedisReservations(own_redis.url, guard_seconds=0)
    chosen = ReservingGate(store)
    with capture_logs() as lines:
        asking = [asyncio.create_task(chosen.admit(limited("a|shop;1;99"), asyncio.sleep)) for _ in range(50)]
        await eventually(lambda: lines, what="a log line")
        await asyncio.to_thread(own_redis.start)
        assert all(isinstance(decision, Go) for decision in await asyncio.gather(*asking))
    events = [line["event"] for line in lines]
    assert len(events) == len({(line["event"], line.get("cause")) for line in lines}), "each cause once"
    assert (events[0], events[-1], events.count("limits_back")) == ("limits_away", "limits_back", 1)
    await store.close()


async def test_what_a_service_says_to_one_user_does_not_stop_the_others() -> None:
    clock = Clock()
    store = MemoryReservations(clock, guard_seconds=0)
    chosen = ReservingGate(store, clock=clock)
    alice = limited("alice|shop;1;10;|shop;1;100")
    refused = RateNotice("shop", "alice", resume_after_seconds=86_400, is_refusal=True)
    with capture_logs() as lines:
        await chosen.called(alice, await go_of(chosen, alice, clock), Observed([refused], [clock.now]))
    clock.now += 5
    assert isinstance(await chosen.admit(limited("bob|shop;1;10;|shop;1;100", "bob"), clock.pause), Go)
    assert isinstance(await chosen.admit(limited("alice|shop;1;10;|shop;1;100"), clock.pause), Held)
    amounts = {str(state.limit): state.amount_now for state in await store.states()}
    assert amounts["|shop;1;100"] == 100
    assert [(line["event"], line["keys"], line["refused"]) for line in lines] == [
        ("limit_learned", ["alice|shop"], True)
    ]


async def test_what_a_service_says_is_learned_by_the_limit_of_all_where_no_user_has_one() -> None:
    clock = Clock()
    chosen = ReservingGate(MemoryReservations(clock, guard_seconds=0), clock=clock)
    message = limited("|shop;1;100")
    refused = RateNotice("shop", "alice", resume_after_seconds=60, is_refusal=True)
    await chosen.called(message, await go_of(chosen, message, clock), Observed([refused], [clock.now]))
    assert isinstance(await chosen.admit(limited("|shop;1;100", "bob"), clock.pause), Held)


@pytest.mark.parametrize(("late_seconds", "counted_at"), [(0.05, 0.25), (0.5, 0.5 + WAY_SECONDS)])
async def test_a_request_that_is_sent_late_counts_at_once_as_sent_then(late_seconds: float, counted_at: float) -> None:
    clock = Clock()
    store = MemoryReservations(clock, guard_seconds=0)
    chosen = ReservingGate(store, clock=clock)
    go = await go_of(chosen, limited("alice|shop;1;1"), clock)
    clock.now += late_seconds
    await chosen.sent(go, clock.now)
    (state,) = await store.states()
    assert clock.now + state.next_seconds == pytest.approx(go.at + counted_at + 1)


async def test_sending_is_told_before_the_reply_comes() -> None:
    is_told, told = asyncio.Event(), list[float]()

    async def sent(at: float) -> None:
        told.append(at)
        is_told.set()

    async def answer(_: web.Request) -> web.Response:
        await is_told.wait()
        return web.Response()

    client = Http(timeout_seconds=5)
    async with serving(answer) as url:
        with observing(sent) as observed:
            async with client.open(Outgoing("GET", url, {})) as reply:
                assert reply.status == 200
    await client.close()
    assert observed.sent == told
    assert len(told) == 1


class Note(Connector[Any, Any]):
    """Does nothing."""

    name = "note"

    async def process(self, message: Message[Any]) -> Message[Any]:
        return message


def limited_node(action: str = "note", *, prefetch: int = 10, **settings: Any) -> NodeEntry:
    entry = connector("ask", action, "sink", prefetch=prefetch, **settings)
    return NodeEntry(entry.name, entry.followers, entry.worker, "shop", entry.settings)


async def state_of(store: RedisReservations, key: str) -> LimitState:
    return next(state for state in await store.states() if state.limit.key == key)


def delivery(message: ProcessMessage, deliveries: int = 1, **headers: str) -> Delivery:
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return Delivery(encode({**message.headers, **more}, message.body), None, deliveries)


@pytest.mark.parametrize(
    ("deliveries", "headers", "count"),
    [(18, {}, "trashed"), (1, {"user_task_state": "reject"}, "done")],
    ids=["delivered too often", "rejected by a person"],
)
async def test_a_message_that_ends_without_a_call_gives_back_its_place(
    make_topology: MakeTopology,
    run_worker: RunWorker,
    queues: Queues,
    own_redis: PrivateRedis,
    deliveries: int,
    headers: dict[str, str],
    count: str,
) -> None:
    topology = make_topology(limited_node(), sink())
    worker = await run_worker(topology, Note(), redis_url=own_redis.url)
    sent = [process_message(n, user="alice", **{"limiter-key": "alice|shop;60;1"}) for n in range(3)]
    await queues.publish(topology.exchange("ask"), *sent)
    ask = topology.node_id("ask")
    await eventually(lambda: worker.worker.counts[ask, "limited"] == 2, what="two parked messages")
    store = RedisReservations(own_redis.url, guard_seconds=0)
    assert (await state_of(store, "alice|shop")).waiting == 2
    before = worker.worker.counts[ask, count]
    (at,) = worker.worker.parts.nodes
    await worker.worker.handler.deliver(at, delivery(sent[1], deliveries, **{h.LIMIT_PLACE: "1"}, **headers))
    assert worker.worker.counts[ask, count] == before + 1
    assert (await state_of(store, "alice|shop")).waiting == 1
    await store.close()


async def test_the_second_turn_of_a_call_counts_by_its_own_end(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, own_redis: PrivateRedis
) -> None:
    """The action of another service does not answer at first, and then takes its time."""
    ended: list[float] = []

    async def answer(_: web.Request) -> web.Response:
        if not ended:
            ended.append(time.monotonic())
            return web.Response(status=503)
        await asyncio.sleep(0.6)  # the action's work
        ended.append(time.monotonic())
        return web.json_response({"headers": {"result-code": "0"}, "body": "1"})

    store = RedisReservations(own_redis.url, guard_seconds=0)
    async with serving(answer) as url:
        topology = make_topology(limited_node("remote", url=url), sink())
        await run_worker(topology, redis_url=own_redis.url)
        message = process_message(1, user="alice", **{"limiter-key": "alice|shop;2;1"})
        await queues.publish(topology.exchange("ask"), message)
        await queues.read(topology.queue("sink"), 1, seconds=20)

    async def free_at() -> float:
        return (await state_of(store, "alice|shop")).next_seconds + time.monotonic()

    assert ended[1] - ended[0] >= 2, "in its turn"
    assert await free_at() >= ended[1] + 1.99
    await store.close()


async def test_messages_wait_in_the_broker_while_redis_is_away_for_long(
    make_topology: MakeTopology,
    run_worker: RunWorker,
    queues: Queues,
    own_redis: PrivateRedis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gate, "HELD_SECONDS", 0.2)
    monkeypatch.setattr(gate, "AWAY_SECONDS", 1.0)
    own_redis.stop()
    topology = make_topology(limited_node(), sink())
    worker = await run_worker(topology, Note(), redis_url=own_redis.url, max_deliveries=2)
    headers = {"user": "alice", "limiter-key": "alice|shop;1;30"}
    await queues.publish(topology.exchange("ask"), *(process_message(n, **headers) for n in range(3)))
    counts, ask = worker.worker.counts, topology.node_id("ask")
    await eventually(lambda: counts[ask, "limited"] >= 9, seconds=20, what="messages that are parked again and again")
    assert (counts[ask, "trashed"], counts[ask, "done"]) == (0, 0)
    await asyncio.to_thread(own_redis.start)
    await queues.read(topology.queue("sink"), 3, seconds=20)


async def test_messages_that_hold_the_line_hold_it_while_redis_is_away_for_long(
    make_topology: MakeTopology,
    run_worker: RunWorker,
    queues: Queues,
    own_redis: PrivateRedis,
    log_lines: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gate, "HELD_SECONDS", 0.2)
    monkeypatch.setattr(gate, "AWAY_SECONDS", 1.0)
    own_redis.stop()
    topology = make_topology(limited_node(prefetch=1, repeatHoldsLine=True), sink())
    await run_worker(topology, Note(), redis_url=own_redis.url)
    headers = {"user": "alice", "limiter-key": "alice|shop;1;30"}
    await queues.publish(topology.exchange("ask"), *(process_message(n, **headers) for n in range(5)))
    await eventually(
        lambda: sum(line["event"] == "message_holds_line" for line in log_lines) == 2, what="a message that waits twice"
    )
    await asyncio.to_thread(own_redis.start)
    received = await queues.read(topology.queue("sink"), 5, seconds=20)
    assert [message.data for message in received] == list(range(5))
