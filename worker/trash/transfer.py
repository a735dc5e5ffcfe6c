"""Entries as lines of JSON, for `trash export` and `trash import`: nothing is lost on the way."""

import base64
import json
import re
from dataclasses import fields, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from worker.protocol.message import encode
from worker.trash.entry import ID_LENGTH, LAST_MS, OPEN, Entry, EntryState

_entries = TypeAdapter(Entry)


def to_line(entry: Entry) -> str:
    """Return the entry as one line of JSON without its end; bytes are base64."""
    values: dict[str, Any] = {field.name: getattr(entry, field.name) for field in fields(entry)}
    values["headers"] = dict(entry.headers)
    values["raw"] = None if entry.raw is None else base64.b64encode(entry.raw).decode()
    return json.dumps(values, ensure_ascii=False)


def from_line(line: str) -> Entry:
    """Return the entry of a line. An entry that somebody was deciding waits again.

    Raises `ValueError` that says what is wrong with the line.
    """
    try:
        values = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(values, dict):
        raise ValueError("a line must be a JSON object, as `trash export` writes it")  # noqa: TRY004 - a wrong file, no bug
    if values.get("raw") is not None:
        values["raw"] = _bytes(values["raw"])
    try:
        entry = _entries.validate_python(values)
    except ValidationError as error:
        raise ValueError(_first(error)) from None
    json.dumps(values, default=str, ensure_ascii=False).encode()  # else a store could not hold its texts
    encode(entry.headers, entry.body or "")  # nor its headers
    if not re.fullmatch(f"[0-9a-f]{{{ID_LENGTH}}}", entry.id):
        raise ValueError(f"id: must be {ID_LENGTH} hexadecimal digits")
    for name in ("created", "updated", "edited", "more"):
        if not 0 <= (getattr(entry, name) or 0) <= LAST_MS:
            raise ValueError(f"{name}: must be from 0 to {LAST_MS}")
    if entry.body is None and entry.raw is None:
        raise ValueError("body: missing, and there are no raw bytes either")
    return replace(entry, state=EntryState.WAITING) if entry.state in OPEN else entry


def _bytes(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except ValueError as error:
        raise ValueError(f"raw: not base64: {error}") from None


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    return f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
