"""What a command and an import load: no more than they need."""

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from support.command import command

from worker.cli import cli
from worker.cli.lazy import Lazy

HEAVY = ("aio_pika", "aiohttp", "applications", "connectors", "httpx", "pydantic", "rich", "sqlalchemy")


def loaded_by(code: str) -> set[str]:
    """Run code in a Python of its own; return the modules that it has loaded."""
    program = f"import sys\ntry:\n    {code}\nfinally:\n    print(*sys.modules, file=sys.stderr)\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


def groups(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Group]]:
    yield path, group
    for name, found in group.commands.items():
        if isinstance(found, click.Group):
            yield from groups(found, (*path, name))


GROUPS = dict(groups(cli))
LAZY = {
    (*path, name): found
    for path, group in GROUPS.items()
    for name, found in group.commands.items()
    if isinstance(found, Lazy)
}


@pytest.mark.parametrize("path", GROUPS, ids=" ".join)
def test_the_help_of_a_group_loads_no_command(path: tuple[str, ...]) -> None:
    words = ["orchesty-worker", *path, "--help"]
    loaded = loaded_by(f"import orchesty_worker; sys.argv = {words}; orchesty_worker.main()")
    assert loaded.isdisjoint(HEAVY)
    assert {module for module in loaded if module.startswith("worker.")} == {
        "worker.cli",
        "worker.cli.lazy",
        "worker.cli.tree",
        "worker.errors",
        "worker.visible",
    }


def test_every_command_stands_in_the_tree() -> None:
    assert len(LAZY) > 40


@pytest.mark.parametrize("path", LAZY, ids=" ".join)
def test_the_list_says_of_a_command_what_it_says_itself(path: tuple[str, ...]) -> None:
    shown, command = LAZY[path], LAZY[path].load()
    assert command.name == path[-1]
    assert command.get_short_help_str(10_000) == shown.get_short_help_str(10_000) == shown.help
    assert (command.hidden, command.deprecated) == (False, False)


def test_a_command_with_actions_loads_our_packages_before_it_sees_the_folder() -> None:
    """A folder named as one of them would stand in its place otherwise."""
    commands = {path: found.load() for path, found in LAZY.items()}
    modules = {
        f"worker.cli.{LAZY[path].place.partition(':')[0]}"
        for path, command in commands.items()
        if path in {("check",), ("start",)} or any(option.name == "actions" for option in command.params)
    }
    assert len(modules) > 5
    done = subprocess.run(
        [sys.executable, "-c", EACH_ALONE, *modules], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr


EACH_ALONE = """
import importlib, sys
for module in sys.argv[1:]:
    importlib.import_module(module)
    if not {"applications", "connectors"} <= set(sys.modules):
        print(module)
    for name in [name for name in sys.modules if name.partition(".")[0] in {"applications", "connectors", "worker"}]:
        del sys.modules[name]
"""
"""Prints the modules that do not import both packages; what others have loaded is forgotten before each."""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("words", "expected"), [("trash ap", "approve"), ("trash approve --dr", "--dry-run"), ("run --mo", "--mode")]
)
def test_the_shell_completes_what_is_below_a_command(shell: str, words: str, expected: str) -> None:
    last = words.rsplit(maxsplit=1)[-1] if shell == "fish" else str(len(words.split()))
    given = {"COMP_WORDS": f"orchesty-worker {words}", "COMP_CWORD": last}
    assert expected in command(_ORCHESTY_WORKER_COMPLETE=f"{shell}_complete", **given).stdout


@pytest.mark.parametrize("module", ["worker", "worker.errors", "worker.settings.settings", "worker.settings.page"])
def test_settings_load_nothing_of_their_users(module: str) -> None:
    loaded = loaded_by(f"import {module}")
    assert loaded.isdisjoint(set(HEAVY) - {"pydantic"})
    rooms = {".".join(name.split(".")[:2]) for name in loaded if name.partition(".")[0] == "worker"}
    assert rooms <= {"worker", "worker.errors", "worker.settings", "worker.urls"}


def test_the_worker_is_imported_when_it_is_asked_for() -> None:
    assert "worker.app.process" in loaded_by("from worker import Worker")
