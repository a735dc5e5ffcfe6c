"""The entities of the business audit, such as orders: kept in the platform's MongoDB, by which the admin finds runs.

People declare the kinds of entities and their fields in `AuditEntity`. What a message names of others is dropped with a
warning. The ids under which `AuditData` has the entities travel on in headers, to the counter and to the next nodes.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec
import structlog
from bson import ObjectId
from bson.errors import BSONError
from pymongo.errors import PyMongoError

from worker.prometheus import Family
from worker.protocol import headers as h
from worker.trash.collections import Collection, client_of, database_of
from worker.trash.documents import Document

log = structlog.get_logger()

ANSWER_SECONDS: Final = 2
"""How long a message may wait for the database."""
AWAY_SECONDS: Final = 10
"""How long the database is not asked again that has not answered."""
KIND_SECONDS: Final = 60
"""How long a kind is remembered, and that there is none."""


class Entities(msgspec.Struct):
    """What a message names of one kind."""

    key: str
    """The field that tells entities of the kind apart."""
    fields: list[dict[str, Any]]


class Kind(msgspec.Struct, frozen=True):
    """A kind that people have declared."""

    entity: str
    """Its id."""
    fields: list[str]


class Remembered(NamedTuple):
    """A kind, or that there is none, until this time by the monotonic clock."""

    kind: Kind | None
    until: float


_read_entities = msgspec.json.Decoder(dict[str, Entities]).decode
_read_kinds = msgspec.json.Decoder(dict[str, Kind]).decode
_read_ids = msgspec.json.Decoder(dict[str, str]).decode


class MongoEntities:
    """Keeps the entities that headers name."""

    def __init__(self, url: str, kinds: str, data: str) -> None:
        """`kinds` and `data` are the names of the collections."""
        self._client = client_of(url)
        database = database_of(self._client)
        self._kinds: Collection = database[kinds]
        self._data: Collection = database[data]
        self._remembered: dict[str, Remembered] = {}
        self._away_until = 0.0
        self._outcomes: Counter[str] = Counter(kept=0, unknown=0, postponed=0, dropped=0)

    async def noted(self, headers: Mapping[str, Any], *, is_last: bool) -> Mapping[str, Any]:
        """Keep the entities that the headers name; return the headers with their ids in place of them.

        While the database is away the headers stay as they are, so that the next node tries again; where there is none
        (`is_last`) the entities are lost and counted.
        """
        try:
            named = _read_entities(h.text(headers[h.AUDIT_ENTITY]))
            kinds = _read_kinds(h.text(headers.get(h.AUDIT_ENTITY_FIELDS)) or "{}")
            ids = _read_ids(h.text(headers.get(h.AUDIT_ENTITY_IDS)) or "{}")
        except msgspec.DecodeError as error:
            log.warning("audit_entity_unreadable", problem=str(error), consequence="it is not kept")
            return h.without(headers, frozenset({h.AUDIT_ENTITY}))
        try:
            if time.monotonic() < self._away_until:
                raise TimeoutError
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._keep(named, kinds, ids, h.text(headers.get(h.USER)))
        except (PyMongoError, BSONError, OSError) as error:
            self._note_away(error, is_last=is_last)
            return headers
        told = {h.AUDIT_ENTITY_IDS: _json(ids), h.AUDIT_ENTITY_FIELDS: _json(kinds)}
        return h.without(headers, frozenset({h.AUDIT_ENTITY})) | told

    async def run(self) -> None:
        """Do nothing: what a message names is kept at once."""

    async def finish(self) -> None:
        """Do nothing."""

    def families(self) -> Iterator[Family]:
        """Return the metrics."""
        yield Family(
            "orchesty_worker_audit_entities_total",
            "counter",
            "Entities that messages name: kept, unknown, left to the next node while the database is away, or dropped.",
            [({"outcome": outcome}, count) for outcome, count in sorted(self._outcomes.items())],
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _keep(
        self, named: Mapping[str, Entities], kinds: dict[str, Kind], ids: dict[str, str], user: str
    ) -> None:
        """Add what is found to `kinds` and `ids`."""
        for name in named.keys() - kinds.keys():
            kind = await self._kind(name)
            if kind is not None:
                kinds[name] = kind
        for name, entities in named.items():
            for fields in entities.fields:
                known = self._known(name, entities.key, fields, kinds)
                if known is not None:
                    reference = f"{name}:{known[entities.key]}"
                    ids[reference] = await self._put(ids.get(reference), kinds[name], entities.key, known, user)
                    self._outcomes["kept"] += 1

    async def _kind(self, name: str) -> Kind | None:
        remembered = self._remembered.get(name)
        if remembered is None or remembered.until < time.monotonic():
            found = await self._kinds.find_one({"key": name})
            kind = None if found is None else Kind(str(found["_id"]), _declared(found.get("fields")))
            remembered = self._remembered[name] = Remembered(kind, time.monotonic() + KIND_SECONDS)
        return remembered.kind

    def _known(
        self, name: str, key: str, fields: Mapping[str, Any], kinds: Mapping[str, Kind]
    ) -> dict[str, str] | None:
        """Return the fields that are declared, as texts; None where the kind or its key is not."""
        declared = kinds[name].fields if name in kinds else []
        unknown = sorted(fields.keys() - set(declared))
        if unknown or key not in fields:
            missing = "" if key in fields else key
            log.warning("audit_entity_unknown", entity=name, fields=unknown, missing=missing, declared=sorted(declared))
        if key not in fields or key not in declared:
            self._outcomes["unknown"] += 1
            return None
        return {field: h.text(value) for field, value in fields.items() if field in declared}

    async def _put(self, known_as: str | None, kind: Kind, key: str, fields: Mapping[str, str], user: str) -> str:
        """Add the fields to an entity that may be there, and return its id."""
        added = [{"key": field, "value": value} for field, value in fields.items()]
        change = {"$addToSet": {"fields": {"$each": added}}}
        if known_as is not None and ObjectId.is_valid(known_as):
            await self._data.update_one({"_id": ObjectId(known_as)}, change)
            return known_as
        own: Document = {"user": user, "entity": kind.entity}
        own["fields"] = {"$elemMatch": {"key": key, "value": fields[key]}}
        made = (await self._data.update_one(own, change, upsert=True)).upserted_id
        if made is None:
            found = await self._data.find_one(own, {"_id": 1})
            return str(found["_id"]) if found else ""
        return str(made)

    def _note_away(self, error: Exception, *, is_last: bool) -> None:
        self._outcomes["dropped" if is_last else "postponed"] += 1
        if time.monotonic() >= self._away_until:
            self._away_until = time.monotonic() + AWAY_SECONDS
            cause = f"{type(error).__name__}: {error}" if str(error) else f"no answer within {ANSWER_SECONDS} s"
            log.warning("audit_away", cause=cause, consequence="the next node keeps the entities, if there is one")


def _declared(fields: Any) -> list[str]:
    """Return the keys that a kind declares; a document that people have changed by hand may hold anything."""
    found = fields if isinstance(fields, list) else []
    return [field["key"] for field in found if isinstance(field, dict) and isinstance(field.get("key"), str)]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
