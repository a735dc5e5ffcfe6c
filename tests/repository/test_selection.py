"""Which tests need a server or a process, as `make test-fast` sees it."""

import subprocess
import sys
from collections.abc import Callable

import pytest
from support import selection
from support.command import command


def starts_one_itself() -> None:
    subprocess.run([sys.executable, "-c", ""], check=True)


def starts_one_by_a_helper() -> None:
    command("--help")


def starts_none() -> None:
    sys.getrecursionlimit()


@pytest.mark.parametrize(
    ("function", "is_external"), [(starts_one_itself, True), (starts_one_by_a_helper, True), (starts_none, False)]
)
def test_a_process_is_seen_through_what_a_test_calls(function: Callable[[], None], *, is_external: bool) -> None:
    assert selection.reaches_process(function) is is_external


def test_broker_database_and_worker_fixtures_need_a_process(request: pytest.FixtureRequest) -> None:
    names = ("broker", "own_broker", "queues", "run_worker", "start_worker", "databases", "redis_url", "own_redis")
    assert all(selection.reaches_process_by_fixture(request.node, name) for name in names)
    assert not selection.reaches_process_by_fixture(request.node, "log_lines")
