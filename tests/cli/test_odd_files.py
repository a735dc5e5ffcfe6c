"""Files that commands are given and cannot use: each ends with an error and its status, none with a traceback."""

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.drawings import bpmn, circle, sketch, square
from support.entries import ENTRY

from worker.cli import cli
from worker.errors import StartupError
from worker.trash.opening import open_trash
from worker.trash.transfer import to_line

NODE = {"id": "n1", "name": "start", "worker": "worker.null", "settings": {"headers": {"a": "b"}}}
TOPOLOGY = json.dumps({"id": "t1", "name": "t", "nodes": [NODE]})
SKETCH = sketch(circle("n1"), square("n2", "connector", "pay"), flows=[("n1", "n2")])
LINE = to_line(ENTRY)
UNREADABLE = replace(ENTRY, id="a" * 24, raw=b"\xff", headers={}, body=None)
COMMANDS = {
    "topology check": ("topology", "check", "FILE"),
    "topology check --json": ("topology", "check", "--json", "FILE"),
    "topology show": ("topology", "show", "FILE"),
    "topology import": ("topology", "import", "FILE", "--output", "imported.json", "--force"),
    "topology export": ("topology", "export", "FILE", "--output", "exported.json", "--force"),
    "start --file": ("start", "no-such-node", "--file", "FILE"),
    "actions run --file": ("actions", "run", "copy", "--actions", "support.actions", "--file", "FILE"),
    "trash import": ("trash", "import", "FILE"),
    "trash edit --file": ("trash", "edit", ENTRY.id, "--file", "FILE"),
    "trash edit --file of an unreadable one": ("trash", "edit", UNREADABLE.id, "--file", "FILE"),
    "trash export": ("trash", "export", "FILE/x"),
    "secrets rotate": ("secrets", "rotate"),
    "installs list": ("installs", "list"),
}


def deep(of: str, depth: int, **changes: str) -> str:
    for old, new in changes.items():
        of = of.replace(old, new)
    return of.replace('"b"', "[" * depth + "]" * depth).replace('"no stock"', "[" * depth + "]" * depth)


CONTENTS = {
    "empty": b"",
    "cut": TOPOLOGY[:50].encode(),
    "cut line": LINE[:50].encode(),
    "deep": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "deep topology": deep(TOPOLOGY, 5_000).encode(),
    "nearly too deep a topology": deep(TOPOLOGY, 960).encode(),
    "deep line": deep(LINE, 5_000).encode(),
    "binary": bytes(range(256)) * 4,
    "UTF-16": TOPOLOGY.encode("utf-16"),
    "half a character": TOPOLOGY.replace('"t"', '"\\ud800"').encode(),
    "half a character in a line": LINE.replace("no stock", "\\ud800").encode(),
    "null characters": LINE.replace("no stock", "\\u0000").encode(),
    "no finite number": TOPOLOGY.replace('"headers": {', '"timeout": 1e999, "headers": {').encode(),
    "more digits than Python reads": b"1" * 5_000,
    "a time with many digits": LINE.replace(str(ENTRY.created), "9" * 400).encode(),
    "other types": b'[{"id": [], "nodes": 5, "name": null}]',
    "BPMN": bpmn().encode(),
    "cut BPMN": bpmn()[:500].encode(),
    "sketch": SKETCH.encode(),
    "deep sketch": SKETCH.replace('"pay"', "[" * 5_000 + "]" * 5_000).encode(),
    "half a character in a sketch": SKETCH.replace('"pay"', '"\\ud800"').encode(),
    "huge": b'{"a": "' + b"x" * 5_000_000 + b'"}',
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a trash that holds a readable and an unreadable entry; the commands run in it."""
    made, before = tmp_path_factory.mktemp("odd"), Path.cwd()
    asyncio.run(_fill(f"sqlite:///{made}/trash.sqlite"))
    (made / "topology.json").write_text(TOPOLOGY)
    os.chdir(made)
    yield made
    os.chdir(before)


async def _fill(url: str) -> None:
    store = open_trash(url)
    await store.put(ENTRY)
    await store.put(UNREADABLE)
    await store.close()


def run(folder: Path, command: str, path: Path) -> Result:
    environment = {
        "WORKER_TRASH_URL": f"sqlite:///{folder}/trash.sqlite",
        "WORKER_INSTALLS_URL": f"sqlite:///{folder}/installs.sqlite",
        "WORKER_SECRET_KEYS_FILE": str(path),
        "TOPOLOGY_JSON": str(folder / "topology.json"),
    }
    words = [word.replace("FILE", str(path)) for word in COMMANDS[command]]
    return CliRunner(env=environment).invoke(cli, words)


def assert_told(done: Result) -> None:
    """`StartupError` becomes status 2 in `main`; all else that is no exit is a traceback."""
    assert isinstance(done.exception, SystemExit | StartupError | None), done.exception
    assert done.exit_code in {0, 1, 2}
    assert done.exit_code == 0 or done.output or isinstance(done.exception, StartupError)


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_no_content_ends_a_command_with_a_traceback(folder: Path, content: bytes) -> None:
    path = folder / "file"
    path.write_bytes(content)
    for command in COMMANDS:
        assert_told(run(folder, command, path))


@pytest.mark.parametrize("place", [".", "missing", "/proc/self/mem", "/dev/null", "topology.json/below", "x" * 300])
def test_no_place_ends_a_command_with_a_traceback(folder: Path, place: str) -> None:
    for command in COMMANDS:
        assert_told(run(folder, command, Path(place)))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    good=st.sampled_from([TOPOLOGY, LINE, SKETCH, bpmn()]),
    cut=st.tuples(st.integers(0, 1_000), st.integers(0, 1_000)),
    inserted=st.binary(max_size=8) | st.sampled_from([b"1e999", b"NaN", b"[" * 2_000, b"\\ud800", b"\xff"]),
    command=st.sampled_from([name for name in COMMANDS if "actions" not in name]),
)
def test_no_damage_ends_a_command_with_a_traceback(
    folder: Path, good: str, cut: tuple[int, int], inserted: bytes, command: str
) -> None:
    first, last = sorted(cut)
    (folder / "file").write_bytes(good.encode()[:first] + inserted + good.encode()[last:])
    assert_told(run(folder, command, folder / "file"))
