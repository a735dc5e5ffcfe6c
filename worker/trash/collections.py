"""What the MongoDB store asks its collections for."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from bson import ObjectId
from bson.errors import BSONError
from pymongo import AsyncMongoClient, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure, PyMongoError

from worker.errors import StoreError
from worker.trash.documents import LARGE, Document, Parts

log = structlog.get_logger()

Collection = AsyncCollection[Document]

DEFAULT_DATABASE = "orchesty"
SELECT_MS = 10_000
"""How long to look for a server, unless the URL says otherwise."""

DUPLICATE = 11000
"""MongoDB's code for an id that is there."""


def client_of(url: str) -> AsyncMongoClient[Document]:
    """Return a client that connects when it is first used."""
    patience: dict[str, Any] = (
        {} if "serverselectiontimeoutms" in url.lower() else {"serverSelectionTimeoutMS": SELECT_MS}
    )
    return AsyncMongoClient(url, tz_aware=True, appname="orchesty-worker", **patience)


async def connect(url: str, collection: str) -> AsyncMongoClient[Document]:
    """Return a client whose server answers."""
    client = client_of(url)
    try:
        await _prepare(client, collection)
    except BaseException:
        await client.close()
        raise
    return client


async def _prepare(client: AsyncMongoClient[Document], collection: str) -> None:
    open_, _, parts = collections_of(database_of(client), collection)
    try:
        await open_.create_index("worker.floodKey", name="worker.floodKey", sparse=True)
        await open_.create_index("worker.twin", name="worker.twin", sparse=True)
        await parts.create_index("entry", name="entry")
    except OperationFailure as error:
        if error.code not in {13, 8000}:  # not authorized, in MongoDB's and in Atlas' words
            raise
        log.warning(
            "trash_index_missing", cause=str(error), consequence="the trash works, and gets slow when it is full"
        )


def database_of(client: AsyncMongoClient[Document]) -> AsyncDatabase[Document]:
    """Return the database; a majority of its servers has what is written there, unless the URL says otherwise."""
    database = client.get_default_database(DEFAULT_DATABASE)
    if client.write_concern.is_server_default:
        return database.with_options(write_concern=WriteConcern("majority"))
    return database


def collections_of(database: AsyncDatabase[Document], name: str) -> tuple[Collection, Collection, Collection]:
    """Return the collection of what waits, and those of what is decided and of parts, whose names begin with its."""
    return database[name], database[f"{name}Decided"], database[f"{name}Part"]


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn what the driver raises into `StoreError`."""
    try:
        yield
    except (PyMongoError, BSONError) as error:
        raise StoreError(str(error)) from error


async def insert(collection: Collection, document: Document) -> bool:
    """Insert a document; False when one with its id is there."""
    try:
        await collection.insert_one(document)
    except DuplicateKeyError:
        return False
    return True


async def insert_many(collection: Collection, documents: Sequence[Document]) -> set[ObjectId]:
    """Insert the documents whose ids are not there; return their ids."""
    ids = [document["_id"] for document in documents]
    if not documents:
        return set()
    try:
        await collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        failed = (error.details or {}).get("writeErrors", [])
        if any(one["code"] != DUPLICATE for one in failed):
            raise
        return set(ids) - {ids[one["index"]] for one in failed}
    return set(ids)


async def put_parts(collection: Collection, document: Document, parts: Parts) -> None:
    """Write what lies beside a document, before the document that names it."""
    for name, content in parts.items():
        for number in range(0, len(content), LARGE):
            part = {"_id": _part_id(document, name, number), "entry": document["_id"]}
            part["data"] = content[number : number + LARGE]
            await collection.replace_one({"_id": part["_id"]}, part, upsert=True)


async def parts_of(collection: Collection, document: Mapping[str, Any]) -> Parts:
    """Read what lies beside a document."""
    return {
        name: b"".join([await _part(collection, _part_id(document, name, number)) for number in range(0, size, LARGE)])
        for name, size in ((document.get("worker") or {}).get("parts") or {}).items()
    }


async def _part(collection: Collection, own: str) -> bytes:
    part = await collection.find_one({"_id": own})
    if part is None:
        raise StoreError(f"a part of a large message is missing: {own}")
    return bytes(part["data"])


def _part_id(document: Mapping[str, Any], name: str, number: int) -> str:
    return f"{document['_id']}:{document['worker']['partsVersion']}:{name}:{number}"
