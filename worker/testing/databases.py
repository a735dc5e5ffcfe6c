"""Databases of a test: migrations take their time, a copy of what they have made takes none."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from worker.accounts import tables as accounts
from worker.accounts.sql import InstallsDatabase
from worker.database.migrate import Chain, bring_up_to_date
from worker.trash import tables as trash
from worker.trash.opening import open_trash
from worker.trash.store import TrashStore


def new_trash(folder: str) -> TrashStore:
    """Return an empty trash in this folder."""
    return open_trash(_made(Path(folder, "trash.sqlite"), trash.CHAIN))


def new_installs(folder: str) -> InstallsDatabase:
    """Return an empty database of installs in this folder."""
    return InstallsDatabase(_made(Path(folder, "installs.sqlite"), accounts.CHAIN))


def _made(path: Path, chain: Chain) -> str:
    path.write_bytes(_empty(chain))
    return f"sqlite:///{path}"


@cache
def _empty(chain: Chain) -> bytes:
    with TemporaryDirectory(prefix="orchesty-worker-") as folder:
        path = Path(folder, "empty.sqlite")
        bring_up_to_date(f"sqlite:///{path}", chain)
        return path.read_bytes()
