"""Actions that do not answer: rounds, giving up, expiry."""

from worker.pipeline.back_off import EXPIRY_SECONDS, MOST_GIVEN_UP, Failures


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def fail(failures: Failures, clock: Clock, run: str = "run") -> float | None:
    started = clock.now
    clock.now += 1
    return failures.failed("host node", run, started)


def test_the_run_is_given_up_after_the_last_round() -> None:
    clock = Clock()
    failures = Failures(3, clock)
    assert [fail(failures, clock) is None for _ in range(3)] == [False, False, True]
    assert failures.has_given_up("host node", "run")


def test_without_a_limit_no_run_is_given_up() -> None:
    clock = Clock()
    failures = Failures(0, clock)
    assert None not in [fail(failures, clock) for _ in range(100)]
    assert not failures.has_given_up("host node", "run")


def test_other_runs_still_probe() -> None:
    clock = Clock()
    failures = Failures(1, clock)
    assert fail(failures, clock) is None
    assert not failures.has_given_up("host node", "other")
    assert not failures.has_given_up("another node", "run")


def test_a_success_clears_the_streak() -> None:
    clock = Clock()
    failures = Failures(2, clock)
    fail(failures, clock)
    failures.succeeded("host node")
    assert fail(failures, clock) is not None
    assert not failures.has_given_up("host node", "run")


def test_calls_that_fail_together_are_one_round() -> None:
    clock = Clock()
    failures = Failures(3, clock)
    clock.now += 1
    assert all(failures.failed("host node", f"run {number}", 1000.0) is not None for number in range(50))


def test_a_run_is_forgotten_after_ten_minutes() -> None:
    clock = Clock()
    failures = Failures(1, clock)
    fail(failures, clock)
    clock.now += EXPIRY_SECONDS + 1
    assert not failures.has_given_up("host node", "run")


def test_however_many_runs_are_given_up_the_latest_are_remembered_and_no_more() -> None:
    clock = Clock()
    failures = Failures(1, clock)
    for number in range(2 * MOST_GIVEN_UP):
        fail(failures, clock, f"run {number}")
        clock.now -= 1
    remembered = sum(failures.has_given_up("host node", f"run {number}") for number in range(2 * MOST_GIVEN_UP))
    assert remembered == MOST_GIVEN_UP
    assert failures.has_given_up("host node", f"run {2 * MOST_GIVEN_UP - 1}")


def test_the_pause_grows_up_to_half_a_minute() -> None:
    clock = Clock()
    failures = Failures(100, clock)
    pauses = [fail(failures, clock) or 0 for _ in range(12)]
    assert 0.5 <= pauses[0] <= 1
    assert 15 <= pauses[-1] <= 30
