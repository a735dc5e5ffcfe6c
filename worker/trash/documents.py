"""Entries as the platform's `UserTask` documents, and back.

What the platform knows stands where it expects it; what only we know stands under `worker`. A document may have at
most 16 MB, and BSON cannot hold every header that JSON can: what does not fit is kept beside the document in parts.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import bson
from bson import ObjectId
from bson.errors import BSONError

from worker.protocol import headers as h
from worker.trash.entry import LAST_MS, Entry, EntryState, EntryType, flood_key

Document = dict[str, Any]
Parts = dict[str, bytes]
"""What lies beside the document, by the name of the entry's field."""

_OURS = ("application", "original_body", "edited", "edited_by", "more", "changed_by", "twin")
"""Fields of an entry that stand under `worker` by their own name. Beside them: `state`, `floodKey`, `reason` where the
headers do not have it, `raw` and `isReadable` of an unreadable message, `claim` and
`changed`, the time of our last change in ms.
"""

LARGE = 3 * 1024 * 1024
"""A field that is larger lies beside the document. Bytes; four such fields fit into one document."""

_ELSEWHERE = "too large for a document: orchesty-worker trash show"


def to_document(entry: Entry) -> tuple[Document, Parts]:
    """Return the document of an entry, and its parts."""
    parts: Parts = {}
    shown, body = entry.text, entry.body
    ours: Document = {name: value for name in _OURS if (value := getattr(entry, name)) not in {None, "", 0}}
    ours |= {"state": entry.state.value, "floodKey": _flood_key(entry)}
    ours |= {} if entry.state is EntryState.WAITING else {"changed": entry.updated}
    headers = _bson_headers(entry, parts)
    if entry.reason != _reason(entry.type, headers):
        ours["reason"] = entry.reason
    if body is not None and len(body.encode()) > LARGE:
        parts["body"], shown = body.encode(), _ELSEWHERE
    if entry.raw is not None:
        parts |= {"raw": entry.raw} if len(entry.raw) > LARGE else {}
        ours |= {"isReadable": entry.is_readable} | ({} if "raw" in parts else {"raw": entry.raw})
        shown = _ELSEWHERE if body is None and len(shown.encode()) > LARGE else shown
    if entry.original_body is not None and len(entry.original_body.encode()) > LARGE:
        parts["original_body"] = ours.pop("original_body").encode()
    if parts:
        ours |= {"parts": {name: len(content) for name, content in parts.items()}, "partsVersion": entry.updated}
    document = {
        "_id": ObjectId(entry.id),
        "nodeId": entry.node_id,
        "nodeName": entry.node_name,
        "topologyId": entry.topology_id,
        "topologyName": entry.topology_name,
        "correlationId": entry.correlation_id,
        "user": entry.user,
        "created": to_time(entry.created),
        "updated": to_time(entry.updated or entry.created),
        "type": entry.type.value,
        "returnExchange": entry.return_exchange,
        "returnRoutingKey": entry.return_routing_key,
        "message": {"body": shown, "headers": headers},
        "worker": ours,
    }
    return document, parts


def to_entry(document: Mapping[str, Any], parts: Mapping[str, bytes]) -> Entry:
    """Return the entry of a document, ours or the platform's own."""
    ours: Mapping[str, Any] = document.get("worker") or {}
    message = document.get("message") or {}
    headers = json.loads(parts["headers"]) if "headers" in parts else _headers(message.get("headers") or {}, ours)
    kind = EntryType(document.get("type") or EntryType.TRASH)
    raw = parts.get("raw", ours.get("raw"))
    entry = Entry(
        id=str(document["_id"]),
        type=kind,
        node_id=document.get("nodeId") or "",
        node_name=document.get("nodeName") or "",
        topology_id=document.get("topologyId") or "",
        topology_name=document.get("topologyName") or "",
        correlation_id=document.get("correlationId") or "",
        user=document.get("user"),
        reason=ours["reason"] if "reason" in ours else _reason(kind, headers),
        return_exchange=document.get("returnExchange") or "",
        return_routing_key=document.get("returnRoutingKey") or "",
        headers=headers,
        body=_body(ours, message, parts),
        raw=None if raw is None else bytes(raw),
        created=_ms(document.get("created")),
        state=EntryState(ours.get("state", EntryState.WAITING)),
        updated=ours.get("changed") or _ms(document.get("updated")),
        **{name: ours[name] for name in _OURS if name in ours},
    )
    return replace(entry, original_body=parts["original_body"].decode()) if "original_body" in parts else entry


def _body(ours: Mapping[str, Any], message: Mapping[str, Any], parts: Mapping[str, bytes]) -> str | None:
    if not ours.get("isReadable", True):
        return None
    return parts["body"].decode() if "body" in parts else message.get("body") or ""


def _bson_headers(entry: Entry, parts: Parts) -> Document:
    """Return the headers as they are, or as texts when BSON cannot hold them; then they are a part as well."""
    headers = dict(entry.headers)
    try:
        if len(bson.encode(headers)) <= LARGE and not any(name.startswith("$") for name in headers):
            return headers
    except (BSONError, OverflowError, TypeError, RecursionError):
        pass
    parts["headers"] = json.dumps(headers, default=str).encode()
    texts = {name.replace("\x00", "").lstrip("$"): h.text(value) for name, value in headers.items()}
    return {name: text for name, text in texts.items() if len(text) < LARGE // (10 * max(len(texts), 1))}


def _headers(headers: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """Return headers as JSON knows them. The platform's worker writes whole numbers as floating-point ones."""
    values: dict[str, Any] = json.loads(json.dumps(dict(headers), default=str))
    return values if ours else {name: _whole(value) for name, value in values.items()}


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _reason(kind: EntryType, headers: Mapping[str, Any]) -> str | None:
    reason = headers.get(h.RESULT_MESSAGE)
    return None if reason is None or kind is EntryType.USER_TASK else h.text(reason)


def _flood_key(entry: Entry) -> str | None:
    if entry.type is EntryType.USER_TASK:
        return None
    return flood_key(entry.node_id, entry.correlation_id, entry.reason)


def to_time(ms: int) -> datetime:
    """Return a time in ms as BSON keeps it; before 1970 or after the year 9999 the nearest one."""
    ms = min(max(ms, 0), LAST_MS)
    return datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000)


def _ms(time: datetime | None) -> int:
    return 0 if time is None else int(time.timestamp()) * 1000 + time.microsecond // 1000
