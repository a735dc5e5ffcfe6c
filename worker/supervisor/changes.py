"""Changes of the files that a worker is made of, for development."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from watchfiles import Change, awatch

from worker.settings.settings import ENTRY_POINTS, Settings

OnChange = Callable[[Sequence[str]], None]


async def watch_changes(settings: Settings, on_change: OnChange) -> None:
    """Tell the paths that have changed: Python files of the actions' packages, and the topology file.

    A module that is no package is watched with the other Python files of its folder.
    """
    topology = settings.topology.resolve()
    sources = list(_sources(settings.actions))
    packages = {path for path in sources if path.is_dir()}
    folders = {topology.parent} | {path.parent for path in sources if not path.is_dir()}

    def is_ours(_: Change, path: str) -> bool:
        return path.endswith(".py") or Path(path) == topology

    async def watch(paths: Iterable[Path], *, is_recursive: bool) -> None:
        async for found in awatch(*paths, watch_filter=is_ours, recursive=is_recursive):
            on_change(sorted({path for _, path in found}))

    async with asyncio.TaskGroup() as group:
        group.create_task(watch(folders, is_recursive=False), name="watch modules")
        if packages:
            group.create_task(watch(packages, is_recursive=True), name="watch packages")


def _sources(modules: Iterable[str]) -> Iterator[Path]:
    """Find the top-level packages and modules, without importing them."""
    installed = (point.value for point in entry_points(group=ENTRY_POINTS))
    for name in {module.partition(".")[0] for module in (*modules, *installed)}:
        spec = find_spec(name)
        if spec is None:
            continue
        if spec.submodule_search_locations is not None:
            yield from (Path(location).resolve() for location in spec.submodule_search_locations)
        elif spec.origin is not None:
            yield Path(spec.origin).resolve()
