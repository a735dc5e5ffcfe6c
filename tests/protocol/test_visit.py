"""A message at a node: what has been received does not change."""

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from support.visits import node

from worker.protocol.message import Visit, decode, encode, receive
from worker.protocol.transport import Delivery

HEADERS = {"user": "alice", "audit": {"orders": [{"id": 1}, {"id": 2}]}, "tags": ["new", "paid"]}
RAW = json.dumps({"headers": HEADERS, "body": "x"}).encode()


def received() -> Visit:
    return receive(node(), decode(RAW, 10_000), Delivery(RAW, 1))


def given() -> Visit:
    return receive(node(), decode(b'{"headers":{},"body":"x"}', 10_000), Delivery(b"", 1)).having(
        json.loads(RAW)["headers"]
    )


def come_back() -> Visit:
    return received().back(json.loads(RAW)["headers"], "x")


@pytest.mark.parametrize("make", [received, given, come_back])
@pytest.mark.parametrize(
    "change",
    [
        lambda headers: headers.update(user="bob"),
        lambda headers: headers["audit"].clear(),
        lambda headers: headers["audit"].__setitem__("orders", []),
        lambda headers: headers["audit"]["orders"].append({}),
        lambda headers: headers["audit"]["orders"][0].pop("id"),
        lambda headers: headers["tags"].sort(),
        lambda headers: headers["tags"].__delitem__(0),
    ],
)
def test_its_headers_change_at_no_level(make: Callable[[], Visit], change: Callable[[Any], None]) -> None:
    visit = make()
    with pytest.raises(TypeError, match="do not change"):
        change(visit.headers)
    assert {name: visit.headers[name] for name in HEADERS} == HEADERS


def test_they_are_sent_on_as_they_came() -> None:
    envelope = decode(encode(received().headers, "x"), 10_000)
    assert envelope.headers is not None
    assert {name: envelope.headers[name] for name in HEADERS} == HEADERS


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda headers: pickle.loads(pickle.dumps(headers))])
def test_a_copy_can_be_changed(copied: Callable[[Any], Any]) -> None:
    own = copied(received().headers)
    own["audit"]["orders"].append({"id": 3})
    own["tags"][0] = "old"
    assert [order["id"] for order in own["audit"]["orders"]] == [1, 2, 3]
