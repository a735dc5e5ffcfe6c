"""What nothing else has caught costs one message: its bytes are in the trash, and the process goes on."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.handled import Handled, handling
from support.odd import Base
from support.visits import node
from support.waiting import eventually

from connectors import CustomNode, Message
from worker.errors import HandBack
from worker.pipeline.decisions import Decision, Settlement
from worker.pipeline.settle import Settler
from worker.protocol.message import Visit
from worker.runs.run import RunState
from worker.runs.search import RunSearch, find_runs
from worker.runs.store import RunStore

AnyMessage = Message[Any]


class Unspeakable(Base):
    """Cannot even be described."""

    def __str__(self) -> NoReturn:
        raise Base

    __repr__ = __str__


class PassOn(CustomNode[Any, Any]):
    """Returns the message."""

    name = "pass-on"

    async def process(self, message: AnyMessage) -> AnyMessage:
        """Return it."""
        return message


class Failing(Settler):
    """Settles what begins with `good`; a bug in it is outside of all that guards the action."""

    def settle(self, visit: Visit, decision: Decision) -> Settlement:
        if visit.body.startswith("good"):
            return super().settle(visit, decision)
        raise Unspeakable


FAIL = node("next", id="fail")
bodies = st.lists(st.text() | st.just("good"), min_size=1, max_size=10)  # no lone surrogates: such cannot be read


async def deliver(handled: Handled, texts: Sequence[str]) -> Sequence[bytes]:
    sent = [encoded(number, text) for number, text in enumerate(texts)]
    async with asyncio.TaskGroup() as group:
        for raw in sent:
            group.create_task(handled.deliver(FAIL, raw, 1))
    return sent


def encoded(number: int, text: str) -> bytes:
    headers = {"correlation-id": f"run-{number}", "process-id": f"p{number}", "user": text}
    return json.dumps({"headers": headers, "body": text}).encode()


@given(bodies)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_its_bytes_are_in_the_trash_and_others_go_on(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    async def run() -> None:
        async with handling(tmp_path_factory.mktemp("net"), [FAIL], {"fail": PassOn()}, settler=Failing) as handled:
            sent = await deliver(handled, texts)
            good = [raw for raw, text in zip(sent, texts, strict=True) if text.startswith("good")]
            assert {entry.raw for entry in await handled.entries()} == set(sent) - set(good)
            assert handled.outlet.sent["node.id-next.hx"] == len(good)

    asyncio.run(run())


async def test_the_reason_names_the_place_and_the_run_ends(tmp_path: Path) -> None:
    async with handling(tmp_path, [FAIL], {"fail": PassOn()}, settler=Failing) as handled:
        (raw,) = await deliver(handled, ["x"])
        (entry,) = await handled.entries()
    assert entry.raw == raw
    place = f"(at pipeline/test_last_net.py:{Failing.settle.__code__.co_firstlineno + 3} in settle)"
    assert entry.reason == f"a bug of the worker: Unspeakable: no text: its __str__ raised Base {place}"
    store = RunStore(f"sqlite:///{tmp_path}/processes.sqlite")
    assert [run.state for run in find_runs(store, RunSearch())] == [RunState.FAILED]
    store.close()


async def test_it_waits_for_the_trash_as_others_do(tmp_path: Path, log_lines: Sequence[Mapping[str, Any]]) -> None:
    blocked = tmp_path / "trash.sqlite"
    blocked.mkdir()
    async with handling(tmp_path, [FAIL], {"fail": PassOn()}, settler=Failing) as handled:
        delivering = asyncio.ensure_future(deliver(handled, ["x"]))
        await eventually(lambda: [one for one in log_lines if one["event"] == "trash_away"], what="a log line")
        blocked.rmdir()
        (raw,) = await delivering
        assert [entry.raw for entry in await handled.entries()] == [raw]


async def test_a_worker_that_stops_hands_it_back(tmp_path: Path) -> None:
    (tmp_path / "trash.sqlite").mkdir()
    async with handling(tmp_path, [FAIL], {"fail": PassOn()}, settler=Failing) as handled:
        handled.patience.end()
        with pytest.raises(HandBack):
            await handled.deliver(FAIL, encoded(1, "x"))
