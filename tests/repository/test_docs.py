"""The documentation: snippets are typed and run, links lead somewhere, files that it shows are right."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from support.pages import PAGES, ROOT, names_of, snippets

from worker.cli import cli
from worker.protocol.topology_file import load_topology

ONLINE = "https://github.com/orchesty/orchesty-worker/blob/main/"
"""Where the files of the repository are shown: README links there, since a package index shows it alone."""


def named(pages: list[Path]) -> list[str]:
    return [page.name for page in pages]


def with_python(pages: list[Path]) -> list[Path]:
    return [page for page in pages if "```python" in page.read_text()]


@pytest.mark.parametrize("page", with_python(PAGES), ids=named(with_python(PAGES)))
def test_python_snippets_of_a_page_run_one_after_the_other(page: Path) -> None:
    names_of(page)


@pytest.fixture(scope="module")
def mypy_said(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What `mypy --strict` says of the snippets of all pages, with the line of the page."""
    folder = tmp_path_factory.mktemp("pages")
    for page in with_python(PAGES):
        write_modules(page, folder)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache" / "pages"), "."],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return done.stdout


def write_modules(page: Path, folder: Path) -> None:
    """Write each file that a page names, and its other snippets as one module with the line numbers of the page."""
    text = page.read_text()
    lines = [""] * text.count("\n")
    for found in re.finditer(r'```python(?: title="(.*?)")?\n(.*?)```', text, re.DOTALL):
        if found[1]:
            path = folder / found[1]
            path.parent.mkdir(exist_ok=True)
            path.write_text(found[2])
            if path.parent != folder:
                (path.parent / "__init__.py").touch()
            continue
        start = text.count("\n", 0, found.start(2))
        snippet = found[2].splitlines()
        lines[start : start + len(snippet)] = snippet
    (folder / f"page_{page.stem.lower().replace('-', '_')}.py").write_text("\n".join(lines) + "\n")


def test_python_snippets_are_typed(mypy_said: str) -> None:
    assert "Success" in mypy_said, mypy_said


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
        words = shlex.split(line.partition(" > ")[0], comments=True)
        if words[:1] == ["make"]:
            assert words[1] in targets
        if words[:1] == ["orchesty-worker"]:
            assert_parses(words[1 : words.index(">") if ">" in words else None])


def assert_parses(words: list[str]) -> None:
    command: click.Command = cli
    while isinstance(command, click.Group):
        assert words[0] in command.commands, words
        command = command.commands[words.pop(0)]
    command.make_context("orchesty-worker", words)


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """The files and headings of this repository that a page links to."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith("https://") and not target.startswith(ONLINE):
            continue
        path, _, heading = target.removeprefix(ONLINE).partition("#")
        folder = ROOT if target.startswith(ONLINE) else page.parent
        yield (folder / path if path else page), heading


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def slugs(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=named(PAGES))
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for file, heading in links(page):
        assert file.exists(), file
        assert not heading or heading in slugs(file), f"{file.name} has no heading #{heading}"


def test_the_readme_links_work_on_a_package_index() -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(ROOT / "README.md"))
    assert [target for target in targets if not target.startswith("https://")] == []
