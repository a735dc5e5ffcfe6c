"""MongoDB's documents, compared with those that the platform's own worker wrote."""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import ObjectId, json_util
from pymongo import AsyncMongoClient
from support.databases import MakeDatabase
from support.entries import ENTRY

from worker.trash.documents import LARGE, to_document, to_entry
from worker.trash.entry import EntryState, EntryType
from worker.trash.opening import open_trash
from worker.trash.store import Claim, Search

AWARE = json_util.JSONOptions(tz_aware=True)
SAMPLES = sorted((Path(__file__).parent.parent / "conformance").glob("*.json"))


def recorded() -> list[dict[str, Any]]:
    texts = [path.read_text() for path in SAMPLES]
    kept = [entry["document"] for text in texts for entry in json.loads(text).get("mongo", [])]
    return [json_util.loads(json.dumps(document), json_options=AWARE) for document in kept if "_id" in document]


@pytest.mark.parametrize("document", recorded(), ids=lambda document: str(document["_id"]))
def test_a_recorded_document_comes_back_but_for_our_own_fields(document: dict[str, Any]) -> None:
    written, parts = to_document(to_entry(document, {}))
    assert written.pop("worker").keys() <= {"state", "floodKey"}
    assert parts == {}
    assert written == document
    assert bson.encode(written)
    for name, value in document.items():
        assert isinstance(written[name], datetime | ObjectId | dict | type(value))


def test_there_are_recorded_documents_of_both_kinds() -> None:
    assert {document["type"] for document in recorded()} == {"trash", "userTask"}


def test_whole_numbers_of_the_platforms_worker_are_whole_again() -> None:
    (document, *_) = recorded()
    assert to_entry(document, {}).headers["process-started"] == 1700000000000
    assert isinstance(to_entry(document, {}).headers["process-started"], int)


def test_a_document_of_a_large_message_is_small() -> None:
    large = "x" * (2 * LARGE)
    entry = replace(ENTRY, body=large, raw=large.encode(), original_body=large, headers={"large": large})
    document, parts = to_document(entry)
    assert len(bson.encode(document)) < 10_000
    assert set(parts) == {"body", "raw", "original_body", "headers"}


async def test_entries_of_the_platform_are_decided_and_leave_its_collection(make_database: MakeDatabase) -> None:
    url = make_database("mongodb")
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(url)
    platforms = client.get_default_database()["UserTask"]
    await platforms.insert_many(recorded())
    store = open_trash(url)
    ids = await store.ids(Search(reason="on purpose", type=EntryType.TRASH))
    assert 0 < len(ids) < len(recorded())
    claim = Claim.now()
    assert len(await store.claim(ids, claim)) == len(ids)
    assert await platforms.count_documents({}) == len(recorded()) - len(ids)
    await store.decide(ids, claim, EntryState.APPROVED)
    assert len(await store.ids(Search(states=frozenset({EntryState.APPROVED})))) == len(ids)
    await store.close()
    await client.close()


async def test_an_entry_that_the_platform_has_decided_first_is_not_ours(make_database: MakeDatabase) -> None:
    url = make_database("mongodb")
    store = open_trash(url)
    await store.add(ENTRY)
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(url)
    await client.get_default_database()["UserTask"].delete_one({"_id": ObjectId(ENTRY.id)})
    assert await store.claim([ENTRY.id], Claim.now()) == []
    await store.close()
    await client.close()
