"""The arithmetic of sliding windows, on many random limits and times."""

from bisect import insort

from hypothesis import given, settings
from hypothesis import strategies as st

from worker.limits.redis import DRIFT, RemoteClock
from worker.limits.windows import earliest, spaced, wait_behind

amounts = st.integers(1, 8)
widths = st.floats(0.1, 50)
moments = st.lists(st.floats(0, 100), max_size=60)


def holds(times: list[float], amount: int, width: float) -> bool:
    """Whether no window of this width has more calls."""
    return all(times[i + amount] - times[i] >= width - 1e-4 for i in range(len(times) - amount))


@given(st.lists(st.tuples(amounts, widths), min_size=1, max_size=3), moments)
def test_no_window_ever_has_more_calls_whatever_order_they_ask_in(
    limits: list[tuple[int, float]], asks: list[float]
) -> None:
    times: list[float] = []
    for at in asks:
        turn = at
        while (moved := max(earliest(times, amount, width, turn) for amount, width in limits)) > turn:
            turn = moved
        assert turn >= at
        insort(times, turn)
    for amount, width in limits:
        assert holds(times, amount, width)


@given(amounts, widths, moments, st.floats(0, 100))
def test_the_turn_is_the_earliest_that_there_is(amount: int, width: float, asks: list[float], at: float) -> None:
    times: list[float] = []
    for ask in asks:
        insort(times, earliest(times, amount, width, ask))
    turn = earliest(times, amount, width, at)
    for sooner in (at + (turn - at) * share / 10 for share in range(10)):
        if turn - sooner > 1e-3:
            assert not holds(sorted([*times, sooner]), amount, width - 1e-4)


@given(amounts, widths, st.integers(2, 40))
def test_a_full_backlog_uses_the_whole_rate_and_is_spread(amount: int, width: float, calls: int) -> None:
    times: list[float] = []
    for _ in range(calls):
        turn = earliest(times, amount, width, 0)
        turn = earliest(times, amount, width, spaced(times, amount, width, turn))
        insort(times, turn)
    assert holds(times, amount, width)
    assert times[-1] <= width * ((calls - 1) // amount + 1)


@given(amounts, widths, st.integers(0, 40))
def test_what_is_foreseen_comes_true(amount: int, width: float, before: int) -> None:
    times: list[float] = []
    foreseen = wait_behind(times, amount, width, width, 0, before)
    for _ in range(before + 1):
        insort(times, earliest(times, amount, width, 0))
    assert abs(times[-1] - foreseen) < 1e-3


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 0.2), st.floats(0, 0.2)), min_size=1, max_size=30), st.floats(-1e5, 1e5))
def test_a_turn_is_never_early_and_late_by_the_fastest_exchange_at_most(
    ways: list[tuple[float, float]], offset: float
) -> None:
    clock, now = RemoteClock(), 0.0
    for there, back in ways:
        clock.exchanged(now, now + there + offset, now + there + back)
        now += 1
    fastest = min(there + back for there, back in ways)
    assert -1e-9 <= clock.ours(now + offset, now) - now <= fastest + DRIFT * len(ways) + 0.002
    assert -1e-9 <= clock.theirs(now, now) - (now + offset) <= fastest + DRIFT * len(ways) + 0.002


def test_a_slow_exchange_does_not_set_the_clock_again_after_a_pause() -> None:
    clock = RemoteClock()
    clock.exchanged(0, 0.001, 0.002)
    clock.exchanged(61, 61, 61.4)
    assert clock.ours(70, 70) - 70 < 0.05
