"""The documentation: snippets run, links lead somewhere, files that it shows are right."""

import json
import re
import shlex
from pathlib import Path

import click
import pytest

from worker.cli import cli
from worker.protocol.topology_file import load_topology

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def snippets(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def named(pages: list[Path]) -> list[str]:
    return [page.name for page in pages]


@pytest.mark.parametrize("page", PAGES, ids=named(PAGES))
def test_python_snippets_of_a_page_run_one_after_the_other(page: Path) -> None:
    namespace: dict[str, object] = {"__name__": "snippet"}
    for snippet in snippets(page, "python"):
        exec(compile(snippet, page.name, "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=named(PAGES))
def test_topologies_of_a_page_are_right(page: Path, tmp_path: Path) -> None:
    for snippet in snippets(page, "json"):
        path = tmp_path / "topology.json"
        path.write_text(snippet)
        assert load_topology(path).name == json.loads(snippet)["name"]


@pytest.mark.parametrize("page", PAGES, ids=named(PAGES))
def test_commands_of_a_page_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in "\n".join(snippets(page, "console")).splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["make"]:
            assert words[1] in targets
        if words[:1] == ["orchesty-worker"]:
            assert_parses(words[1:])


def assert_parses(words: list[str]) -> None:
    command: click.Command = cli
    while isinstance(command, click.Group):
        assert words[0] in command.commands, words
        command = command.commands[words.pop(0)]
    command.make_context("orchesty-worker", words)


@pytest.mark.parametrize("page", PAGES, ids=named(PAGES))
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target
