"""Writes audit checkpoints to the log, in the form that the platform's trace shows.

Only the fields that the checkpoint names are written, of those never one that is called like a secret, and at most
64 KB. A checkpoint without a list of fields writes nothing.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog
from pydantic import BaseModel, Field, ValidationError
from pydantic_core import from_json, to_json

from connectors import Forward, Limited, Message, Outcome, Page, Repeat, Stop, Trash
from connectors.audit import Checkpoint, Role
from worker.actions.errors import describe
from worker.protocol import headers as h
from worker.protocol.message import Visit

log = structlog.get_logger()

LARGEST_BYTES = 64 * 1024
LONGEST_REASON = 512
REDACTED = "<redacted>"

_SECRET = re.compile(r"password|passwd|secret|token|api[-_]?key|auth", re.IGNORECASE)
_STATUS: Mapping[type, tuple[int, str]] = {
    Forward: (0, "success"),
    Page: (0, "success"),
    Stop: (1003, "success"),
    Repeat: (1001, "repeat"),
    Limited: (1004, "limit"),
    Trash: (1006, "failed"),
}
"""The platform's code and word for each outcome."""


class _Header(BaseModel):
    """The content of the header that an action has set."""

    role: Role
    entity_path: str = Field("$", alias="entityPath")
    fields: tuple[str, ...]


def audited(visit: Visit, outcome: Outcome) -> Outcome:
    """Write the checkpoint that an action has set, and return the outcome without it."""
    message = outcome.message
    assert message is not None, "it holds the checkpoint"
    try:
        read = _Header.model_validate_json(str(message.headers[h.AUDIT_CHECKPOINT]))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        log.warning("audit_checkpoint_unreadable", problem=problems, consequence="it is not written")
    else:
        note(visit, outcome, Checkpoint(read.role, read.fields, read.entity_path))
    rest: Message[Any] = Message(h.without(message.headers, frozenset({h.AUDIT_CHECKPOINT})), message.body)
    return replace(outcome, message=rest)


def note(visit: Visit, outcome: Outcome, checkpoint: Checkpoint) -> None:
    """Write a checkpoint."""
    try:
        for body in _bodies(visit, outcome, checkpoint):
            _write(outcome, checkpoint, body)
    except Exception as error:
        log.warning("audit_checkpoint_unreadable", problem=describe(error), consequence="it is not written")


def _bodies(visit: Visit, outcome: Outcome, checkpoint: Checkpoint) -> Iterator[bytes]:
    """Yield what the lines are about: each item of a batch, else what was returned, or at the exit what was given.

    An action that raises has returned nothing: its line is about what it was given, too.
    """
    if isinstance(outcome, Page):
        for item in outcome.items:
            yield item.body.encode() if isinstance(item, Message) else to_json(item)
    elif outcome.message is None or checkpoint.role == "process_exit":
        yield visit.body.encode()
    else:
        yield outcome.message.body.encode()


def _write(outcome: Outcome, checkpoint: Checkpoint, body: bytes) -> None:
    code, status = _STATUS[type(outcome)]
    content: dict[str, Any] = {
        "role": checkpoint.role,
        "resultCode": code,
        "resultStatus": status,
        "resultMessage": str(getattr(outcome, "reason", ""))[:LONGEST_REASON],
    }
    if checkpoint.fields:
        content["payload"] = _payload(body, checkpoint)
    log.info("Audit checkpoint", auditCheckpoint=content)


def _payload(body: bytes, checkpoint: Checkpoint) -> Any:
    try:
        found = _at(from_json(body), checkpoint.entity_path.removeprefix("$").strip("."))
    except ValueError:
        return {"_invalidJson": True, "_originalSizeBytes": len(body)}
    picked = [_pick(entity, checkpoint.fields) for entity in found] if isinstance(found, list) else None
    payload = _redacted(_pick(found, checkpoint.fields) if picked is None else picked)
    size = len(to_json(payload))
    return payload if size <= LARGEST_BYTES else {"_truncated": True, "_originalSizeBytes": size}


def _at(value: Any, path: str) -> Any:
    for name in filter(None, path.split(".")):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _pick(entity: Any, fields: Sequence[str]) -> dict[str, Any]:
    picked: dict[str, Any] = {}
    for field in fields:
        value = _at(entity, field)
        if value is None:
            continue
        *folders, name = field.split(".")
        place = picked
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = value
    return picked


def _redacted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: REDACTED if _SECRET.search(name) else _redacted(entry) for name, entry in value.items()}
    return [_redacted(entry) for entry in value] if isinstance(value, list) else value
