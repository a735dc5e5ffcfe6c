"""Odd values of each setting: an error that names the variable, or a worker that can use them; never a traceback."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from worker.cli import cli
from worker.errors import SettingsError, StartupError
from worker.settings.environment import environment_of
from worker.settings.settings import MOST_SECONDS, Settings, load_settings

NUMBERS = ["nan", "-inf", "inf", "1e400", "-1", "1e-320", "9" * 30, "1" * 5_000, "0x10", "1_0", "٣"]
TEXTS = [
    "",
    " ",
    "\t",
    "\n",
    "a\nb",
    "x\x1b[2J",
    "\udcff",
    "é",
    "x" * 5_000,
    ",,,",
    "[]",
    "null",
    "..",
    "/",
    ":",
    "a:b",
]
URLS = [
    "://", "http://[", "sqlite://", "sqlite:////", "sqlite:////proc/x", "sqlite:///a?mode=nope", "postgresql://h:x/",
    "postgresql://127.0.0.1:1/x?connect_timeout=nan", "mongodb://a:1,b:2/c", "mongodb://h/?nope=1", "redis://h:x",
    "unix://", "amqp://", "amqp://127.0.0.1:1/?heartbeat=nan", "amqps://127.0.0.1:1/?cafile=/nope", "a:AAAA",
]  # fmt: skip
ODD = [*NUMBERS, *TEXTS, *URLS]
FIELDS = Settings.model_fields
TOPOLOGY = '{"id": "t1", "name": "t", "nodes": [{"id": "n1", "name": "start", "worker": "worker.null"}]}'


def variable(field: str) -> str:
    alias = FIELDS[field].validation_alias
    return str(getattr(alias, "choices", [f"WORKER_{field.upper()}"])[0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made, before = tmp_path_factory.mktemp("odd"), Path.cwd()
    (made / "topology.json").write_text(TOPOLOGY)
    os.chdir(made)
    yield made
    os.chdir(before)


@pytest.mark.parametrize("field", FIELDS)
def test_a_value_is_taken_or_refused_with_the_name_of_its_variable(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = []
    for odd in ODD:
        monkeypatch.setenv(variable(field), odd)
        try:
            made = load_settings()
        except SettingsError as error:
            refusals.append(str(error))
            continue
        value = getattr(made, field)
        assert not isinstance(value, float) or (math.isfinite(value) and 0 <= value <= MOST_SECONDS)
        assert not isinstance(value, int) or 0 <= value < 2**31
        environment_of(made)
    assert all(variable(field) in refusal for refusal in refusals)


@pytest.mark.parametrize("name", ["WORKER_GRACE", "WORKER_TRASH_KEEP_DAYS", "WORKER_SILENCE_SECONDS"])
@pytest.mark.parametrize("value", ["1e400", "nan", "inf", "1e300"])
def test_a_time_without_end_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        load_settings()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(field=st.sampled_from(sorted(FIELDS)), odd=st.sampled_from(ODD))
def test_check_tells_what_is_wrong_with_any_value(folder: Path, field: str, odd: str) -> None:
    environment = {"TOPOLOGY_JSON": "topology.json", "WORKER_AMQP_URL": "amqp://127.0.0.1:1/", variable(field): odd}
    done = CliRunner(env=environment).invoke(cli, ["check", "--json"])
    assert isinstance(done.exception, SystemExit | StartupError), done.exception
    assert done.exit_code in {1, 2}
