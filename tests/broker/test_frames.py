"""The frames that the worker packs itself, read back with pamqp."""

import pamqp.frame
import pytest
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from worker.broker import frames

FRAME_MAX = 4096


def read(data: bytes) -> list[object]:
    found = []
    while data:
        size, channel, frame = pamqp.frame.unmarshal(data)
        assert channel == 7
        found.append(frame)
        data = data[size:]
    return found


@pytest.mark.parametrize("size", [0, 1, 300, FRAME_MAX - 9, FRAME_MAX - 8, FRAME_MAX - 7, 3 * FRAME_MAX])
def test_a_published_message_is_read_back_as_it_was(size: int) -> None:
    body = bytes(number % 256 for number in range(size))
    method, header, *content = read(
        frames.publish(
            7,
            "node.žluťoučký.hx",
            "1",
            body,
            message_id=b"x" * 20,
            timestamp=1_795_489_382_982,
            mandatory=True,
            frame_max=FRAME_MAX,
        )
    )
    assert isinstance(method, Basic.Publish)
    assert (method.exchange, method.routing_key, method.mandatory) == ("node.žluťoučký.hx", "1", True)
    assert isinstance(header, ContentHeader)
    assert header.body_size == size
    assert header.properties.headers == {"published-timestamp": 1_795_489_382_982}
    assert (header.properties.content_type, header.properties.delivery_mode) == ("application/json", 2)
    assert header.properties.message_id == "x" * 20
    assert b"".join(piece.value for piece in content if isinstance(piece, ContentBody)) == body


def test_acknowledgements_are_read_back_as_they_were() -> None:
    (ack,) = read(frames.acknowledge(7, 1 << 40, multiple=True))
    (nack,) = read(frames.hand_back(7, 3))
    assert isinstance(ack, Basic.Ack)
    assert (ack.delivery_tag, ack.multiple) == (1 << 40, True)
    assert isinstance(nack, Basic.Nack)
    assert (nack.delivery_tag, nack.multiple, nack.requeue) == (3, False, True)
