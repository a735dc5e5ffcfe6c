"""`orchesty-worker new`."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.command import command

from worker.cli import cli

ALL = (
    ("application", "shop"),
    ("connector", "shop-get-order", "--application", "shop"),
    ("connector", "get-anything"),
    ("batch", "shop-list-orders", "--application", "shop"),
    ("batch", "list-anything"),
    ("node", "greet"),
)


def new(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return command("new", *arguments, "--folder", str(folder))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a skeleton of each kind."""
    made = tmp_path_factory.mktemp("skeletons") / "own"
    for arguments in ALL:
        done = CliRunner().invoke(cli, ["new", *arguments, "--folder", str(made)])
        assert done.exit_code == 0, done.output
        assert f"pytest test_{arguments[1].replace('-', '_')}.py" in done.output
    return made


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return (done.stdout + done.stderr).lower()


def test_the_tests_of_all_skeletons_pass_at_once_and_nothing_warns(folder: Path) -> None:
    said = run(folder, "pytest", "-q")
    assert "passed" in said
    assert "warning" not in said


def test_skeletons_are_typed(folder: Path) -> None:
    run(folder, "mypy", "--strict", ".")


def test_the_actions_of_skeletons_are_found(folder: Path) -> None:
    listed = command("actions", "list", "--actions", "shop_get_order", PYTHONPATH=str(folder))
    assert "shop-get-order" in listed.stdout


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_greet.py").write_text("mine")
    done = new(tmp_path, "node", "greet")
    assert done.returncode == 2
    assert f"{tmp_path}/test_greet.py is there already, nothing is written" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pytest.ini", "test_greet.py"]
    assert new(tmp_path, "node", "greet-again").returncode == 0
    assert (tmp_path / "test_greet.py").read_text() == "mine"
    assert (tmp_path / "pytest.ini").read_text() == "[pytest]\n"


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        (("node", "Greet"), "use small letters, digits and dashes, as in get-order"),
        (("node", "json"), "Choose another name, as in my-json"),
        (("application", "worker"), "Choose another name, as in my-worker"),
        (("node", "class"), "Choose another name, as in my-class"),
        (("connector", "get-order", "--application", "shop"), "Write it first: orchesty-worker new application shop"),
        (("batch", "list", "--application", "../shop"), "is not a name"),
    ],
)
def test_what_cannot_be_written_names_the_cure(tmp_path: Path, arguments: tuple[str, ...], cure: str) -> None:
    done = new(tmp_path / "own", *arguments)
    assert (done.returncode, cure in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "own").exists()
