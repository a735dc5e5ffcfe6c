"""The entry of the command `orchesty-worker`, installed as the module `orchesty_worker` beside the packages.

`worker`, `connectors` and `applications` are names that others like as well. When a folder or a package of that name
comes first on the module path, importing ours fails with whatever the other one lacks. This module has a name of its
own, imports nothing of ours to begin with, and says what has happened. A wheel holds it under that name alone, so ours
import it by that name too.
"""

import os
import signal
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import NoReturn

PACKAGES = {"worker": "patience.py", "connectors": "outcome.py", "applications": "application.py"}
"""Our packages, and a file by which to know them."""

DISTRIBUTION = "orchesty-worker"


def main() -> None:
    """Run the command line; when another package stands in our place, end with status 2 and say which."""
    signal.signal(signal.SIGTERM, _end_at_once)
    _open_standard_streams()
    if (explanation := _stands_in_place()) is not None:
        _refuse(explanation)
    try:
        from worker.cli import main as run  # noqa: PLC0415 - not before it is known that they are ours

        run()
    except (ImportError, AttributeError) as error:
        explanation = explain_shadowing()
        if explanation is None:
            raise
        cause = error.__cause__ if explanation in str(error) else error
        _refuse(f"{explanation} ({type(cause).__name__}: {cause})")


def explain_shadowing() -> str | None:
    """Say which package stands in the place of ours, and how to part them; None when none does."""
    return _stands_in_place() or _installed_over()


def _end_at_once(number: int, _: FrameType | None) -> NoReturn:
    """End by the signal, as a program does that handles none; as PID 1, which no such signal ends, by its status.

    `run` puts its own handlers in this place once all is imported. No message is in work before.
    """
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)


def _open_standard_streams() -> None:
    """Open `/dev/null` in place of standard streams that are closed: else the next files get their numbers."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004 - standard error
        os.set_inheritable(opened, True)
    os.close(opened)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def _refuse(explanation: str) -> NoReturn:
    sys.stderr.write(f"orchesty-worker: {explanation}\n")
    sys.exit(2)


def _stands_in_place() -> str | None:
    for name, own_file in PACKAGES.items():
        spec = _find(name)
        if spec is not None and not _is_ours(spec, own_file):
            return (
                f"the package {name!r} at {_place(spec)} stands in the place of the worker's own package {name!r}. "
                f"{_cure(name)}"
            )
    return None


def _installed_over() -> str | None:
    from importlib.metadata import packages_distributions  # noqa: PLC0415 - slow, and seldom needed

    for name in PACKAGES:
        others = [other for other in packages_distributions().get(name, ()) if other != DISTRIBUTION]
        if others:
            return (
                f"{', '.join(sorted(set(others)))} has installed a package {name!r} over the worker's own. "
                f"Install {DISTRIBUTION} into an environment of its own."
            )
    return None


def _find(name: str) -> ModuleSpec | None:
    try:
        return find_spec(name)
    except (ImportError, ValueError):  # half imported, or made without a spec
        return None


def _is_ours(spec: ModuleSpec, own_file: str) -> bool:
    return any((Path(folder) / own_file).exists() for folder in spec.submodule_search_locations or ())


def _place(spec: ModuleSpec) -> str:
    return spec.origin or ", ".join(spec.submodule_search_locations or ()) or "an unknown place"


def _cure(name: str) -> str:
    return (
        f"Rename it, or put it into another package (my_service.{name}); or take its folder off PYTHONPATH and run "
        "the command orchesty-worker, not python -m worker, since that looks into the current folder first. If both "
        f"are installed, install {DISTRIBUTION} into an environment of its own."
    )
