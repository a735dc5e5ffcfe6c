"""What depends on the mode is made by the mode, and the setting is looked at once."""

from pathlib import Path

import pytest

import worker
from worker.broker.objects import COUNTER_QUEUE, LIMITER_QUEUE, REPEATER_QUEUE
from worker.modes.opening import open_mode
from worker.settings.settings import load_settings

ROOT = Path(worker.__file__).parent


def test_one_module_looks_at_the_setting() -> None:
    """The settings themselves know it too, for the addresses of stores."""
    asking = {str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py") if "ModeName" in path.read_text()}
    assert asking == {"modes/opening.py", "settings/settings.py"}


@pytest.mark.parametrize(("mode", "shows_runs"), [("standalone", True), ("platform", False)])
def test_each_mode_says_who_shows_runs(mode: str, *, shows_runs: bool) -> None:
    assert open_mode(load_settings(mode=mode)).shows_runs is shows_runs


def test_the_platform_needs_its_queues_and_no_delay_tiers() -> None:
    queues = open_mode(load_settings(mode="platform")).surroundings.queues
    assert set(queues) == {COUNTER_QUEUE, LIMITER_QUEUE, REPEATER_QUEUE}


@pytest.mark.parametrize("is_counted", [True, False])
def test_reports_are_sent_where_no_database_counts(*, is_counted: bool) -> None:
    mode = open_mode(load_settings(mode="standalone", process_state=is_counted))
    assert (mode.counter() is None) is is_counted
