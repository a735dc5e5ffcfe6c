"""What commands print of data that comes from outside: a terminal obeys none of it, and no line is forged."""

import ast
import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st
from rich.text import Text
from support.entries import ENTRY

from worker.cli import cli
from worker.cli.printing import Listing, is_printable, say, say_fact, say_json, say_table, say_text
from worker.trash.entry import Entry
from worker.trash.opening import open_trash

HOSTILE = "\x1b]0;title\x07\x1b[2J\x9b31m\u202edetalpmoc\u2028\r\nbody  [bold red]all is well[/]\x7f"
anything = st.text(st.characters(exclude_categories=()), max_size=40)
PRINTERS = Path("worker/cli")
ALONE = {"printing.py", "__init__.py"}


def output_of(action: Callable[[], None]) -> str:
    done = CliRunner(env={"COLUMNS": "2000"}).invoke(click.Command("print", callback=action))
    assert done.exception is None, done.exception
    return done.output


def is_clean(output: str) -> bool:
    return all(line.isprintable() for line in output.split("\n"))


@given(anything)
@example(HOSTILE)
def test_any_text_is_one_line_that_a_terminal_shows_as_it_is(text: str) -> None:
    for action in (lambda: say(text), lambda: say(text, bold=True, err=True), lambda: say_fact(text, text, 3)):
        output = output_of(action)
        assert is_clean(output)
        assert output.count("\n") == 1


@given(anything)
@example(HOSTILE)
def test_lines_of_a_body_cannot_be_taken_for_ours(text: str) -> None:
    output = output_of(lambda: say_text(text, indent="  "))
    assert is_clean(output)
    assert all(line.startswith("  ") for line in output.removesuffix("\n").split("\n"))


@given(st.recursive(anything | st.integers() | st.none(), lambda inner: st.dictionaries(anything, inner, max_size=2)))
@example(HOSTILE)
def test_json_stays_the_same_data(data: object) -> None:
    output = output_of(lambda: say_json(data))
    assert is_clean(output)
    assert json.loads(output) == data


@given(anything)
@example(HOSTILE)
def test_a_cell_of_a_table_is_one_line_without_markup(text: str) -> None:
    table = Listing("a", "b", "c", box=None)
    table.add_row("before", text, Text.assemble((text, "bold"), "after"))
    output = output_of(lambda: say_table(table))
    assert is_clean(output)
    assert output.count("\n") == 2
    assert ("[bold red]" in output) == ("[bold red]" in text)


def test_data_that_is_nested_too_deeply_is_an_error_with_its_cause() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    done = CliRunner().invoke(click.Command("print", callback=lambda: say_json(deep)))
    assert (done.exit_code, "nested too deeply" in done.output) == (1, True)


@pytest.fixture
def hostile(tmp_path: Path) -> str:
    """A trash whose only entry is hostile wherever a message or an action can say something."""
    url = f"sqlite:///{tmp_path}/trash.sqlite"
    entry = replace(
        ENTRY, reason=HOSTILE, user=HOSTILE, node_name=HOSTILE, topology_name=HOSTILE, application=HOSTILE,
        correlation_id=HOSTILE, headers={HOSTILE: HOSTILE}, body=HOSTILE,
    )  # fmt: skip
    asyncio.run(_put(url, entry))
    return url


async def _put(url: str, entry: Entry) -> None:
    store = open_trash(url)
    await store.put(entry)
    await store.close()


@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("list", "--json"),
        ("show", ENTRY.id),
        ("show", ENTRY.id, "--json"),
        ("show", HOSTILE),
        ("reject", ENTRY.id),
        ("reject", ENTRY.id, ENTRY.id[:9], HOSTILE),
    ],
)
def test_commands_print_a_hostile_entry_harmlessly(hostile: str, words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(cli, ["trash", *words, "--trash-url", hostile])
    assert isinstance(done.exception, SystemExit | None), done.exception
    assert is_clean(done.output)
    assert HOSTILE in words or not any(line.startswith("body  ") for line in done.output.split("\n"))


def test_raw_bytes_are_for_a_terminal_only_if_it_shows_them_as_they_are() -> None:
    assert is_printable(b'{\n\t"a": "\xc3\xa9"}')
    assert not any(map(is_printable, (b"\x1b[2J", b"\xff", b"\r", "\u202e".encode())))


def test_commands_print_in_no_other_way() -> None:
    found = [
        f"{path}:{node.lineno}"
        for path in PRINTERS.rglob("*.py")
        if path.name not in ALONE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func)
        in {"print", "click.echo", "click.secho", "Table", "Console().print", "console.print"}
    ]
    assert found == []
