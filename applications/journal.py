"""Tokens on their way into the database.

A service that rotates refresh tokens takes the old one back when it sends the new one: a reply that is lost is a login
that is lost. So the reply is written to a file, sealed, before anything else happens, and stays there until the
database has it. Whoever comes next on this machine finds it: this process after the database is back, or another one
after this one was killed. Where nothing can be written, it stays in the memory of this process instead.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

import structlog

from applications.install import place_of
from applications.private_files import make_private_folder, private

log = structlog.get_logger()

_TRIED_BYTES: Final = 16384
"""More than the file of a token has."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A token that a refresh brought, sealed as it will stand in the database."""

    user: str
    application: str
    fence: int
    sealed: str = field(repr=False)
    expires: float | None
    sdk: str = ""


class Journal:
    """A directory with one file for each token that is not in the database yet."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._unwritten: dict[Path, Arrived] = {}

    def problem(self) -> str:
        """Try to write beside the files, without leaving anything; return what stands against it, or nothing."""
        places = (self._directory, *self._directory.absolute().parents)
        try:
            with tempfile.TemporaryFile(dir=next(place for place in places if place.exists())) as file:
                file.write(bytes(_TRIED_BYTES))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            return f"{self._directory}: {error.strerror}"
        return ""

    def write(self, arrived: Arrived) -> None:
        """Keep it, on the disk when this returns. Without a pause: nothing else of this process comes between.

        What the disk does not take is logged and stays in memory.
        """
        try:
            self._write(arrived)
        except OSError as error:
            self._unwritten[self._path(arrived)] = arrived
            log.error("token_journal_unwritable", cause=str(error), cure="Set WORKER_TOKEN_JOURNAL")  # noqa: TRY400 - the place in our code explains nothing

    def prepare(self) -> None:
        """Do before a token arrives what can be done before."""
        with suppress(OSError):  # `write` tells
            make_private_folder(self._directory)

    def _write(self, arrived: Arrived) -> None:
        make_private_folder(self._directory)
        path = self._path(arrived)
        part = path.with_suffix(f".{os.getpid()}")
        with open(part, "w", opener=private) as file:
            json.dump(asdict(arrived), file)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):  # somebody has found it, and put it into the database
            part.replace(path)
        _sync(self._directory)

    def remove(self, arrived: Arrived) -> None:
        """Forget it, and parts of files of earlier refreshes, as nobody needs them any more.

        A file that cannot be deleted is harmless: its token is as old as the one in the database.
        """
        path = self._path(arrived)
        self._unwritten.pop(path, None)
        parts = [part for part in self._parts(path.stem.partition("-")[0]) if part.stem <= path.stem]
        for file in (path, *parts):
            with suppress(OSError):
                file.unlink(missing_ok=True)

    def waiting(self, user: str, application: str, sdk: str = "") -> Iterator[Arrived]:
        """Yield what has arrived for an install, in the order of the refreshes."""
        name = _name(user, application, sdk)
        pattern = f"{name}-*.json"
        unwritten = {path for path in self._unwritten if path.match(pattern)}
        for path in sorted({*self._directory.glob(pattern), *unwritten, *self._parts(name)}):
            if (arrived := self._unwritten.get(path) or _read(path)) is not None:
                yield arrived

    def _parts(self, name: str) -> list[Path]:
        """Return the files that are being written, or were when their process died: some of them are whole."""
        return [path for path in self._directory.glob(f"{name}-*.*") if _is_part(path)]

    def _path(self, arrived: Arrived) -> Path:
        return self._directory / f"{_name(arrived.user, arrived.application, arrived.sdk)}-{arrived.fence:020}.json"


def _name(user: str, application: str, sdk: str) -> str:
    return sha256(json.dumps(place_of(user, application, sdk)).encode()).hexdigest()[:32]


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_part(path: Path) -> bool:
    return path.suffix[1:].isdecimal()


def _read(path: Path) -> Arrived | None:
    """Return what the file holds; None when another process has just saved it, or when nobody can read it."""
    try:
        return Arrived(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):  # put aside, for it would stop all that follow
        if _is_part(path):
            return None
        aside = path.replace(path.with_suffix(".unreadable"))
        log.error("token_journal_unreadable", path=str(aside))  # noqa: TRY400 - the place in our code explains nothing
        return None
