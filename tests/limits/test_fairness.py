"""Lines at a limit of all users: one step each in turn, whatever their length."""

from worker.limits.fairness import LAG, SAMPLE, Share
from worker.limits.limit import KeyedLimit

RATE = 10


def share(**waiting: int) -> Share:
    made = Share()
    for line, count in waiting.items():
        made.join(line, count, until=1)
    return made


def test_each_line_goes_one_step_in_turn() -> None:
    lines = share(a=5, b=5, c=5)
    assert [lines.calls_before("a", before, RATE) for before in range(3)] == [0, 3, 6]
    lines.step("a", 4)
    assert [lines.calls_before(line, 0, RATE) for line in ("a", "b", "c")] == [2, 0, 0]


def test_short_lines_are_done_sooner() -> None:
    lines = share(long=100, short=3)
    assert lines.calls_before("long", 50, RATE) == 53
    assert lines.calls_before("short", 2, RATE) == 4


def test_a_line_that_comes_later_starts_where_the_others_are() -> None:
    lines = share(a=50, b=50)
    for waiting in range(49, 29, -1):
        for line in ("a", "b"):
            lines.step(line, waiting)
    lines.join("new", 10, until=1)
    assert lines.calls_before("new", 0, RATE) == 0
    assert lines.calls_before("new", 1, RATE) == 1, "the others have gone a step more"
    assert lines.calls_before("new", 5, RATE) == 5 + 2 * 4


def test_a_line_that_is_kept_back_by_something_else_is_not_waited_for() -> None:
    lines = share(slow=100, fast=100)
    for waiting in range(99, 99 - LAG - 2, -1):
        lines.step("fast", waiting)
    assert lines.calls_before("fast", 50, RATE) == 50
    assert lines.calls_before("slow", 0, RATE) == 0, "it goes first when it can"
    lines.step("slow", 99)
    lines.step("slow", 98)
    assert lines.calls_before("fast", 0, RATE) > 0, "it has come back with a credit of some steps"


def test_a_limit_of_a_lines_own_bounds_what_it_calls() -> None:
    lines = share(fast=1000)
    lines.join("slow", 1000, until=1, own=[KeyedLimit("slow|shop", seconds=10, amount=10)])
    assert 100 + 20 <= lines.calls_before("fast", 100, RATE) <= 100 + 25, "10 at once and one each second"
    assert lines.calls_before("slow", 5, RATE) == 10


def test_a_line_leaves_when_it_is_empty_or_not_heard_of() -> None:
    lines = share(a=1, b=9)
    lines.step("a", 0)
    assert lines.calls_before("b", 5, RATE) == 5
    lines.tidy(now=2)
    assert not lines.flows


def test_of_many_lines_some_are_looked_at() -> None:
    lines = share(**{f"line {number}": 10 for number in range(10 * SAMPLE)})
    assert lines.calls_before("line 0", 3, RATE) == 3 + 3 * (10 * SAMPLE - 1)
