"""The demonstration: ends by itself with the right result, ends on Ctrl-C, and leaves nothing running."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pycountry
import pytest

from deploy.ports import server_version

ROOT = Path(__file__).parent.parent.parent
MADE = Path("var") / "demo"
"""What it writes, below the folder that it is started in."""
SECONDS = 150
INTERRUPTED = 130


@contextmanager
def demonstration(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The demonstration, in a session of its own, by which its processes are known."""
    # Where the tests run in the background of a shell, SIGINT is ignored, which is inherited.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "examples.demo"]
    with subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def session_of(pid: int) -> int | None:
    with suppress(ProcessLookupError):
        return os.getsid(pid)
    return None


def processes_of(session: int) -> list[int]:
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [pid for pid in pids if session_of(pid) == session]


def assert_nothing_runs(session: int, output: str) -> None:
    port = re.search(r"RabbitMQ .* on port (\d+)", output)
    assert port is not None, output
    assert server_version("127.0.0.1", int(port[1])) is None
    assert processes_of(session) == []


def divided_countries() -> set[str]:
    """The countries that pycountry has subdivisions of."""
    return {subdivision.country_code for subdivision in pycountry.subdivisions}


@dataclass(frozen=True)
class Told:
    """A whole demonstration."""

    session: int
    status: int | None
    output: str
    made: Path
    """What it wrote."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """A demonstration that has ended."""
    folder = tmp_path_factory.mktemp("demonstration")
    with demonstration(folder) as process:
        output, _ = process.communicate(timeout=SECONDS)
        return Told(process.pid, process.returncode, output, folder / MADE)


def test_it_ends_with_status_0_and_leaves_nothing_running(told: Told) -> None:
    assert told.status == 0, told.output
    assert_nothing_runs(told.session, told.output)


def test_it_writes_each_divided_country_once(told: Told) -> None:
    rows = [json.loads(line) for line in (told.made / "countries.jsonl").read_bytes().splitlines()]

    assert sorted(row["code"] for row in rows) == sorted(divided_countries())
    assert sum(row["parts"] for row in rows) == len(pycountry.subdivisions)


def test_it_shows_repeats_limits_and_a_message_that_comes_back_from_the_trash(told: Told) -> None:
    output = told.output

    assert re.search(r"repeated +[1-9]\d* times", output)
    assert re.search(r"limited +[1-9]\d* times", output)
    assert re.search(r"fetch-country +ada +ValidationError", output)
    assert re.search(r"\$ orchesty-worker trash approve (\w+)\n\1[\w-]+ approved", output)
    assert re.search(r"went through to the file: .*Namibia", output)


def test_its_tally_was_called_with_a_token_that_nobody_can_read(told: Told) -> None:
    tally = json.loads((told.made / "tally.json").read_text())
    (install,) = installed(told.made / "installs.sqlite")

    assert sum(noted["countries"] for noted in tally.values()) == len(divided_countries())
    assert install[:2] == ("ada", "tally")
    assert re.search(r'"token": "v1\.demo\.[\w-]+"', install[2])


def installed(database: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT user, application, settings FROM installs").fetchall()


def test_its_output_is_plain_where_there_is_no_terminal(told: Told) -> None:
    assert "\x1b" not in told.output


def test_ctrl_c_ends_it_and_leaves_nothing_running(tmp_path: Path) -> None:
    with demonstration(tmp_path) as process:
        assert process.stdout is not None
        output = ""
        while "countries;" not in output:  # the first line of progress
            output += process.stdout.readline()
            assert process.poll() is None, output
        process.send_signal(signal.SIGINT)
        output += process.communicate(timeout=SECONDS)[0]

        assert process.returncode == INTERRUPTED, output
        assert "Traceback" not in output
        assert_nothing_runs(process.pid, output)
