"""`orchesty-worker trash edit`."""

import asyncio
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import click
import msgspec

from worker.cli.options import json_option, trash_option
from worker.cli.printing import say, say_json
from worker.cli.trash.look import pretty
from worker.cli.trash.store import found, opened
from worker.errors import UnreadableMessage
from worker.protocol.message import decode
from worker.settings.settings import Settings, load_settings
from worker.trash.entry import Entry, EntryState
from worker.trash.store import TrashStore, whoami


@dataclass(frozen=True, slots=True)
class Edited:
    """What an entry is to hold."""

    body: str
    headers: Mapping[str, Any] | None = None
    """Those of a message that could not be read before."""


@click.command(
    epilog="""\b
Examples:
  orchesty-worker trash edit 1f3a
  EDITOR="sed -i s/tree/three/" orchesty-worker trash edit 1f3a
  jq '.total = 3' body.json | orchesty-worker trash edit 1f3a --file -
"""
)
@click.argument("entry_id", metavar="ID")
@click.option("--file", type=click.File("rb"), help="Take the body from this file; - is standard input.")
@json_option
@trash_option
def edit(entry_id: str, file: BinaryIO | None, *, as_json: bool, trash_url: str | None) -> None:
    """Change the body of a waiting entry in $VISUAL or $EDITOR.

    A body that was JSON has to stay JSON. The original body is kept: `trash show` shows both. A message that could not
    be read is edited as a whole: {"headers": {...}, "body": "..."}. Once it can be read, you can approve it.
    """
    asyncio.run(_edit(load_settings(trash_url=trash_url), entry_id, file, as_json=as_json))


async def _edit(settings: Settings, reference: str, file: BinaryIO | None, *, as_json: bool) -> None:
    async with opened(settings) as store:
        entry = await found(store, reference)
        if entry.state is not EntryState.WAITING:
            raise click.ClickException(
                f"{entry.id} is {entry.state} by {entry.changed_by}; only waiting entries can be edited"
            )
        if file is not None:
            is_edited = await _keep(store, entry, _checked(entry, file.read(), settings.max_message_bytes))
        else:
            with _draft(entry) as path:
                is_edited = await _keep(store, entry, _ask_editor(entry, path, settings.max_message_bytes))
    if as_json:
        say_json({"id": entry.id, "isEdited": is_edited}, indent=None)
    elif is_edited:
        say(f"{entry.id} edited. Send it on: orchesty-worker trash approve {entry.id[:8]}")
    else:
        say(f"{entry.id} not changed")


async def _keep(store: TrashStore, entry: Entry, edited: Edited | None) -> bool:
    """Return whether there was anything to keep. Raises a `ClickException` when somebody else was faster."""
    if edited is None or (edited.body == entry.body and edited.headers is None):
        return False
    if not await store.edit(entry, edited.body, whoami(), edited.headers):
        raise click.ClickException(f"{entry.id}: somebody else has changed or decided it meanwhile")
    return True


@contextmanager
def _draft(entry: Entry) -> Iterator[Path]:
    """Lay the text into a file for the editor; one that was changed and not kept in the trash is left, and named."""
    descriptor, name = tempfile.mkstemp(
        prefix=f"trash-{entry.id[:8]}-", suffix=".json" if _is_json(entry.text) else ".txt"
    )
    path = Path(name)
    with os.fdopen(descriptor, "wb") as opened_file:
        opened_file.write(_offered(entry))
    try:
        yield path
    except BaseException:
        if _changed(entry, path) is not None:
            say(f"Nothing is changed; your text is in {path}", err=True)
        else:
            path.unlink(missing_ok=True)
        raise
    path.unlink(missing_ok=True)


def _offered(entry: Entry) -> bytes:
    return pretty(entry.text).encode() if entry.is_readable else entry.content


def _changed(entry: Entry, path: Path) -> bytes | None:
    """Return what an editor has made of the text; None when it has left it, or deleted the file."""
    content = path.read_bytes() if path.exists() else None
    return None if content == _offered(entry) else content


def _ask_editor(entry: Entry, path: Path, max_bytes: int) -> Edited | None:
    """Let a person edit until the text can be used; None when nothing was changed."""
    while True:
        _run_editor(path)
        content = _changed(entry, path)
        if content is None:
            return None
        try:
            return _checked(entry, content, max_bytes)
        except click.ClickException as problem:
            if not (sys.stdin.isatty() and click.confirm(f"{problem.message}\nEdit it again?", default=True)):
                raise


def _run_editor(path: Path) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        done = subprocess.run([*shlex.split(editor), str(path)], check=False)  # noqa: S603 - the person's own editor
    except OSError as error:
        raise click.ClickException(f"the editor cannot be started: {error}. Set EDITOR, or use --file") from None
    if done.returncode:
        raise click.ClickException(f"{editor} ended with status {done.returncode}")


def _checked(entry: Entry, content: bytes, max_bytes: int) -> Edited:
    """Return what the entry is to hold. Raises a `ClickException` that names the place which is wrong."""
    if not entry.is_readable:
        try:
            envelope = decode(content, max_bytes)
        except UnreadableMessage as error:
            raise click.ClickException(f"it still cannot be read: {error}") from None
        return Edited(envelope.body, envelope.headers or {})
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise click.ClickException(f"the body must be UTF-8: {error}") from None
    body = entry.body or ""
    if not _is_json(body):
        return Edited(text)
    try:
        packed = msgspec.json.format(text, indent=-1).strip()
    except (msgspec.DecodeError, RecursionError) as error:
        raise click.ClickException(f"the body was JSON and is not JSON now: {error}{_place(error, content)}") from None
    return Edited(text.rstrip("\n") if "\n" in body else packed)


def _place(error: Exception, content: bytes) -> str:
    """Return where an editor shows the byte that an error names."""
    named = re.search(r"\(byte (\d+)\)", str(error))
    if named is None:
        return ""
    *above, line = content[: int(named[1])].split(b"\n")
    return f", line {len(above) + 1} column {len(line) + 1}"


def _is_json(text: str) -> bool:
    try:
        msgspec.json.format(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return False
    return True
