"""docs/architecture.md lists the stages that `Stages.way` puts together."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from support.actions import CopyConnector
from support.handled import handling
from support.rooms import PAGE
from support.visits import node

from worker import Decided, Visit, Way
from worker.modes.entities import MongoEntities
from worker.modes.figures import MongoFigures
from worker.modes.installation import InstallationLimits
from worker.modes.notices import PlatformNotice
from worker.modes.usage import Usage
from worker.protocol.keys import parse_key
from worker.protocol.topology import Deduplicate, Role

NOBODY = "mongodb://127.0.0.1:1/x"


async def own(visit: Visit, call_next: Way) -> Decided:
    return await call_next(visit)


def listed() -> list[str]:
    """Return the stages that the page names, in its order."""
    rows = PAGE.read_text().partition("## Stages")[2].partition("\n## ")[0].splitlines()
    return [row.split("`")[1] for row in rows if row.startswith("| `")]


def stages_of(way: Any) -> list[str]:
    """Return the stages of a way by module and name, the outermost first."""
    found = []
    while isinstance(way, partial):
        module = way.func.__module__.removeprefix("worker.pipeline.")
        found.append(f"{module}.{way.func.__qualname__.partition('.<locals>')[0]}")
        way = way.keywords["call_next"]
    return found


async def test_the_page_lists_the_stages_of_a_node_that_needs_all_of_them_in_their_order(tmp_path: Path) -> None:
    rule = Deduplicate(parse_key("header:user"), 60)
    all_of_them = node(role=Role.CONNECTOR, application="shop", repeat_holds_line=True, deduplicate=rule)
    async with handling(tmp_path, [all_of_them], {"n1": CopyConnector()}, added=[own]) as handled:
        figures, entities = MongoFigures(NOBODY, "figures"), MongoEntities(NOBODY, "kinds", "data")
        within = InstallationLimits(
            "http://127.0.0.1:1", 60, Usage(None, None, ""), handled.store, PlatformNotice(None, ""), handled.outlet
        )
        stages = replace(handled.stages, figures=figures, entities=entities, installation=within)
        way = stages.way(all_of_them)
    assert stages_of(way) == listed()


async def test_a_node_without_an_action_needs_some_of_them(tmp_path: Path) -> None:
    passing = node(role=Role.PASS_ON)
    async with handling(tmp_path, [passing], {}) as handled:
        needed = stages_of(handled.stages.way(passing))
    assert needed == [name for name in listed() if name in needed][: len(needed)]
    assert needed[-2:] == ["stages.Stages.unless_cancelled", "stages.rejected"]
