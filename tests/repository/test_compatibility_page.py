"""The page on compatibility: it has every route and variable of the platform, and the tests that it names exist."""

import ast
import re
from collections.abc import Iterator

import pytest
from support.pages import ROOT
from support.serving import serving

from worker.settings.environment import PREFIX, known_names

PAGE = (ROOT / "docs" / "compatibility.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[^`]+)`", PAGE)))
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
OUR_OWN = {"GET /docs", "GET /openapi.json"}


@pytest.mark.parametrize("name", NAMED)
def test_each_test_that_is_named_exists(name: str) -> None:
    file, _, function = name.partition("::")
    path = ROOT / file
    assert path.exists()
    if function:
        found = {one.name for one in ast.walk(ast.parse(path.read_text())) if isinstance(one, FUNCTIONS)}
        assert function in found


def test_each_row_names_a_test() -> None:
    tables = PAGE.partition("## The comparator")[0]
    rows = [line for line in tables.splitlines() if line.startswith("| ") and "held by" not in line]
    assert [row for row in rows if "`tests/" not in row] == []


def test_each_route_of_the_platform_is_on_the_page_and_no_other() -> None:
    service = serving().service
    answered = {f"{route.method.replace('*', 'ANY')} {route.pattern}" for route in service.router.routes} - OUR_OWN
    assert set(routes_of_the_page()) == answered | {"GET /metrics"}


def routes_of_the_page() -> Iterator[str]:
    for shown in re.findall(r"^\| `((?:GET|POST|PUT|DELETE|ANY) /\S+)` \|", PAGE, re.MULTILINE):
        yield re.sub(r"\[.*?\]", "", shown)
        if "[" in shown:
            yield shown.replace("[", "").replace("]", "")


def test_each_variable_of_the_platform_is_on_the_page() -> None:
    theirs = {name for name in known_names() if not name.startswith(PREFIX)}
    assert sorted(name for name in theirs if f"`{name}`" not in PAGE) == []
