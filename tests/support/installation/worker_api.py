"""A stand-in of the platform's worker-api: documents in memory, with the rules of the real one."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from support.services import served

KEY = "key-of-the-tests"
LARGEST_BYTES = 100 * 1024
_FIELDS: Mapping[str, Mapping[str, type | tuple[type, ...]]] = {
    "ApplicationInstall": {
        "ids": list, "names": (list, dict), "users": list, "sdks": list, "expires": str, "nonEncrypted": dict,
        "enabled": (bool, type(None)), "deleted": (bool, type(None)),
    },
    "Webhook": {"ids": list, "apps": list, "users": list, "sdks": list, "deleted": (bool, type(None))},
    "Node": {"ids": list},
}  # fmt: skip
_COLUMNS = {"names": "key", "users": "user", "sdks": "sdk", "apps": "application"}


class Refused(Exception):
    """A request is not answered."""


class WorkerApi:
    """Keeps documents by collection, and notes what is asked."""

    def __init__(self) -> None:
        self.documents: dict[str, list[dict[str, Any]]] = {name: [] for name in _FIELDS}
        self.requests: list[tuple[str, str]] = []
        self.failing: web.Response | None = None
        """What is answered in place of documents."""
        self.url = ""
        self._made = 0

    def add(self, collection: str, **fields: Any) -> str:
        """Add a document, as somebody else has made it; return its id."""
        self._made += 1
        own = {"_id": f"{self._made:024x}", "deleted": False, "created": datetime.now(UTC).isoformat()}
        self.documents[collection].append(own | fields)
        return str(own["_id"])

    def kept(self, collection: str) -> list[dict[str, Any]]:
        """Return the documents that are not deleted."""
        return [one for one in self.documents[collection] if one.get("deleted") is False]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["WorkerApi"]:
        """Serve on loopback."""
        application = web.Application(client_max_size=LARGEST_BYTES)
        application.router.add_route("*", "/document/{collection}", self._answer)
        application.router.add_route("POST", "/{path:(logger|metrics)/.*}", self._noted)
        async with served(application) as url:
            self.url = url
            yield self

    async def _noted(self, request: web.Request) -> web.Response:
        return web.json_response({})

    async def _answer(self, request: web.Request) -> web.Response:
        collection = request.match_info["collection"]
        self.requests.append((request.method, request.path_qs))
        if self.failing is not None:
            return web.Response(
                status=self.failing.status, body=self.failing.body, content_type=self.failing.content_type
            )
        if request.headers.get("orchesty-api-key") != KEY:
            return web.json_response({"message": "Bad credentials"}, status=401)
        if collection not in _FIELDS:
            return _refused(f"Unsupported document [{collection}]")
        try:
            return web.json_response(await self._done(request, collection))
        except Refused as error:
            return _refused(str(error))

    async def _done(self, request: web.Request, collection: str) -> Any:
        if request.method == "POST":
            if len(await request.read()) > LARGEST_BYTES:
                raise web.HTTPRequestEntityTooLarge(LARGEST_BYTES, 0)
            for document in await request.json():
                self._save(collection, document)
            return {"message": {"status": "OK", "data": ""}}
        query = {name: json.loads(value) for name, value in request.query.items()}
        found = self._found(collection, query.get("filter"))
        if request.method == "DELETE":
            for document in found:
                document["deleted"] = datetime.now(UTC).isoformat()
            return {"message": {"status": "OK", "data": {"deleted": len(found)}}}
        if sorter := query.get("sorter"):
            found.sort(key=lambda one: str(one.get("created")), reverse=sorter["created"] != "asc")
        if paging := query.get("paging"):
            start = paging.get("offset", 0)
            found = found[start : start + paging.get("limit", 100)]
        return found

    def _save(self, collection: str, document: dict[str, Any]) -> None:
        own_id = document.pop("_id", "")
        if not own_id:
            self.add(collection, **document)
            return
        for one in self.documents[collection]:
            if one["_id"] == _object_id(own_id):
                one.update(document)

    def _found(self, collection: str, wanted: Any) -> list[dict[str, Any]]:
        checks = _checked(collection, wanted or {})
        found = self.documents[collection] if checks.get("deleted") else self.kept(collection)
        for name, column in _COLUMNS.items():
            if isinstance(values := checks.get(name), dict):
                found = [one for one in found if one.get(column) not in values["nin"]]
            elif values is not None:
                found = [one for one in found if one.get(column) in values]
        if "ids" in checks:
            found = [one for one in found if one["_id"] in set(map(_object_id, checks["ids"]))]
        if wanted is not None and collection == "ApplicationInstall" and checks.get("enabled", True):
            found = [one for one in found if one.get("enabled") is True]
        if "expires" in checks:
            found = [
                one for one in found if isinstance(one.get("expires"), str) and one["expires"] <= checks["expires"]
            ]
        for name, value in checks.get("nonEncrypted", {}).items():
            values = next(iter(value.values())) if isinstance(value, dict) else [value]
            found = [one for one in found if one.get("nonEncryptedSettings", {}).get(name) in values]
        return list(found)


def _checked(collection: str, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    for name, value in wanted.items():
        kinds = _FIELDS[collection].get(name)
        if kinds is None:
            raise Refused(f'"{name}" is not allowed')
        if not isinstance(value, kinds):
            raise Refused(f'"{name}" is of another type')
        for at, one in enumerate(value if isinstance(value, list) else ()):
            if not isinstance(one, str):
                raise Refused(f'"{name}[{at}]" must be a string')
            if not one:
                raise Refused(f'"{name}[{at}]" is not allowed to be empty')
    return wanted


def _object_id(text: str) -> str:
    if not re.fullmatch("[0-9a-fA-F]{24}", text):
        raise Refused("input must be a 24 character hex string, 12 byte Uint8Array, or an integer")
    return text.lower()


def _refused(reason: str) -> web.Response:
    return web.json_response({"message": {"error": reason}}, status=400)
