"""Verdicts: values that may be returned or raised, with the same effect."""

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import FrozenInstanceError, replace
from datetime import timedelta
from typing import Any

import pytest
from support.visits import node, visit

from connectors import CustomNode, GraphQLFailed, Limited, Message, Repeat, SoapFault, Stop, Trash
from connectors.errors import PagingLoop, StorageAway
from connectors.outcome import Outcome, Verdict, as_value
from worker.actions.local import local_call

SECOND = timedelta(seconds=1)
MOVED = Message({"user": "ann"}, "{}")
PLAIN = [
    Repeat(SECOND, "busy", max_hops=2, message=MOVED),
    Limited("429", after=SECOND, message=MOVED),
    Stop("nothing to do", MOVED),
    Trash("no stock", MOVED),
]
DERIVED = [
    (StorageAway(reason="no answer"), Repeat(timedelta(seconds=30), "no answer", max_hops=100_000)),
    (PagingLoop("page 2 again"), Trash("page 2 again")),
    (GraphQLFailed("refused", errors=[{"message": "no"}]), Trash("refused")),
    (SoapFault("GetStock: fault", code="Client", text="no"), Trash("GetStock: fault")),
]
ALL = [*PLAIN, *(derived for derived, _ in DERIVED)]


class Locked(Repeat):
    """One of an author's own, whose constructor takes something else."""

    def __init__(self, order: int) -> None:
        super().__init__(SECOND, f"order {order} is locked")
        self.order = order


class Raising(CustomNode[Any, Any]):
    name = "raising"

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict

    async def process(self, message: Message[Any]) -> Message[Any]:
        raise self.verdict


class Returning(Raising):
    name = "returning"

    async def process(self, message: Message[Any]) -> Any:
        return self.verdict


async def outcome_of(action: CustomNode[Any, Any]) -> Outcome:
    return await local_call(action)(visit(node("next"), "{}"))


@pytest.mark.parametrize("action", [Raising, Returning])
@pytest.mark.parametrize("verdict", PLAIN, ids=repr)
async def test_returned_or_raised_it_is_the_same(verdict: Outcome, action: Callable[[Any], Any]) -> None:
    assert await outcome_of(action(verdict)) == verdict


@pytest.mark.parametrize("action", [Raising, Returning])
@pytest.mark.parametrize(("verdict", "expected"), [*DERIVED, (Locked(7), Repeat(SECOND, "order 7 is locked"))])
async def test_a_derived_one_counts_as_what_it_is_derived_from(
    verdict: Verdict, expected: Outcome, action: Callable[[Any], Any]
) -> None:
    outcome = await outcome_of(action(verdict))
    assert outcome == expected
    assert type(outcome) is type(expected)


@pytest.mark.parametrize("verdict", ALL, ids=repr)
def test_copies_are_equal_and_others_are_not(verdict: Any) -> None:
    other = replace(verdict, reason="another")
    for made in (copy.copy(verdict), pickle.loads(pickle.dumps(replace(verdict, message=None)))):
        assert replace(made, message=verdict.message) == verdict
        assert type(made) is type(verdict)
    assert other != verdict
    assert str(other) == other.reason == "another"
    assert len({verdict, copy.copy(verdict), other}) == 2


def test_equal_fields_of_another_class_are_not_equal() -> None:
    assert Stop("same") != Trash("same")
    assert PagingLoop("same") != Trash("same")


def test_one_with_a_constructor_of_its_own_is_copied_and_pickled() -> None:
    locked = Locked(7)
    assert [copy.copy(locked).order, pickle.loads(pickle.dumps(locked)).order] == [7, 7]


def test_it_shows_its_fields_and_as_text_its_reason() -> None:
    assert repr(Stop("too small")) == "Stop(reason='too small', message=None)"
    shown = "SoapFault(reason='f', message=None, code='c', text='t', subcodes=(), detail=None)"
    assert repr(SoapFault("f", code="c", text="t")) == shown
    assert str(Repeat(SECOND, "busy")) == "busy"


@pytest.mark.parametrize("verdict", ALL, ids=repr)
def test_fields_do_not_change(verdict: Any) -> None:
    reason = verdict.reason
    with pytest.raises(FrozenInstanceError, match=f"reason of {type(verdict).__name__} cannot change"):
        verdict.reason = "another"
    with pytest.raises(FrozenInstanceError):
        del verdict.reason
    assert verdict.reason == reason


def test_what_python_sets_on_an_exception_can_be_set() -> None:
    @contextmanager
    def scope() -> Any:
        yield

    with pytest.raises(Trash, match="no stock") as caught, scope():
        raise Trash("no stock") from KeyError("stock")
    caught.value.add_note("in the second warehouse")
    caught.value.__notes__ = [*caught.value.__notes__, "and the third"]
    caught.value.__suppress_context__ = False
    assert caught.value == Trash("no stock")


class Held:
    """Something that an action has in a variable."""


class Holding(CustomNode[Any, Any]):
    name = "holding"

    def __init__(self, verdict: Verdict, *, returns: bool) -> None:
        self.verdict = verdict
        self.returns = returns
        self.held: weakref.ref[Held] | None = None

    async def process(self, message: Message[Any]) -> Any:
        held = Held()
        self.held = weakref.ref(held)
        try:
            try:
                int("the reason")
            except ValueError as error:
                raise self.verdict from error
        except Verdict as verdict:
            if self.returns:
                return verdict
            raise


@pytest.mark.parametrize("returns", [False, True])
@pytest.mark.parametrize("verdict", [Trash("no stock"), Locked(7)], ids=repr)
async def test_the_worker_keeps_nothing_of_the_action_alive(verdict: Verdict, *, returns: bool) -> None:
    action = Holding(verdict, returns=returns)
    gc.collect()
    gc.disable()
    try:
        outcome: Any = await outcome_of(action)
        assert action.held is not None
        assert action.held() is None
    finally:
        gc.enable()
    for one in (outcome, verdict):
        assert (one.__traceback__, one.__cause__, one.__context__) == (None, None, None)


def test_a_verdict_becomes_another_value_than_the_one_that_was_raised() -> None:
    raised = Trash("no stock")
    raised.add_note("of this call")
    assert as_value(raised) is not raised
    assert not hasattr(as_value(raised), "__notes__")
