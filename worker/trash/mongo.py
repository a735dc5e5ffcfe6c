"""The trash in the platform's MongoDB.

Waiting entries are documents of the collection `UserTask`, where the platform's own pages show and decide them. An
entry that is being decided here, or was, lies in `UserTaskDecided`: claiming copies it there, which only one can do
because ids are unique, and then takes it away from `UserTask`. So the platform's pages do not offer it any more, and
whoever was faster there wins.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from pymongo import AsyncMongoClient

from worker.protocol.message import now_ms
from worker.trash.collections import (
    Collection,
    client_of,
    collections_of,
    connect,
    database_of,
    insert,
    insert_many,
    parts_of,
    put_parts,
    store_errors,
)
from worker.trash.documents import Document, to_document, to_entry, to_time
from worker.trash.entry import ID_LENGTH, Entry, EntryState, EntryType, short_id
from worker.trash.queries import mongo_query
from worker.trash.store import Claim, Search, chunks, load_waiting

_OLDEST = [("created", 1), ("_id", 1)]


class MongoTrash:
    """Entries in the collections `UserTask`, `UserTaskDecided` and, for what is too large, `UserTaskPart`."""

    def __init__(self, url: str, flood_limit: int, collection: str) -> None:
        """`url` is `mongodb://...`; the database is the one it names, else `orchesty`.

        `collection` is another name for `UserTask`, with which those of the other two begin.
        """
        self._url = url
        self._collection = collection
        self.flood_limit = flood_limit
        self._client: AsyncMongoClient[Document] | None = None

    async def add(self, entry: Entry) -> str:
        """Keep a message, or count it on the oldest of its kind; return the id under which it is found.

        Several workers may each add one above the flood limit, or a copy of one message, at the same moment.
        """
        async with self._collections() as (open_, decided, parts):
            document, beside = to_document(_stamped(entry))
            equal = await self._equal(open_, entry, document)
            if equal is not None:
                oldest = await open_.find_one_and_update(equal, {"$inc": {"worker.more": 1}}, sort=_OLDEST)
                if oldest is not None:
                    return str(oldest["_id"])
            await put_parts(parts, document, beside)
            if await insert(open_, document) and await decided.find_one({"_id": document["_id"]}, {"_id": 1}):
                await open_.delete_one({"_id": document["_id"]})  # a redelivery of what was decided long ago
            return entry.id

    async def _equal(self, open_: Collection, entry: Entry, document: Document) -> Document | None:
        """Match those on which the entry is counted instead of being kept; None: it is kept."""
        ways = [({"worker.twin": entry.twin}, 1)] if entry.twin is not None else []
        if self.flood_limit and entry.type is EntryType.TRASH:
            ways.append(({"worker.floodKey": document["worker"]["floodKey"]}, self.flood_limit))
        for equal, enough in ways:
            if await open_.count_documents(equal, limit=enough) >= enough and await self._is_new(document["_id"]):
                return equal
        return None

    async def _is_new(self, own: ObjectId) -> bool:
        async with self._collections() as (open_, decided, _):
            return not any([await place.find_one({"_id": own}, {"_id": 1}) for place in (open_, decided)])

    async def put(self, entry: Entry) -> bool:
        """Keep an entry as it is; False when one with its id is there."""
        async with self._collections() as (open_, decided, parts):
            document, beside = to_document(_stamped(entry))
            if not await self._is_new(document["_id"]):
                return False
            await put_parts(parts, document, beside)
            return await insert(open_ if entry.state is EntryState.WAITING else decided, document)

    async def ids(self, search: Search) -> Sequence[str]:
        """Return the ids of the entries that fit, oldest first."""
        found: dict[ObjectId, Any] = {}
        shown = {"created": 1}
        async with self._collections() as (open_, decided, _):
            if EntryState.WAITING in search.states:
                found |= {one["_id"]: one async for one in open_.find(mongo_query(search), shown)}
            if others := search.states - {EntryState.WAITING}:
                found |= {one["_id"]: one async for one in decided.find(mongo_query(search, others), shown)}
        return [str(one["_id"]) for one in sorted(found.values(), key=lambda one: (one["created"], one["_id"]))]

    async def load(self, ids: Sequence[str]) -> Sequence[Entry]:
        """Return the entries with these ids, in this order."""
        async with self._collections() as (open_, decided, parts):
            wanted = {"_id": {"$in": _object_ids(ids)}}
            found = {one["_id"]: one for place in (open_, decided) async for one in place.find(wanted)}
            documents = [found[own] for own in _object_ids(ids) if own in found]
            return [to_entry(one, await parts_of(parts, one)) for one in documents]

    async def get(self, reference: str) -> Entry | None:
        """Return an entry by its id or the beginning of it, when that is unique."""
        own = short_id(reference)
        first, last = own.ljust(ID_LENGTH, "0"), own.ljust(ID_LENGTH, "f")
        if not own or not ObjectId.is_valid(first):
            return None
        between = {"_id": {"$gte": ObjectId(first), "$lte": ObjectId(last)}}
        async with self._collections() as (open_, decided, _):
            found = {one["_id"] for place in (open_, decided) async for one in place.find(between, {"_id": 1}).limit(2)}
        return next(iter(await self.load([str(one) for one in found])), None) if len(found) == 1 else None

    async def edit(self, entry: Entry, body: str, by: str, headers: Mapping[str, object] | None = None) -> bool:
        """Give a waiting entry another body (and headers); False when it has changed since it was read."""
        now = max(now_ms(), entry.updated + 1)
        original = entry.body if entry.original_body is None else entry.original_body
        edited = replace(entry, body=body, original_body=original, edited=now, edited_by=by, updated=now)
        document, beside = to_document(edited if headers is None else replace(edited, headers=headers))
        ours = {
            f"worker.{name}": value for name, value in document["worker"].items() if name not in {"raw", "floodKey"}
        }
        ours.setdefault("worker.parts", {})
        change = {
            "$set": ours | {"message.body": document["message"]["body"], "worker.changed": now},
            "$currentDate": {"updated": True},
        }
        if headers is not None:
            change["$set"]["message.headers"] = document["message"]["headers"]
        async with self._collections() as (open_, _, parts):
            await put_parts(parts, document, beside)
            return (await open_.update_one(_unchanged(entry), change)).modified_count == 1

    async def claim(self, ids: Sequence[str], claim: Claim) -> Sequence[Entry]:
        """Take waiting entries, and those of claims left behind; return those that are ours now."""
        own = {"_id": {"$in": _object_ids(ids)}}
        async with self._collections() as (open_, decided, _):
            documents = [one async for one in open_.find(own)]
            taken = await insert_many(decided, [_claimed(one, claim) for one in documents])
            await asyncio.gather(*(_take_away(open_, decided, one, claim) for one in documents if one["_id"] in taken))
            left_behind = {**own, "worker.state": EntryState.CLAIMED.value, "worker.changed": {"$lt": claim.stale}}
            if (await decided.update_many(left_behind, {"$set": _claim_fields(claim)})).modified_count:
                mine = [one["_id"] async for one in decided.find(own | {"worker.claim": claim.token}, {"_id": 1})]
                await open_.delete_many({"_id": {"$in": mine}})
            ours = {str(one["_id"]) async for one in decided.find(own | {"worker.claim": claim.token}, {"_id": 1})}
        return await self.load([one for one in ids if one in ours])

    async def release(self, ids: Sequence[str], claim: Claim) -> None:
        """Let entries of this claim wait again."""
        async with self._collections() as (open_, decided, _):
            ours = [one async for one in decided.find(_ours(ids, claim))]
            await insert_many(open_, [_released(one) for one in ours])
            await decided.delete_many(_ours([str(one["_id"]) for one in ours], claim))

    async def decide(self, ids: Sequence[str], claim: Claim, state: EntryState) -> int:
        """Move entries of this claim to this state; return how many were still ours."""
        change = {
            "$set": {"worker.state": state.value, "worker.changed": now_ms()},
            "$unset": {"worker.claim": ""},
        }
        async with self._collections() as (_, decided, _):
            return (await decided.update_many(_ours(ids, claim), change)).modified_count

    async def purge(self, ids: Sequence[str]) -> int:
        """Delete entries for good, unless they are claimed; return how many."""
        count = 0
        async with self._collections() as (open_, decided, parts):
            for chunk in chunks(ids):
                own = {"_id": {"$in": _object_ids(chunk)}}
                not_claimed = {**own, "worker.state": {"$ne": EntryState.CLAIMED.value}}
                count += (await open_.delete_many(own)).deleted_count
                count += (await decided.delete_many(not_claimed)).deleted_count
                left = {one["_id"] async for one in decided.find(own, {"_id": 1})}
                await parts.delete_many({"entry": {"$in": [one for one in own["_id"]["$in"] if one not in left]}})
        return count

    async def waiting(self) -> Sequence[Entry]:
        """Return the entries that nobody has decided, oldest first."""
        return await load_waiting(self)

    async def clock(self) -> datetime:
        """Return the server's time."""
        with store_errors():
            async with client_of(self._url) as client:
                answer = await client.admin.command("hello")
                told: datetime = answer["localTime"]
                return told.replace(tzinfo=UTC)  # BSON has no other

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    @asynccontextmanager
    async def _collections(self) -> AsyncIterator[tuple[Collection, Collection, Collection]]:
        """Connect when that is still to be done. Raises `StoreError` for what the database says."""
        with store_errors():
            if self._client is None:
                self._client = await connect(self._url, self._collection)
            database = database_of(self._client)
            yield collections_of(database, self._collection)


def _stamped(entry: Entry) -> Entry:
    return entry if entry.updated else replace(entry, updated=entry.created)


def _object_ids(ids: Sequence[str]) -> list[ObjectId]:
    return [ObjectId(one) for one in ids if ObjectId.is_valid(one)]


def _claim_fields(claim: Claim) -> Document:
    return {
        "worker.state": EntryState.CLAIMED.value,
        "worker.claim": claim.token,
        "worker.changed_by": claim.by,
        "worker.changed": claim.at,
    }


def _claimed(document: Document, claim: Claim) -> Document:
    ours = {"state": EntryState.CLAIMED.value, "claim": claim.token, "changed_by": claim.by, "changed": claim.at}
    return document | {"worker": (document.get("worker") or {}) | ours}


def _released(document: Document) -> Document:
    ours = {name: value for name, value in document["worker"].items() if name not in {"claim", "changed_by"}}
    now = now_ms()
    return document | {"worker": ours | {"state": EntryState.WAITING.value, "changed": now}, "updated": to_time(now)}


def _unchanged(entry: Entry) -> Document:
    """Match the document as it was read. A change of ours shows in `worker.changed`, another's in `updated`."""
    ours = {"worker.changed": entry.updated}
    others = {"worker.changed": None, "updated": to_time(entry.updated)}
    return {"_id": ObjectId(entry.id), "$or": [ours, others]}


def _ours(ids: Sequence[str], claim: Claim) -> Document:
    return {
        "_id": {"$in": _object_ids(ids)},
        "worker.state": EntryState.CLAIMED.value,
        "worker.claim": claim.token,
    }


async def _take_away(open_: Collection, decided: Collection, document: Document, claim: Claim) -> None:
    """Take a claimed document out of `UserTask`; give it up when it was changed or decided there meanwhile."""
    changed = (document.get("worker") or {}).get("changed")
    unchanged = {"_id": document["_id"], "updated": document.get("updated"), "worker.changed": changed}
    if not (await open_.delete_one(unchanged)).deleted_count:
        await decided.delete_one({"_id": document["_id"], "worker.claim": claim.token})
