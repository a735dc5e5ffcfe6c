"""Apply small changes to the hot modules, one at a time, and run the tests that guard each: `make mutants`.

A mutant that no test notices fails the run, unless survivors.toml gives a reason. What a run found is in
var/mutants.json. Each of the processes works in a copy of the checkout of its own.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from mutants.changes import Mutant, mutants_of

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
REPORT = ROOT / "var" / "mutants.json"
COPIED = ("worker", "connectors", "applications", "deploy", "examples", "benchmarks", "docs", "tests", "pyproject.toml")
LONGER = 3
"""How many times longer than without a change the tests may take; with one that loops they would never end."""
START_SECONDS = 30
PASSED, FAILED = 0, 1


class Fate(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    SURVIVED = "survived"


@dataclass(frozen=True, slots=True)
class Guarded:
    """A module and the tests that guard it."""

    name: str
    path: str
    tests: Sequence[str]
    then: Sequence[str]
    share: int

    @property
    def stages(self) -> Iterator[Sequence[str]]:
        """The tests that are run one after the other, until one notices."""
        yield from (files for files in (_files(self.tests), _files(self.then)) if files)

    def mutants(self) -> Sequence[Mutant]:
        """Return the share of mutants that is tried."""
        return mutants_of((ROOT / self.path).read_bytes(), self.name)[: self.share]


@dataclass(slots=True)
class Copy:
    """A copy of the checkout, in which one mutant at a time is tried."""

    folder: Path
    allowed: dict[tuple[str, ...], float] = field(default_factory=dict)
    """How long tests may take, measured without a change."""

    async def fate(self, guarded: Guarded, mutant: Mutant) -> Fate:
        """Apply the change, and run the tests until one notices it."""
        for tests in guarded.stages:
            if tuple(tests) not in self.allowed:
                await self._measure(tests)
        path = self.folder / guarded.path
        source = path.read_bytes()
        path.write_bytes(mutant.apply(source))
        try:
            for tests in guarded.stages:
                if await self._run(tests, self.allowed[tuple(tests)]) == FAILED:
                    return Fate.KILLED
        finally:
            path.write_bytes(source)
        return Fate.SURVIVED

    async def _measure(self, tests: Sequence[str]) -> None:
        """Raises `SystemExit` when they fail without a change: then they would kill every mutant."""
        started = time.monotonic()
        if await self._run(tests, None) != PASSED:
            sys.exit(f"These tests fail without any change: {' '.join(tests)}")
        self.allowed[tuple(tests)] = LONGER * (time.monotonic() - started) + START_SECONDS

    async def _run(self, tests: Sequence[str], seconds: float | None) -> int:
        """Return pytest's status; tests that do not end count as failed."""
        command = ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not timing", *tests)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *command),
            cwd=self.folder,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            status = await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            return FAILED
        # A change may keep the tests from being collected at all: that is noticed as well.
        return FAILED if status in {FAILED, 2, 3, 4} else status


def _files(names: Sequence[str]) -> tuple[str, ...]:
    found = []
    for name in names:
        (path,) = (ROOT / "tests").rglob(f"{name}.py")
        found.append(str(path.relative_to(ROOT)))
    return tuple(found)


@contextmanager
def _copied() -> Iterator[Copy]:
    with tempfile.TemporaryDirectory(prefix="worker-mutants-") as folder:
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, Path(folder) / name)
        yield Copy(Path(folder))


def _modules() -> Iterator[Guarded]:
    for entry in tomllib.loads((HERE / "modules.toml").read_text())["module"]:
        yield Guarded(**{"tests": (), "then": ()} | entry)


async def _try_all(chosen: Sequence[tuple[Guarded, Mutant]], processes: int) -> Mapping[str, Fate]:
    """Return what became of each, by name."""
    waiting, fates = list(reversed(chosen)), dict[str, Fate]()

    async def work() -> None:
        with _copied() as copy:
            while waiting:
                guarded, mutant = waiting.pop()
                fate = fates[mutant.name] = await copy.fate(guarded, mutant)
                print(f"{len(fates):4}/{len(chosen)} {fate:8} {guarded.path}:{mutant.line} {mutant.name}", flush=True)

    async with asyncio.TaskGroup() as group:
        for _ in range(processes):
            group.create_task(work())
    return fates


def _report(chosen: Sequence[tuple[Guarded, Mutant]], fates: Mapping[str, Fate], explained: Mapping[str, Any]) -> bool:
    """Write the report, print the totals; return whether every survivor is explained."""
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(fates, indent=1))
    for name, count in Counter(guarded.name for guarded, _ in chosen).items():
        killed = sum(fates[mutant.name] is Fate.KILLED for guarded, mutant in chosen if guarded.name == name)
        print(f"{name:12} {killed:3} of {count} killed")
    survivors = [name for name, fate in fates.items() if fate is Fate.SURVIVED]
    unexplained = [name for name in survivors if name not in explained]
    print(f"{len(fates) - len(survivors)} of {len(fates)} killed, {len(survivors) - len(unexplained)} explained")
    for name in explained:
        if fates.get(name) is Fate.KILLED:
            print(f"Noticed by now, take it out of survivors.toml: {name}")
    for name in unexplained:
        print(f"Noticed by no test: {name}")
    return not unexplained


def main() -> None:
    """Try the mutants that the options name."""
    options = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    options.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="how many are tried at a time")
    options.add_argument("--module", nargs="*", default=[], help="only these, by their names in modules.toml")
    options.add_argument("--sample", type=int, help="only so many of each module")
    options.add_argument("--list", action="store_true", help="print them only")
    given = options.parse_args()
    modules = [module for module in _modules() if not given.module or module.name in given.module]
    chosen = [(module, mutant) for module in modules for mutant in module.mutants()[: given.sample]]
    if given.list:
        print(*(f"{module.path}:{mutant.line} {mutant.name}" for module, mutant in chosen), sep="\n")
        return
    explained = tomllib.loads((HERE / "survivors.toml").read_text())
    if not _report(chosen, asyncio.run(_try_all(chosen, given.processes)), explained):
        sys.exit(1)


if __name__ == "__main__":
    main()
