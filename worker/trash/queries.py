"""Searches as MongoDB's queries."""

import re
from datetime import datetime
from typing import Any

from worker.trash.documents import to_time
from worker.trash.entry import EntryState
from worker.trash.store import Search

Query = dict[str, Any]


def mongo_query(search: Search, states: frozenset[EntryState] | None = None) -> Query:
    """Return the query for documents that fit: of those in `UserTask`, or else of those decided, in these states."""
    wanted: list[Query] = []
    if states is not None:
        wanted.append({"worker.state": {"$in": sorted(states)}})
    if search.nodes:
        names = list(search.nodes)
        wanted.append({"$or": [{"nodeId": {"$in": names}}, {"nodeName": {"$in": names}}]})
    if search.topology:
        wanted.append({"$or": [{"topologyId": search.topology}, {"topologyName": search.topology}]})
    if search.process:
        wanted.append({"correlationId": search.process})
    if search.user:
        wanted.append({"user": search.user})
    if search.application:
        places = ("worker.application", "message.headers.application")
        wanted.append({"$or": [{place: search.application} for place in places]})
    if search.reason:
        contains = {"$regex": re.escape(search.reason), "$options": "i"}
        places = ("message.headers.result-message", "worker.reason")
        wanted.append({"$or": [{place: contains} for place in places]})
    if search.type is not None:
        wanted.append({"type": search.type.value})
    wanted += _times(search)
    if search.updated_before is not None:
        before = search.updated_before
        wanted.append({"updated": {"$lt": to_time(before)}} if states is None else {"worker.changed": {"$lt": before}})
    return {"$and": wanted} if wanted else {}


def _times(search: Search) -> list[Query]:
    bounds: list[tuple[str, str, int | None]] = [
        ("created", "$lt", search.created_before),
        ("created", "$gt", search.created_after),
    ]
    found: list[tuple[str, str, datetime]] = [(name, than, to_time(ms)) for name, than, ms in bounds if ms is not None]
    return [{name: {than: time}} for name, than, time in found]
