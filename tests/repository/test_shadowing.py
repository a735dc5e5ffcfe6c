"""Packages of somebody else that are named as ours, as they show up in real processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import worker
from worker.launcher import PACKAGES

ROOT = Path(worker.__file__).parent.parent
COMMAND = Path(sys.executable).with_name("orchesty-worker")


def run(folder: Path, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("WORKER_", "PYTHON"))}
    return subprocess.run(
        command, cwd=folder, env={**clean, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(params=PACKAGES)
def name(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Make a package of this name, with a module in it."""
    package = tmp_path / request.param
    package.mkdir()
    (package / "__init__.py").write_text("VERSION = 1\n")
    (package / "shop.py").write_text("")
    return str(request.param)


def test_our_packages_are_known_by_a_file() -> None:
    assert all((ROOT / name / file).exists() for name, file in PACKAGES.items())


def test_the_command_names_the_folder_that_stands_in_its_place(name: str, tmp_path: Path) -> None:
    done = run(tmp_path, COMMAND, "--version", PYTHONPATH=".")
    assert done.returncode == 2
    assert f"the package {name!r} at {tmp_path / name}/__init__.py stands in the place" in done.stderr
    assert "Rename it, or put it into another package" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_does_not_mind_a_folder_it_stands_in(name: str, tmp_path: Path) -> None:
    done = run(tmp_path, COMMAND, "--version")
    assert (done.returncode, done.stdout.startswith("orchesty-worker, version")) == (0, True)


def test_the_actions_of_a_package_named_as_ours_are_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    done = run(tmp_path, COMMAND, "actions", "list", "--actions", f"{name}.shop")
    assert done.returncode == 2
    assert f"{name} is a package of the worker's own: rename yours" in done.stderr


@pytest.mark.parametrize("other", ["connectors", "applications"])
@pytest.mark.parametrize("code", ["from worker import Worker", "import worker; worker.Registry"])
def test_importing_the_worker_into_a_service_says_so_too(other: str, code: str, tmp_path: Path) -> None:
    (tmp_path / f"{other}.py").write_text("")
    done = run(tmp_path, sys.executable, "-c", code)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        f"ImportError: the package {other!r} at {tmp_path}/{other}.py stands in the place"
    )


def test_another_error_of_an_import_stays_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "structlog.py").write_text("")
    done = run(tmp_path, COMMAND, "run", "--help", PYTHONPATH=".")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "stands in the place" not in done.stderr
