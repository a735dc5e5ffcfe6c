"""Stages of the user's own, around each action."""

from datetime import timedelta
from typing import Any

import pytest
from support.actions import Copy
from support.visits import node, visit

from connectors import CustomNode, Forward, Message, Repeat, Trash
from connectors.errors import StorageAway
from worker import Decided, Stage, Visit, Way
from worker.errors import HandBack, SettingsError
from worker.pipeline.decisions import DoneBefore, Unreachable
from worker.pipeline.own_stages import guarded, load_stages
from worker.pipeline.stages import around, decides
from worker.testing import InMemoryTopology

TOPOLOGY = {
    "id": "t1",
    "name": "staged",
    "nodes": [
        {
            "id": "n1",
            "name": "copy",
            "worker": "worker.custom_node",
            "settings": {"actionPath": "/custom-node/copy/process"},
            "followers": [{"id": "n2", "name": "sink"}],
        }
    ],
}


class Refuse(CustomNode[Any, Any]):
    """Trashes everything."""

    name = "copy"

    async def process(self, message: Message[Any]) -> Message[Any]:
        raise Trash("closed")


def marking(word: str, seen: list[str]) -> Stage:
    async def stage(visit: Visit, call_next: Way) -> Decided:
        seen.append(f"{word} in")
        decided = await call_next(visit.having({**visit.headers, "marked": visit.headers.text("marked") + word}))
        seen.append(f"{word} out")
        return decided

    return stage


async def repeat_what_is_closed(visit: Visit, call_next: Way) -> Decided:
    decided = await call_next(visit)
    if decided.decision == Trash("closed"):
        return Decided(decided.visit, Repeat(timedelta(hours=8), "closed until the morning", max_hops=3))
    return decided


async def test_the_first_stage_is_the_outermost_and_what_it_changes_reaches_the_followers() -> None:
    seen: list[str] = []
    async with InMemoryTopology(TOPOLOGY, [Copy], stages=[marking("a", seen), marking("b", seen)]) as running:
        await running.start("copy", {"n": 1})
        await running.run()
        (message,) = running.messages("sink")
    assert seen == ["a in", "b in", "b out", "a out"]
    assert message.headers["marked"] == "ab"


async def test_a_stage_may_decide_otherwise() -> None:
    async with InMemoryTopology(TOPOLOGY, [Refuse], stages=[repeat_what_is_closed]) as running:
        await running.start("copy", {"n": 1})
        await running.run()
        assert len(running.calls("copy")) == 3
        assert running.clock() >= 2 * 8 * 3600
        (entry,) = await running.trash()
    assert "closed until the morning" in str(entry.reason)


async def test_a_stage_may_decide_without_the_action() -> None:
    async def closed(visit: Visit, call_next: Way) -> Decided:
        return Decided(visit, Trash("the shop is closed"))

    async with InMemoryTopology(TOPOLOGY, [Copy], stages=[closed]) as running:
        await running.start("copy", {"n": 1})
        await running.run()
        assert not running.calls("copy")
        (entry,) = await running.trash()
    assert entry.reason == "the shop is closed"


async def test_an_error_of_a_stage_puts_the_message_into_the_trash_with_its_place() -> None:
    async def broken(visit: Visit, call_next: Way) -> Decided:
        await call_next(visit)
        raise KeyError("colour")

    async with InMemoryTopology(TOPOLOGY, [Copy], stages=[broken]) as running:
        await running.start("copy", {"n": 1})
        await running.run()
        (entry,) = await running.trash()
        assert not running.messages("sink")
    assert "broken failed: KeyError: 'colour' (at pipeline/test_stages.py:" in str(entry.reason)


def returning(value: Any) -> Stage:
    async def odd(visit: Visit, call_next: Way) -> Any:
        return value(visit) if callable(value) else value

    return odd


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "it returned NoneType, not Decided"),
        (Trash("x"), "it returned Trash, not Decided"),
        (lambda visit: Decided(visit, None), "it decided NoneType, which is not an outcome"),
        (lambda visit: Decided(visit, Message({}, "")), "it decided Message, which is not an outcome"),
        (lambda visit: Decided(visit, DoneBefore()), "it decided DoneBefore, which is not an outcome"),
        (lambda visit: Decided(visit, Unreachable("x", 0)), "it decided Unreachable, which is not an outcome"),
        (lambda visit: Decided(None, Trash("x")), "it decided about NoneType, not a Visit"),
        (lambda visit: Decided(visit.having({"x": object()}), Trash("x")), "Encoding objects of type object"),
    ],
)
async def test_what_cannot_be_carried_out_goes_to_the_trash_as_it_came(value: Any, problem: str) -> None:
    message = visit(node("next"))
    decided = await around([guarded(returning(value))], decides(Trash("x")))(message)
    assert isinstance(decided.decision, Trash)
    assert problem in decided.decision.reason
    assert decided.visit is message


async def test_a_verdict_that_a_stage_raises_is_what_it_decides() -> None:
    async def enough(visit: Visit, call_next: Way) -> Decided:
        raise StorageAway(reason="enough")

    decided = await around([guarded(enough)], decides(Trash("x")))(visit(node("next")))
    assert decided.decision == Repeat(timedelta(seconds=30), "enough", max_hops=100_000)


async def test_an_error_of_what_a_stage_calls_is_not_its_own() -> None:
    async def broken(visit: Visit) -> Decided:
        raise LookupError("not the stage's")

    (traced,) = load_stages(["support.stages:traced"])
    with pytest.raises(LookupError):
        await around([guarded(traced)], broken)(visit(node("next")))


async def test_a_stage_that_hands_back_is_let_through() -> None:
    async def stopping(visit: Visit, call_next: Way) -> Decided:
        raise HandBack

    with pytest.raises(HandBack):
        await guarded(stopping)(visit(node("next")), decides(Trash("x")))


async def test_each_attempt_of_a_repeat_passes_the_stages() -> None:
    seen: list[str] = []
    again = Refuse()
    stages = [repeat_what_is_closed, marking("a", seen)]
    async with InMemoryTopology(TOPOLOGY, [again], stages=stages) as running:
        await running.start("copy", {"n": 1})
        await running.run()
    assert seen == ["a in", "a out"] * 3


def test_stages_are_found_by_name() -> None:
    assert load_stages(["support.stages:traced"]) == [load_stages(["support.stages:traced"])[0]]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("support.stages:missing", "has no attribute 'missing'"),
        ("support.no_stages:traced", "No module named 'support.no_stages'"),
        ("support.stages:WORD", "cannot be called"),
    ],
)
def test_a_stage_that_is_not_there_is_told_at_the_start(name: str, problem: str) -> None:
    with pytest.raises(SettingsError, match="WORKER_STAGES") as error:
        load_stages([name])
    assert problem in str(error.value)


async def test_what_a_stage_only_looks_at_stays_as_it_is() -> None:
    (traced,) = load_stages(["support.stages:traced"])
    message, outcome = visit(node("next")), Forward(Message({}, "1"))
    decided = await around([guarded(traced)], decides(outcome))(message)
    assert decided.visit is message
    assert decided.decision is outcome


def test_the_reason_of_an_absent_storage_needs_no_name() -> None:
    assert StorageAway("no answer") == StorageAway(reason="no answer")
    assert StorageAway("no answer").after == timedelta(seconds=30)
