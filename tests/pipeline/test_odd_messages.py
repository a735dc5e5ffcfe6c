"""Whatever a message holds, something becomes of it, and nothing gets to the last net."""

import asyncio
import json
import re
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.actions import CopyConnector
from support.handled import Handled, handling
from support.odd import KNOWN_HEADERS, ODD_ENDS, ODD_VALUES, Odd, OddInThread, odd_bytes
from support.visits import node

from connectors import Batch, CustomNode, Message, Page, Repeat
from worker.protocol.keys import parse_key
from worker.protocol.topology import Deduplicate, Node, Role

AnyMessage = Message[Any]


BUG = re.compile("a bug of the worker|AttributeError|TypeError|KeyError")


class Pages(Batch[Any, Any]):
    """One page after another, by the cursor."""

    name = "pages"

    async def page(self, message: AnyMessage, cursor: str | None) -> Page:
        """Return an item, and where the next page begins."""
        return Page([message.with_headers({"own": message.hop})], f"{cursor}+")


class Again(CustomNode[Any, Any]):
    """Wants each message again."""

    name = "again"

    async def process(self, message: AnyMessage) -> AnyMessage:
        """Repeat."""
        raise Repeat(timedelta(seconds=1))


def numbered(own: str, role: Role, **changes: Any) -> Node:
    stamp = {"node-id": own, "node-name": own, "topology-id": "t1", "worker-followers": "[]"}
    return node("a", "b", role=role, id=own, name=own, stamp=stamp, **changes)


NODES = (
    numbered("pass", Role.PASS_ON, deduplicate=Deduplicate(parse_key("header:user"), 0.001)),
    numbered("ask", Role.USER_TASK, deduplicate=Deduplicate(parse_key("body:items[::0]"), 60)),
    numbered("copy", Role.CONNECTOR, application="shop", deduplicate=Deduplicate(parse_key("body:id"), 60)),
    numbered("pages", Role.BATCH, application="shop"),
    numbered("again", Role.CUSTOM_NODE, repeat_holds_line=False),
)
ACTIONS = {"copy": CopyConnector(), "pages": Pages(), "again": Again()}


def raw(headers: dict[str, Any], body: str = '{"id":[1]}') -> bytes:
    return json.dumps({"headers": headers, "body": body}).encode()


async def deliver_all(folder: Path, messages: Iterable[tuple[Node, bytes]]) -> Handled:
    """Deliver all at once; each has ended when this returns."""
    async with handling(folder, NODES, ACTIONS) as handled:
        async with asyncio.TaskGroup() as group:
            for at, message in messages:
                group.create_task(handled.deliver(at, message, 1_795_489_382_982))
        assert handled.ended == handled.arrived
        bugs = [entry.reason for entry in await handled.entries() if BUG.search(entry.reason or "")]
        assert not bugs
    return handled


IDS = {"correlation-id": "run", "process-id": "process", "parent-id": "", "user": "alice"}


@pytest.mark.parametrize("at", NODES, ids=lambda at: at.id)
async def test_a_header_may_have_a_value_of_any_type(at: Node, tmp_path: Path) -> None:
    pairs = [(name, value) for name in KNOWN_HEADERS for value in ODD_VALUES][NODES.index(at) :: len(NODES)]
    handled = await deliver_all(tmp_path, [(at, raw({**IDS, name: value})) for name, value in pairs])
    assert handled.arrived == len(pairs)


headers = st.dictionaries(st.sampled_from(KNOWN_HEADERS), st.sampled_from(ODD_VALUES), max_size=12)
bodies = st.sampled_from(
    ["", "{", '{"id":' + "[" * 199 + "]" * 199 + "}", '{"id":NaN}', '{"id":1e400}', "[" * 5000, "\x00"]
)
messages = st.lists(st.tuples(st.sampled_from(NODES), st.builds(raw, headers, bodies)), max_size=20)


@given(messages)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_several_headers_may_be_odd_at_once(tmp_path: Path, sent: list[tuple[Node, bytes]]) -> None:
    asyncio.run(deliver_all(tmp_path, sent))


async def test_what_cannot_be_read_is_in_the_trash_with_its_bytes(tmp_path: Path) -> None:
    sent = list(odd_bytes())
    handled = await deliver_all(tmp_path, [(at, message) for message in sent for at in NODES[:3]])
    assert handled.arrived == 3 * len(sent)


async def test_a_message_that_was_published_twice_waits_once_for_a_person(tmp_path: Path) -> None:
    async with handling(tmp_path, NODES, ACTIONS) as handled:
        for timestamp in (1, 2, 2):
            await handled.deliver(NODES[1], raw(IDS), timestamp)
        await handled.deliver(NODES[1], raw({**IDS, "process-id": "other"}), 3)
        entries = await handled.entries()
    assert [(entry.headers["process-id"], entry.more) for entry in entries] == [("process", 2), ("other", 0)]


async def test_whatever_an_action_returns_or_raises_something_becomes_of_the_message(tmp_path: Path) -> None:
    at, threaded = numbered("odd", Role.CUSTOM_NODE), numbered("thread", Role.CUSTOM_NODE)
    async with handling(
        tmp_path, [at, threaded], {"odd": Odd(), "thread": OddInThread()}, largest=10_000_000
    ) as handled:
        async with asyncio.TaskGroup() as group:
            for number in range(len(ODD_ENDS)):
                for one in (at, threaded):
                    group.create_task(handled.deliver(one, raw({**IDS, "process-id": f"p{number}"}, str(number)), 1))
        assert handled.ended == handled.arrived == 2 * len(ODD_ENDS)
        reasons = [entry.reason or "" for entry in await handled.entries()]
    assert sum("a bug of the worker" in reason for reason in reasons) <= 3  # of delays and messages that end the world
    assert any("odd returned Trash: reason must be a text, not int" in reason for reason in reasons)
