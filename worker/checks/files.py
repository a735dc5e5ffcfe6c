"""Checks of files: can SQLite's and the journal of tokens be written, and is there room on the disk."""

import shlex
import shutil
import sqlite3
import stat
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from sqlalchemy.engine.url import make_url

from applications.journal import Journal
from worker.checks.finding import Finding, failed, ok, warning

LEAST_BYTES = 100 * 1024 * 1024
LITTLE_BYTES = 1024 * 1024 * 1024


def check_file(path: Path, check: str = "trash", variable: str = "WORKER_TRASH_URL") -> Finding:
    """Open the database and begin to write, without writing anything; a missing file is looked for by its folder."""
    folder = _nearest(path.parent)
    try:
        if not path.exists():
            _try_to_create(folder / f".{path.name}.check")
            return ok(check, f"{path} can be created")
        with closing(sqlite3.connect(path, timeout=5)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except (sqlite3.Error, OSError) as error:
        return failed(check, f"{path}: {error}", f"Give {variable}=sqlite:///path a folder that can be written.")
    return ok(check, f"{path} can be written")


def _try_to_create(path: Path) -> None:
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE attempt (number INTEGER)")
    finally:
        path.unlink(missing_ok=True)


def check_disk(url: str) -> Finding:
    """Look for room beside the trash."""
    path = sqlite_path(url)
    folder = _nearest((path or Path.cwd() / "x").parent)
    free = shutil.disk_usage(folder).free
    said = f"{free / 1024**3:.1f} GiB free at {folder}"
    cure = "Make room, or put the trash elsewhere with WORKER_TRASH_URL; see: orchesty-worker trash list"
    if free < LEAST_BYTES:
        return failed("disk", said, cure)
    return warning("disk", said, cure) if free < LITTLE_BYTES else ok("disk", said)


def check_journal(directory: Path) -> Finding:
    """Try to write where tokens wait for the database, without leaving anything there."""
    if problem := Journal(directory).problem():
        cure = (
            "Give WORKER_TOKEN_JOURNAL a directory that can be written, with room, on a disk that outlives a container."
        )
        return warning("token journal", f"{problem}; a token is lost when the worker dies before it is saved", cure)
    return ok("token journal", f"{directory} can be written")


def check_modes(paths: Iterable[Path]) -> Finding:
    """Look for files with data or secrets that other users of this machine can read."""
    beside = [Path(f"{path}{suffix}") for path in paths for suffix in ("", "-wal", "-shm")]
    readable = sorted({str(path) for path in beside if _is_open_to_others(path.absolute())})
    if readable:
        cure = f"chmod 600 {shlex.join(readable)}"
        return warning("file modes", f"other users of this machine can read {', '.join(readable)}", cure)
    return ok("file modes", "no other user can read what is stored here")


def _is_open_to_others(path: Path) -> bool:
    """Whether others may read the file and pass all folders above it."""
    try:
        modes = [place.stat().st_mode for place in path.parents]
        return bool(path.stat().st_mode & stat.S_IROTH) and all(mode & stat.S_IXOTH for mode in modes)
    except OSError:
        return False


def sqlite_path(url: str) -> Path | None:
    """Return the file of an SQLite database; None for a database elsewhere."""
    if not url.startswith("sqlite:"):  # several hosts of a MongoDB are no URL for SQLAlchemy
        return None
    database = make_url(url).database
    return Path(database).absolute() if database else None


def _nearest(folder: Path) -> Path:
    """Return the folder, or the nearest above it that exists: the worker creates what is missing."""
    return next(parent for parent in (folder, *folder.parents) if parent.exists())
