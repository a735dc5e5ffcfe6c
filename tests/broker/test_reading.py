"""Frames that publishers and brokers send: whatever is in them, aiormq can read what is left of them."""

import asyncio
import struct
from typing import Any

import aiormq
import pamqp.frame
import pytest
from conftest import MakeTopology, RunWorker
from hypothesis import example, given
from hypothesis import strategies as st
from pamqp.commands import Basic, Channel, Connection
from pamqp.header import ContentHeader
from support.actions import Copy
from support.queues import Queues, process_message
from support.topologies import custom_node, sink
from support.waiting import eventually
from yarl import URL

from worker.broker import frames
from worker.broker.consumer import delivery_of
from worker.broker.opening import open_connection
from worker.broker.reading import ConnectionState, FrameReader

HEADER, METHOD = 2, 1
WIDTHS = {b"t": 1, b"b": 1, b"B": 1, b"s": 2, b"u": 2, b"i": 4, b"I": 4, b"l": 8, b"f": 4, b"d": 8, b"D": 5, b"T": 8}

short = st.binary(max_size=255).map(lambda text: bytes((len(text),)) + text)
fixed = st.sampled_from(sorted(WIDTHS)).flatmap(
    lambda kind: st.binary(min_size=WIDTHS[kind], max_size=WIDTHS[kind]).map(lambda value: kind + value)
)
long = st.tuples(st.sampled_from([b"S", b"x", b"A", b"F", b"q", b"\xff"]), st.binary(max_size=40)).map(
    lambda pair: pair[0] + len(pair[1]).to_bytes(4) + pair[1]
)
value = st.one_of(st.just(b"V"), fixed, long)
NAMES = (b"\x13published-timestamp", b"\x10x-delivery-count", b"\x10x-acquired-count")
name = st.one_of(short, *map(st.just, NAMES))
table = st.lists(st.tuples(name, value), max_size=6).map(lambda entries: b"".join(key + item for key, item in entries))


@st.composite
def properties(draw: st.DrawFn) -> bytes:
    """All properties of a message, each with anything in it."""
    flags, parts = draw(st.integers(0, 0x7FFF)) << 1, []
    for place in range(15, 0, -1):
        if not flags >> place & 1:
            continue
        if place == 13:
            headers = draw(table)
            parts.append(len(headers).to_bytes(4) + headers)
        elif place in {12, 11}:
            parts.append(draw(st.binary(min_size=1, max_size=1)))
        else:
            parts.append(draw(st.binary(min_size=8, max_size=8)) if place == 6 else draw(short))
    return flags.to_bytes(2) + b"".join(parts)


def frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, 1, len(payload)) + payload + b"\xce"


async def read(data: bytes) -> tuple[object, ConnectionState]:
    """Return the frame as aiormq reads it."""
    source, state = asyncio.StreamReader(), ConnectionState()
    source.feed_data(data)
    source.feed_eof()
    reader: Any = FrameReader(source, state)
    (_, _, found) = await aiormq.connection.FrameReceiver(reader).get_frame()
    assert reader.at_eof()
    return found, state


def content(size: int, of_message: bytes) -> bytes:
    return frame(HEADER, struct.pack(">HHQ", 60, 0, size) + of_message)


@given(properties() | st.binary(min_size=2), st.integers(0, 2**62))
@example(b"\xb0\x80\x10application/json\x00\x00\x00\x1d\x13published-timestampl", 0)  # cut before its value
def test_whatever_the_properties_hold_the_message_can_be_read(of_message: bytes, size: int) -> None:
    found, _ = asyncio.run(read(content(size, of_message)))
    assert isinstance(found, ContentHeader)
    assert found.body_size == size
    message: Any = aiormq.abc.DeliveredMessage(Basic.Deliver("tag", 1, False, "", "1"), found, b"", None)
    delivery = delivery_of(message)
    assert delivery.timestamp is None or -(2**63) <= delivery.timestamp < 2**63


@given(
    timestamp=st.integers(-(2**62) + 1, 2**62 - 1),
    count=st.none() | st.integers(0, 2**31 - 1),
    is_count_first=st.booleans(),
    content_type=short,
    sent=st.none() | st.integers(0, 2**32 - 1),
)
def test_what_the_worker_uses_of_the_properties_stays(
    timestamp: int, count: int | None, is_count_first: bool, content_type: bytes, sent: int | None
) -> None:
    entries = [NAMES[0] + b"l" + struct.pack(">q", timestamp)]
    if count is not None:
        entries += [NAMES[1] + b"l" + struct.pack(">q", count), NAMES[2] + b"l" + struct.pack(">q", count)]
    headers = b"".join(reversed(entries) if is_count_first else entries)
    flags = 1 << 15 | 1 << 13 | 1 << 12 | (1 << 6 if sent is not None else 0)
    of_message = flags.to_bytes(2) + content_type + len(headers).to_bytes(4) + headers + b"\x02"
    if sent is not None:
        of_message += sent.to_bytes(8)
    found, _ = asyncio.run(read(content(3, of_message)))
    assert isinstance(found, ContentHeader)
    message: Any = aiormq.abc.DeliveredMessage(Basic.Deliver("tag", 1, True, "", "1"), found, b"", None)
    delivery = delivery_of(message)
    assert (delivery.timestamp, delivery.deliveries) == (timestamp, (count or 0) + 1)
    assert found.properties.timestamp is None or int(found.properties.timestamp.timestamp()) == sent


@given(st.binary(max_size=255), st.binary(max_size=255), st.integers(0, 2**63 - 1))
def test_names_that_are_no_text_can_be_read(exchange: bytes, routing_key: bytes, tag: int) -> None:
    names = b"".join(bytes((len(text),)) + text for text in (exchange, routing_key))
    found, _ = asyncio.run(
        read(frame(METHOD, struct.pack(">HH", 60, 60) + b"\x03abc" + struct.pack(">QB", tag, 0) + names))
    )
    assert isinstance(found, Basic.Deliver)
    assert (found.consumer_tag, found.delivery_tag) == ("abc", tag)
    try:
        assert (found.exchange, found.routing_key) == (exchange.decode(), routing_key.decode())
    except UnicodeDecodeError:
        assert len((found.routing_key or "").encode()) == len(routing_key)


@pytest.mark.parametrize(
    "sent",
    [
        Basic.Deliver("tag", 1, True, "exchange", "key"),
        Basic.Return(312, "NO_ROUTE", "exchange", "key"),
        Basic.GetOk(1, False, "exchange", "key", 7),
        Basic.Ack(200, True),
        Channel.Close(404, "NOT_FOUND - no exchange", 60, 40),
        Connection.Tune(2047, 131072, 60),
    ],
    ids=lambda sent: sent.name,
)
async def test_methods_are_read_as_they_were_sent(sent: Any) -> None:
    found, _ = await read(pamqp.frame.marshal(sent, 1))
    assert dict(found) == dict(sent)  # type: ignore[call-overload]


async def test_a_broker_without_a_limit_for_frames_gets_the_usual_one() -> None:
    found, _ = await read(pamqp.frame.marshal(Connection.Tune(0, 0, 60), 0))
    assert isinstance(found, Connection.Tune)
    assert (found.channel_max, found.frame_max) == (0, 131_072)


async def test_what_is_said_of_the_connection_is_noted() -> None:
    _, state = await read(pamqp.frame.marshal(Connection.Blocked("low on memory"), 0))
    assert state.blocked_for == "low on memory"
    _, state = await read(pamqp.frame.marshal(Connection.Close(530, "NOT_ALLOWED - vhost x not found", 10, 40), 0))
    assert state.closed_for == "NOT_ALLOWED - vhost x not found"


async def test_messages_that_the_library_cannot_read_cost_no_connection(
    make_topology: MakeTopology, queues: Queues, run_worker: RunWorker, broker_url: str
) -> None:
    topology = make_topology(custom_node("work", "copy", "sink"), sink())
    worker = await run_worker(topology, Copy())
    body = b'{"headers": {"correlation-id": "c", "process-id": "p", "parent-id": ""}, "body": "\\"odd\\""}'
    exchange = topology.exchange("work").encode()
    async with await open_connection(URL(broker_url), "test") as connection:
        channel = await connection.channel(publisher_confirms=False)
        for key, of_message in (
            (b"1", b"\x00\x40" + (2**62).to_bytes(8)),
            (b"\xff\xfe", b"\x00\x00"),
            (b"1", b"\x80\x00" + b"\x03\xff\xfe\xfd"),
            (b"1", b"\x20\x00" + (11).to_bytes(4) + b"\x01aT" + (2**62).to_bytes(8)),
        ):
            method = struct.pack(">HHHB", 60, 40, 0, len(exchange)) + exchange + bytes((len(key),)) + key + b"\x00"
            frames = [frame(METHOD, method), content(len(body), of_message), frame(3, body)]
            number = channel.number.to_bytes(2)
            connection.outbox.write(b"".join(part[:1] + number + part[3:] for part in frames))
        arrived = await queues.read(topology.queue("sink"), 4)
    assert [message.data for message in arrived] == ["odd"] * 4
    await queues.publish(topology.exchange("work"), process_message("usual"))
    assert [message.data for message in await queues.read(topology.queue("sink"), 1)] == ["usual"]
    await eventually(lambda: worker.worker.in_work == 0, what="an end of all")
    assert [link.losses for link in worker.worker.parts.links] == [0, 0]


async def test_a_message_of_ours_that_is_returned_keeps_the_id_by_which_it_is_known() -> None:
    header = content(3, published_by_us())
    source = asyncio.StreamReader()
    source.feed_data(frame(METHOD, struct.pack(">HHH", 60, 50, 312) + b"\x08NO_ROUTE\x01e\x01k") + header + header)
    receiver = aiormq.connection.FrameReceiver(FrameReader(source, ConnectionState()))  # type: ignore[arg-type]
    (_, _, returned) = await receiver.get_frame()
    (_, _, its_header) = await receiver.get_frame()
    (_, _, of_a_delivery) = await receiver.get_frame()
    assert isinstance(returned, Basic.Return)
    assert isinstance(its_header, ContentHeader)
    assert isinstance(of_a_delivery, ContentHeader)
    assert its_header.properties.message_id == "0123456789abcdef0123"
    assert of_a_delivery.properties.message_id is None


def published_by_us() -> bytes:
    """Return the properties of a message as the worker writes them."""
    whole = frames.publish(
        *(1, "e", "k", b"abc"), message_id=b"0123456789abcdef0123", timestamp=1, mandatory=True, frame_max=131_072
    )
    (size,) = struct.unpack_from(">I", whole, 3)
    header = whole[size + 8 :]
    return header[7 + 12 : 7 + struct.unpack_from(">I", header, 3)[0]]
