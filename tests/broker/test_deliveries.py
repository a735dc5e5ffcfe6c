"""What is read of a delivery's properties, which publishers may set as they like."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import aiormq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from worker.broker import frames
from worker.broker.consumer import delivery_of
from worker.protocol.transport import Delivery

NAMES = ("published-timestamp", "x-delivery-count")
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64)
    | st.floats()
    | st.text()
    | st.binary()
    | st.just(Decimal("1.5"))
    | st.just(datetime(9999, 12, 31, tzinfo=UTC))
)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)


def delivered(headers: dict[str, Any] | None, *, redelivered: bool = False) -> Delivery:
    properties: Any = Basic.Properties(headers=headers)
    header = ContentHeader(properties=properties)
    deliver = Basic.Deliver("tag", 7, redelivered, "exchange", "1")
    channel: Any = None
    return delivery_of(aiormq.abc.DeliveredMessage(deliver, header, b"body", channel))


@given(st.dictionaries(st.sampled_from(NAMES), values), st.booleans())
def test_whatever_a_publisher_sets_the_message_can_be_sent_on(headers: dict[str, Any], redelivered: bool) -> None:
    found = delivered(headers, redelivered=redelivered)
    timestamp = found.timestamp or 0
    packed = frames.publish(1, "e", "1", b"", message_id=b"0" * 20, timestamp=timestamp, mandatory=True, frame_max=4096)
    assert packed
    assert found.deliveries >= 1 or redelivered


@pytest.mark.parametrize(("count", "redelivered", "deliveries"), [(17, True, 18), (17, False, 1), (None, True, 1)])
def test_only_the_broker_says_how_often_it_has_delivered(
    count: int | None, *, redelivered: bool, deliveries: int
) -> None:
    assert delivered({"x-delivery-count": count}, redelivered=redelivered).deliveries == deliveries


def test_what_comes_back_without_a_count_is_known_as_such() -> None:
    counted, uncounted, new = (
        delivered(headers, redelivered=redelivered)
        for headers, redelivered in (({"x-delivery-count": 0}, True), (None, True), (None, False))
    )
    assert (counted.is_uncounted, uncounted.is_uncounted, new.is_uncounted) == (False, True, False)


def test_a_timestamp_is_a_whole_number() -> None:
    assert delivered({"published-timestamp": 1_795_489_382_982}).timestamp == 1_795_489_382_982
    assert delivered({"published-timestamp": True}).timestamp is None
    assert delivered(None).timestamp is None
