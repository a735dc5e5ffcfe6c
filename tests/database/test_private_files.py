"""What is written to the disk can be read by its owner only, whatever the umask."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from applications.journal import Arrived, Journal
from applications.private_files import make_private_file, make_private_folder
from worker.accounts import tables as accounts
from worker.cli.trash.transfer import export, import_
from worker.database.engine import async_engine, sync_engine
from worker.database.migrate import bring_up_to_date

LINES = "CREATE TABLE IF NOT EXISTS kept (number INTEGER)", "INSERT INTO kept VALUES (1)"


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): oct(path.stat().st_mode & 0o777) for path in folder.rglob("*")}


def test_a_database_its_folder_and_the_files_beside_it_are_private(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/var/deep/kept.sqlite"
    bring_up_to_date(url, accounts.CHAIN)
    with sync_engine(url).connect() as connection:
        for line in LINES:
            connection.execute(text(line))
        connection.commit()
        found = modes(tmp_path)
    assert found == {
        "var": "0o700",
        "var/deep": "0o700",
        "var/deep/kept.sqlite": "0o600",
        "var/deep/kept.sqlite-wal": "0o600",
        "var/deep/kept.sqlite-shm": "0o600",
    }


async def test_a_database_of_the_event_loop_is_private_as_well(tmp_path: Path) -> None:
    engine = async_engine(f"sqlite:///{tmp_path}/kept.sqlite")
    async with engine.begin() as connection:
        for line in LINES:
            await connection.execute(text(line))
    await engine.dispose()
    assert set(modes(tmp_path).values()) == {"0o600"}


def test_the_journal_of_tokens_and_its_folders_are_private(tmp_path: Path) -> None:
    Journal(tmp_path / "var" / "tokens").write(Arrived("alice", "shop", 1, "sealed", None))
    found = modes(tmp_path)
    assert (found.pop("var"), found.pop("var/tokens"), set(found.values())) == ("0o700", "0o700", {"0o600"})


def test_an_export_and_the_trash_that_it_is_read_into_are_private(tmp_path: Path) -> None:
    runner, url = CliRunner(), f"sqlite:///{tmp_path}/var/trash.sqlite"
    (tmp_path / "empty.jsonl").touch()
    done = runner.invoke(import_, [str(tmp_path / "empty.jsonl"), "--trash-url", url, "--json"])
    assert json.loads(done.output) == {"imported": 0, "known": 0}
    (tmp_path / "empty.jsonl").unlink()
    assert runner.invoke(export, [str(tmp_path / "out.jsonl"), "--trash-url", url]).exit_code == 0
    assert modes(tmp_path) == {"var": "0o700", "var/trash.sqlite": "0o600", "out.jsonl": "0o600"}


def test_what_is_there_keeps_its_mode(tmp_path: Path) -> None:
    folder, path = tmp_path / "shared", tmp_path / "shared" / "file"
    folder.mkdir()
    path.write_text("kept")
    make_private_folder(folder)
    make_private_file(path)
    assert (modes(tmp_path), path.read_text()) == ({"shared": "0o755", "shared/file": "0o644"}, "kept")


def test_another_connection_of_the_process_does_not_take_the_locks_of_the_first(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/kept.sqlite"
    with sync_engine(url).connect() as connection:
        connection.execute(text(LINES[0]))
        connection.commit()
        with sync_engine(url).connect() as other:
            other.execute(text("SELECT * FROM kept"))
        write_in_another_process(tmp_path / "kept.sqlite")  # would delete what it takes for nobody's
        assert (tmp_path / "kept.sqlite-wal").exists()
        assert connection.execute(text("SELECT number FROM kept")).scalars().all() == [1]


def write_in_another_process(path: Path) -> None:
    code = f"import sqlite3; c = sqlite3.connect({str(path)!r}); c.execute({LINES[1]!r}); c.commit(); c.close()"
    subprocess.run([sys.executable, "-c", code], check=True)
