"""What pytest gets with the worker: `--record` and the fixture `cassette`.

It is installed as a module of its own, `orchesty_worker_pytest`, that imports the worker only when it is used: pytest
loads its plugins at every start, and is not to fail where another package is named `worker`.
"""

import os
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from worker.testing.cassette import Cassette


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--record`."""
    group = parser.getgroup("orchesty-worker")
    group.addoption("--record", action="store_true", help="Record cassettes again, by asking the services themselves.")


def pytest_configure(config: pytest.Config) -> None:
    """Let all cassettes of the session record when that is asked for."""
    if config.getoption("--record"):
        os.environ["WORKER_TESTING_RECORD"] = "1"


@pytest.fixture
def cassette(request: pytest.FixtureRequest) -> "Cassette":
    """The cassette of this test: `cassettes/{module}/{test}.json` beside the test's file."""
    from worker.testing.cassette import Cassette  # noqa: PLC0415 - see above

    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", request.node.name).strip("-")
    return Cassette(request.path.parent / "cassettes" / request.path.stem / f"{name}.json")
