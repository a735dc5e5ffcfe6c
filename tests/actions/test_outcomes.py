"""What an action raises in a group, and what ends only the task that raises it."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import timedelta
from inspect import CORO_CLOSED, getcoroutinestate
from typing import Any, NoReturn

import pytest
from pydantic import TypeAdapter, ValidationError
from support.visits import node, visit

from applications.errors import ApplicationError
from connectors import CustomNode, Exponential, Forward, Message, Outcome, Repeat, Stop, Trash
from worker.actions.errors import describe
from worker.actions.local import contained, local_call, timed
from worker.errors import ActionUnreachable

AnyMessage = Message[Any]
RAISED = (
    ValueError("x"),
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    asyncio.CancelledError(),
    StopIteration(),
)
REPEAT = Repeat(timedelta(seconds=5), "busy")


class Group(CustomNode[Any, Any]):
    """Raises these errors in tasks of a group, all at once."""

    name = "group"

    def __init__(self, errors: Sequence[BaseException]) -> None:
        self.errors = errors

    async def process(self, message: AnyMessage) -> AnyMessage:
        """Never returns."""
        async with asyncio.TaskGroup() as group:
            for error in self.errors:
                group.create_task(self.fail(error))
        return message

    async def fail(self, error: BaseException) -> NoReturn:
        await asyncio.sleep(0)  # all begin before the first fails
        raise error


async def outcome(action: CustomNode[Any, Any]) -> Outcome:
    with contained():
        return await asyncio.create_task(local_call(action)(visit(node())))


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([REPEAT], REPEAT),
        ([REPEAT, Stop("later")], REPEAT),
        ([ExceptionGroup("inner", [Stop("done")])], Stop("done")),
        ([ApplicationError("log in")], Trash("log in")),
    ],
)
async def test_the_first_verdict_of_a_group_counts(errors: Sequence[Exception], expected: Outcome) -> None:
    assert await outcome(Group(errors)) == expected


async def test_an_error_beside_a_verdict_is_not_hidden_by_it() -> None:
    found = await outcome(Group([Stop("done"), KeyError("colour")]))
    assert isinstance(found, Trash)
    assert "Stop: done" in found.reason
    assert "KeyError: 'colour'" in found.reason


class Exits(CustomNode[Any, Any]):
    """Asks the process to end, from a task."""

    name = "exits"

    async def process(self, message: AnyMessage) -> AnyMessage:
        """Wait for a task that does not come back."""
        await asyncio.create_task(self.end())
        return message

    async def end(self) -> NoReturn:
        raise SystemExit(3)


def test_an_error_that_only_a_library_has_lines_of_names_none_of_them() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(int).validate_json('"x"')
    told = describe(caught.value.with_traceback(caught.tb.tb_next))
    assert told.startswith("ValidationError: int: at $: Input should be a valid integer")
    assert "(at " not in told


async def test_an_exit_in_a_task_of_an_action_ends_that_task() -> None:
    found = await outcome(Exits())
    assert isinstance(found, Trash)
    assert found.reason.startswith("ActionExited: SystemExit: 3 (at actions/test_outcomes.py:")


async def test_tasks_of_others_are_made_as_before() -> None:
    loop = asyncio.get_running_loop()
    made: list[str] = []

    def factory(own: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
        made.append(work.__qualname__)
        return asyncio.Task(work, loop=own, **options)

    loop.set_task_factory(factory)
    with contained():
        await asyncio.create_task(asyncio.sleep(0))
    assert loop.get_task_factory() is factory
    loop.set_task_factory(None)
    assert made == ["sleep"]


async def test_what_a_task_should_do_is_closed_when_it_is_cancelled_before_it_begins() -> None:
    """Python warns of a coroutine that nobody has awaited or closed."""
    work = asyncio.Event().wait()

    class Hasty(CustomNode[Any, Any]):
        name = "hasty"

        async def process(self, message: AnyMessage) -> AnyMessage:
            task = asyncio.create_task(work)
            task.cancel()
            await asyncio.wait([task])
            return message

    assert isinstance(await outcome(Hasty()), Forward)
    assert getcoroutinestate(work) == CORO_CLOSED


async def test_a_cancel_in_a_group_is_a_cancel() -> None:
    class Grouping(CustomNode[Any, Any]):
        name = "grouping"

        async def process(self, message: AnyMessage) -> AnyMessage:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError as error:
                raise BaseExceptionGroup("cancelled", [error]) from None
            return message

    calling = asyncio.create_task(local_call(Grouping())(visit(node())))
    await asyncio.sleep(0)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling


class Odd(Exponential):
    """A delay of an action's own, which may do anything."""

    def __init__(self, does: Callable[[int], Any]) -> None:
        super().__init__()
        object.__setattr__(self, "does", does)

    def after(self, hop: int, uniform: Callable[[float, float], float]) -> timedelta:
        """Do it."""
        found: timedelta = self.does(hop)  # type: ignore[attr-defined]
        return found


class Later(CustomNode[Any, Any]):
    """Repeats after an odd delay."""

    name = "later"

    def __init__(self, does: Callable[[int], Any], *, raises: bool) -> None:
        self.repeat, self.raises = Repeat(Odd(does), "busy"), raises

    async def process(self, message: AnyMessage) -> AnyMessage | Outcome:
        """Return or raise the repeat."""
        if self.raises:
            raise self.repeat
        return self.repeat


def raising(error: BaseException) -> Callable[[int], Any]:
    def does(hop: int) -> NoReturn:
        raise error

    return does


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize(
    ("does", "told"),
    [(raising(error), f"{type(error).__name__}: ") for error in RAISED]
    + [(lambda hop: hop * 5, "after must be a timedelta, not int")],
)
async def test_a_delay_of_your_own_that_fails_is_told_as_what_the_action_raised(
    does: Callable[[int], Any], told: str, raises: bool
) -> None:
    found = await outcome(Later(does, raises=raises))
    assert isinstance(found, Trash)
    assert told in found.reason


async def test_a_delay_of_your_own_is_told_the_hop() -> None:
    for raises in (False, True):
        found = await outcome(Later(lambda hop: timedelta(seconds=hop * 5), raises=raises))
        assert found == Repeat(timedelta(seconds=5), "busy")


async def test_the_time_is_up_for_an_action_after_a_group_of_tasks_that_has_failed() -> None:
    """Python before 3.13 leaves a failed group's cancel in the count of its task."""

    class Hanging(CustomNode[Any, Any]):
        name = "hanging"

        async def process(self, message: AnyMessage) -> AnyMessage:
            with suppress(ExceptionGroup):
                await Group([ValueError()]).process(message)
            await asyncio.Event().wait()
            return message

    with pytest.raises(ActionUnreachable, match=r"took longer than settings\.timeout=0\.05 s"):
        await asyncio.create_task(timed(local_call(Hanging()))(visit(node(timeout_seconds=0.05))))
