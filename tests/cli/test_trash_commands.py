"""The commands of the trash, run as a person runs them."""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.databases import MakeDatabase
from support.entries import ENTRY, numbered, run_trash

from worker.protocol.message import now_ms
from worker.trash.entry import Entry, EntryState, EntryType
from worker.trash.opening import open_trash
from worker.trash.transfer import to_line

Fill = Callable[..., Coroutine[Any, Any, None]]
HOUR_MS = 3_600_000


@pytest.fixture
def url(make_database: MakeDatabase) -> str:
    return make_database("sqlite")


async def fill(url: str, *entries: Entry) -> None:
    store = open_trash(url)
    for entry in entries:
        await store.put(entry)
    await store.close()


async def states(url: str) -> list[str]:
    store = open_trash(url)
    entries = await store.load([numbered(number).id for number in range(10)])
    await store.close()
    return [entry.state.value for entry in entries]


def listed(url: str, *arguments: str) -> list[int]:
    return [int(one["id"], 16) for one in json.loads(run_trash(url, "list", "--json", *arguments)[0])]


@pytest.mark.parametrize("name", ["approve", "collect", "edit", "export", "import", "list", "purge", "reject", "show"])
def test_every_command_explains_itself_with_examples(url: str, name: str) -> None:
    assert "Example" in run_trash(url, name, "--help")[0]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["--node", "pack"], [2]),
        (["--node", "n1", "--node", "n2"], [1, 2, 3]),
        (["--process", "run-3"], [3]),
        (["--user", "alice"], [2]),
        (["--application", "shop", "--reason", "TIME"], [3]),
        (["--type", "usertask"], [2]),
        (["--topology", "invoices"], [3]),
        (["--older-than", "2h"], [1]),
        (["--newer-than", "1d12h"], [2, 3]),
        (["--newer-than", "2h", "--older-than", "30m"], [2]),
        (["--state", "rejected"], [4]),
        (["--state", "all", "--limit", "2"], [1, 2]),
    ],
)
async def test_entries_are_found_by_every_filter(url: str, filters: list[str], expected: list[int]) -> None:
    now = now_ms()
    await fill(
        url,
        numbered(1, created=now - 48 * HOUR_MS),
        numbered(2, created=now - HOUR_MS, node_id="n2", node_name="pack", user="alice", type=EntryType.USER_TASK),
        numbered(3, created=now - HOUR_MS // 60, correlation_id="run-3", reason="timeout", topology_name="invoices"),
        numbered(4, created=now, state=EntryState.REJECTED),
    )
    assert listed(url, *filters) == expected


@pytest.mark.parametrize("age", ["", "2", "h", "2y", "-2h", "2h3"])
def test_a_wrong_age_is_told_how_ages_are_written(url: str, age: str) -> None:
    assert "write 45m, 2h, 3d or 1d12h" in run_trash(url, "list", "--older-than", age, status=2)[1]


async def test_the_list_is_for_people_and_says_what_it_leaves_out(url: str) -> None:
    await fill(
        url,
        numbered(1, more=1234, reason="[red]down[/red]"),
        numbered(2, body=None, raw=b"\xff"),
        *(numbered(number) for number in range(3, 6)),
    )
    text, _ = run_trash(url, "list", "--limit", "3", COLUMNS="200")
    assert "[red]down[/red] [+1,234 equal]" in text
    assert "r2 [unreadable]" in text
    assert "… and 2 entries more" in text
    assert run_trash(url, "list", "--node", "nope")[0] == "Nothing matches.\n"


async def test_nothing_is_cut_on_a_narrow_terminal(url: str) -> None:
    reason = "POST https://shop.example/orders/17?expand=lines answered 503: try again later"
    one = numbered(1, reason=reason, node_name="send-order-to-the-warehouse", user="alice@shop.example")
    await fill(url, one)
    text, _ = run_trash(url, "list", COLUMNS="80")
    assert one.id[:8] in text
    assert "…" not in text
    head, *lines = text.splitlines()
    cells = [line[head.index("reason") :] for line in lines]
    assert "".join("".join(cells).split()) == "".join(reason.split())


async def test_show_tells_all_facts(url: str) -> None:
    body = '{"order":17,"price":1.10,"big":123456789012345678901234567890}'
    await fill(url, replace(ENTRY, body=body, more=3, user="alice"))
    text, _ = run_trash(url, "show", "0f1e")
    for fact in (
        "no stock",
        "3 more, only counted",
        "fetch (n1)",
        "orders (t1)",
        "shop",
        "run",
        "alice",
        "node.n1.hx",
        "waiting",
    ):
        assert fact in text
    assert '"price": 1.10,\n    "big": 123456789012345678901234567890' in text
    assert run_trash(url, "show", "0f1e", "--raw")[0] == body
    assert json.loads(run_trash(url, "show", "0f1e", "--json")[0])["reason"] == "no stock"
    assert "no such entry, or more than one" in run_trash(url, "show", "abcd", status=1)[1]


async def test_an_edit_changes_the_body_and_keeps_it_as_it_came(url: str) -> None:
    await fill(url, replace(ENTRY, body='{"order":17,"price":1.10}'))
    out, _ = run_trash(url, "edit", "0f1e", EDITOR="sed -i s/17/18/")
    assert out.startswith(f"{ENTRY.id} edited. Send it on: orchesty-worker trash approve 0f1e2d3c")
    assert run_trash(url, "show", "0f1e", "--raw")[0] == '{"order":18,"price":1.10}'
    text, _ = run_trash(url, "show", "0f1e")
    assert "body, edited" in text
    assert text.index("body as it came") < text.index('"order": 17')
    assert "[edited]" in run_trash(url, "list", COLUMNS="200")[0]


@pytest.mark.parametrize(
    ("editor", "problem"),
    [
        ("sed -i s/17/seventeen/", "was JSON and is not JSON now: JSON is malformed"),
        ("sed -i s/17/seventeen/", "line 2 column 12"),
        ("false", "false ended with status 1"),
        ("/no/such/editor", "cannot be started"),
        ("rm /no/such/file", "ended with status 1"),
    ],
)
async def test_an_edit_that_went_wrong_changes_nothing(url: str, editor: str, problem: str) -> None:
    await fill(url, ENTRY)
    assert problem in run_trash(url, "edit", "0f1e", EDITOR=editor, VISUAL="", status=1)[1]
    assert run_trash(url, "show", "0f1e", "--raw")[0] == ENTRY.body
    assert run_trash(url, "edit", "0f1e", EDITOR="true")[0] == f"{ENTRY.id} not changed\n"


@pytest.mark.parametrize(
    "text", ['{"bad":NaN}', '"\\ud800"', "[" * 100_000 + "]" * 100_000], ids=["NaN", "surrogate", "deep"]
)
async def test_what_is_no_json_is_refused_by_its_file_and_by_the_editor(url: str, tmp_path: Path, text: str) -> None:
    await fill(url, ENTRY)
    body, drafts = tmp_path / "body", tmp_path / "drafts"
    await asyncio.to_thread(drafts.mkdir)
    await asyncio.to_thread(body.write_text, text)
    for arguments in (["--file", str(body)], []):
        err = run_trash(url, "edit", "0f1e", *arguments, EDITOR=f"cp {body}", VISUAL="", TMPDIR=str(drafts), status=1)[
            1
        ]
        assert "is not JSON now" in err
    (draft,) = await asyncio.to_thread(lambda: list(drafts.iterdir()))
    assert f"your text is in {draft}" in err
    assert draft.read_text() == text


@pytest.mark.parametrize(
    ("editor", "is_left"),
    [("true", False), ("false", False), ("/no/such/editor", False), ("sed -i s/17/18/", False), ("{script}", True)],
)
def test_only_a_text_that_would_be_lost_is_left_behind_and_named(
    url: str, tmp_path: Path, editor: str, *, is_left: bool
) -> None:
    asyncio.run(fill(url, ENTRY))
    script, drafts = tmp_path / "editor", tmp_path / "drafts"
    drafts.mkdir()
    script.write_text("#!/bin/sh\nsed -i s/17/18/ $1\nexit 3\n")
    script.chmod(0o700)
    status = 0 if editor.startswith(("true", "sed")) else 1
    own = {"EDITOR": editor.format(script=script), "VISUAL": "", "TMPDIR": str(drafts)}
    err = run_trash(url, "edit", "0f1e", status=status, **own)[1]
    left = [str(path) for path in drafts.iterdir()]
    assert len(left) == is_left
    assert all(f"your text is in {path}" in err for path in left)


async def test_an_edited_text_is_not_lost_when_somebody_else_was_faster(url: str, tmp_path: Path) -> None:
    await fill(url, ENTRY)
    script, body = tmp_path / "editor", tmp_path / "body"
    body.write_text('{"order": 1}')
    python = f"{sys.executable} -m worker trash edit 0f1e --file {body}"
    script.write_text(f"#!/bin/sh\nsed -i s/17/18/ $1\n{python}\n")
    script.chmod(0o700)
    err = run_trash(url, "edit", "0f1e", EDITOR=str(script), VISUAL="", TMPDIR=str(tmp_path), status=1)[1]
    assert "somebody else has changed" in err
    assert f"your text is in {tmp_path}" in err


async def test_an_edit_takes_the_body_from_a_file_too(url: str) -> None:
    await fill(url, replace(ENTRY, body="<order/>"))
    run_trash(url, "edit", "0f1e", "--file", "-", text_in="<order id='17'/>")
    assert run_trash(url, "show", "0f1e", "--raw")[0] == "<order id='17'/>"


async def test_an_unreadable_message_is_mended_by_an_edit(url: str) -> None:
    await fill(url, replace(ENTRY, body=None, raw=b'{"headers": {}, "body": "x"'))
    assert "it still cannot be read" in run_trash(url, "edit", "0f1e", "--file", "-", text_in="{", status=1)[1]
    assert "bytes of a message that could not be read" in run_trash(url, "show", "0f1e")[0]
    run_trash(url, "edit", "0f1e", EDITOR=r"sed -i s/$/\}/")
    assert run_trash(url, "show", "0f1e", "--raw")[0] == "x"
    assert '{"headers": {}, "body": "x"' in run_trash(url, "show", "0f1e")[0]


@pytest.mark.parametrize("arguments", [[], ["1f", "--all"], ["--all", "--node", "n1"], ["1f", "--reason", "x"]])
def test_what_is_to_be_decided_must_be_clear(url: str, arguments: list[str]) -> None:
    assert "give ids, filters or --all" in run_trash(url, "approve", *arguments, status=2)[1]


async def test_entries_are_rejected_one_by_one_by_filter_and_all(url: str) -> None:
    await fill(url, *(numbered(number, node_name=f"node-{number % 2}") for number in range(6)))
    assert run_trash(url, "reject", numbered(0).id)[0] == f"{numbered(0).id} rejected\n"
    out, err = run_trash(url, "reject", "--node", "node-1", "--dry-run")
    assert (out.split(), err) == ([numbered(number).id for number in (1, 3, 5)], "3 entries would be rejected\n")
    assert await states(url) == ["rejected", *["waiting"] * 5]
    run_trash(url, "reject", "--node", "node-1", "--yes")
    run_trash(url, "reject", "--all", "--yes")
    assert await states(url) == ["rejected"] * 6
    assert run_trash(url, "reject", "--all")[0] == "Nothing matches.\n"
    assert "is rejected by" in run_trash(url, "reject", numbered(0).id, status=1)[1]


@pytest.mark.parametrize(
    "command", [["approve", "--all"], ["reject", "--reason", "r"], ["purge", "--waiting-days", "1"]]
)
async def test_nothing_is_done_to_many_where_nobody_can_be_asked(url: str, command: list[str]) -> None:
    await fill(url, *(numbered(number, created=1, updated=1) for number in range(3)))
    err = run_trash(url, *command, status=2, text_in="n\n")[1]
    assert "3 entries" in err
    assert "add --yes" in err
    assert await states(url) == ["waiting"] * 3


async def test_scripts_are_told_what_became_of_the_entries(url: str, tmp_path: Path) -> None:
    await fill(url, *(numbered(number, updated=1) for number in range(3)), numbered(3, body=None, raw=b"{", updated=1))
    nothing: dict[str, Any] = {"decided": [], "taken": [], "unreadable": [], "refused": {}, "untried": []}
    ids = [numbered(number).id for number in range(4)]

    def told(*arguments: str, status: int = 0, text_in: str = "") -> Any:
        return json.loads(run_trash(url, *arguments, "--json", status=status, text_in=text_in)[0])

    assert told("edit", ids[0], "--file", "-", text_in="{}") == {"id": ids[0], "isEdited": True}
    assert told("edit", ids[0], "--file", "-", text_in="{}") == {"id": ids[0], "isEdited": False}
    assert told("reject", "--all", "--dry-run") == {"wouldBeDecided": ids}
    assert told("reject", *ids[:2]) == nothing | {"decided": ids[:2]}
    assert told("reject", *ids[1:3], status=1) == nothing | {"decided": [ids[2]], "taken": [ids[1]]}
    assert told("reject", "--reason", "nope") == nothing
    file = str(tmp_path / "trash.jsonl")
    run_trash(url, "export", file)
    assert told("purge", "--waiting-days", "1", "--dry-run") == {"toDelete": 1}
    assert told("purge", "--waiting-days", "1", "--yes") == {"deleted": 1}
    assert told("import", file) == {"imported": 1, "known": 3}


async def test_an_export_is_imported_elsewhere_without_loss_and_only_once(
    url: str, make_database: MakeDatabase, tmp_path: Path
) -> None:
    kept = [
        numbered(1, body="a\x00b"),
        numbered(2, body=None, raw=b"\xff\x00", more=4),
        numbered(3, state=EntryState.APPROVED, changed_by="alice", headers={"big": 2**70, "x": [1.5]}),
        numbered(4, original_body="{}", edited=5, edited_by="bob"),
    ]
    await fill(url, *kept)
    file, other = str(tmp_path / "trash.jsonl"), make_database("postgresql")
    assert run_trash(url, "export", file)[1] == "4 entries exported\n"
    assert run_trash(other, "import", file)[0] == "4 entries imported, 0 existed already\n"
    assert run_trash(other, "import", file)[0] == "0 entries imported, 4 existed already\n"
    store = open_trash(other)
    assert await store.load([entry.id for entry in kept]) == kept
    await store.close()
    out, _ = run_trash(other, "export", "-", "--reason", "r2")
    assert [json.loads(line)["raw"] for line in out.splitlines()] == ["/wA="]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "line 2: Expecting property name"),
        ("[]", "line 2: a line must be a JSON object"),
        ('{"id": "1f"}', "line 2: type: Field required"),
        ('{"raw": "ä"}', "line 2: raw: not base64"),
    ],
)
async def test_a_wrong_line_is_named_and_what_came_before_it_is_there(url: str, line: str, problem: str) -> None:
    await fill(url, numbered(1))
    good, _ = run_trash(url, "export", "-")
    err = run_trash(url, "import", "-", status=1, text_in=good + line + "\n")[1]
    assert problem in err


@pytest.mark.parametrize("change", [{"created": 10**16}, {"updated": -1}, {"edited": 10**16}, {"more": 2**70}], ids=str)
async def test_numbers_that_no_store_can_hold_are_not_imported(url: str, change: dict[str, int]) -> None:
    line = json.dumps(json.loads(to_line(numbered(1))) | change)
    (name,) = change
    assert f"line 1: {name}: must be from 0 to" in run_trash(url, "import", "-", status=1, text_in=line)[1]


def test_an_export_of_nothing_is_an_empty_file(url: str, tmp_path: Path) -> None:
    file = tmp_path / "trash.jsonl"
    for before in (None, "of yesterday"):
        if before is not None:
            file.write_text(before)
        run_trash(url, "export", str(file))
        assert file.read_text() == ""


def test_an_export_that_fails_leaves_the_one_before(url: str, tmp_path: Path) -> None:
    asyncio.run(fill(url, numbered(1)))
    file = tmp_path / "trash.jsonl"
    run_trash(url, "export", str(file))
    before = file.read_text()
    run_trash("postgresql://127.0.0.1:1/db", "export", str(file), status=1)
    assert (file.read_text(), list(tmp_path.glob(".*.part"))) == (before, [])
    assert "No such file or directory" in run_trash(url, "export", str(tmp_path / "no" / "file"), status=1)[1]


async def test_purge_deletes_what_was_decided_long_ago_and_waiting_entries_only_when_told(url: str) -> None:
    now = now_ms()
    await fill(
        url,
        numbered(1, state=EntryState.APPROVED, updated=now - 31 * 24 * HOUR_MS),
        numbered(2, state=EntryState.REJECTED, updated=now - 29 * 24 * HOUR_MS),
        numbered(3, updated=now - 99 * 24 * HOUR_MS),
        numbered(4, updated=now),
    )
    assert run_trash(url, "purge", "--dry-run")[0] == "1 entry to delete\n"
    assert run_trash(url, "purge", "--yes")[0] == "1 entry deleted\n"
    assert listed(url, "--state", "all") == [2, 3, 4]
    assert run_trash(url, "purge", "--decided-days", "0", "--waiting-days", "1.5", "--yes")[0] == "1 entry deleted\n"
    assert listed(url, "--state", "all") == [2, 4]


def test_a_store_that_is_away_is_named_without_its_password() -> None:
    for away in (
        "postgresql://me:hunter2@127.0.0.1:1/db",
        "mongodb://me:hunter2@127.0.0.1:1/db?serverSelectionTimeoutMS=100",
    ):
        err = run_trash(away, "list", status=1)[1]
        assert "cannot be used" in err
        assert "127.0.0.1:1/db" in err
        assert "hunter2" not in err


def test_an_unknown_kind_of_store_is_refused() -> None:
    assert (
        "WORKER_TRASH_URL: Value error, must be sqlite:///path, postgresql://"
        in run_trash("mysql://x", "list", status=2)[1]
    )
