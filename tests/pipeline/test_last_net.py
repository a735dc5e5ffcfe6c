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
from support.odd import Base, Halting
from support.visits import node
from support.waiting import eventually

from connectors import CustomNode, Message, Repeat
from worker.errors import HandBack
from worker.runs.run import RunState
from worker.runs.search import RunSearch, find_runs
from worker.runs.store import RunStore

AnyMessage = Message[Any]


class Unspeakable(Base):
    """Cannot even be described."""

    def __str__(self) -> NoReturn:
        raise Base

    __repr__ = __str__


class Late(Halting):
    """Fails when the worker asks how long to wait: outside of all that guards the action."""

    def after(self, hop: int, uniform: object) -> NoReturn:
        raise Unspeakable


class Fail(CustomNode[Any, Any]):
    """Passes on what begins with `good`."""

    name = "fail"

    async def process(self, message: AnyMessage) -> AnyMessage:
        """Repeat after a time that nobody can say."""
        if message.body.startswith("good"):
            return message
        raise Repeat(Late())


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
        async with handling(tmp_path_factory.mktemp("net"), [FAIL], {"fail": Fail()}) as handled:
            sent = await deliver(handled, texts)
            good = [raw for raw, text in zip(sent, texts, strict=True) if text.startswith("good")]
            assert {entry.raw for entry in await handled.entries()} == set(sent) - set(good)
            assert handled.outlet.sent["node.id-next.hx"] == len(good)

    asyncio.run(run())


async def test_the_reason_names_the_place_and_the_run_ends(tmp_path: Path) -> None:
    async with handling(tmp_path, [FAIL], {"fail": Fail()}) as handled:
        (raw,) = await deliver(handled, ["x"])
        (entry,) = await handled.entries()
    assert entry.raw == raw
    place = f"(at pipeline/test_last_net.py:{Late.after.__code__.co_firstlineno + 1} in after)"
    assert entry.reason == f"a bug of the worker: Unspeakable: no text: its __str__ raised Base {place}"
    store = RunStore(f"sqlite:///{tmp_path}/processes.sqlite")
    assert [run.state for run in find_runs(store, RunSearch())] == [RunState.FAILED]
    store.close()


async def test_it_waits_for_the_trash_as_others_do(tmp_path: Path, log_lines: Sequence[Mapping[str, Any]]) -> None:
    blocked = tmp_path / "trash.sqlite"
    blocked.mkdir()
    async with handling(tmp_path, [FAIL], {"fail": Fail()}) as handled:
        delivering = asyncio.ensure_future(deliver(handled, ["x"]))
        await eventually(lambda: [one for one in log_lines if one["event"] == "trash_away"], what="a log line")
        blocked.rmdir()
        (raw,) = await delivering
        assert [entry.raw for entry in await handled.entries()] == [raw]


async def test_a_worker_that_stops_hands_it_back(tmp_path: Path) -> None:
    (tmp_path / "trash.sqlite").mkdir()
    async with handling(tmp_path, [FAIL], {"fail": Fail()}) as handled:
        handled.patience.end()
        with pytest.raises(HandBack):
            await handled.deliver(FAIL, encoded(1, "x"))
