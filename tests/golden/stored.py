"""The platform's documents as they were when a call was recorded."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web

KEY: Final = "golden-api-key"
SECRET: Final = "CryptSecretForGoldenTests"
BAD_REQUEST: Final = 400
_COLUMNS: Final = {"names": "key", "users": "user", "sdks": "sdk", "apps": "application", "ids": "_id"}


class Documents:
    """Answers with the recorded documents, and takes changes."""

    def __init__(self, case: Mapping[str, Any]) -> None:
        self._found: dict[str, list[dict[str, Any]]] = {}
        self._failure: Mapping[str, Any] | None = None
        for call in case["worker_api_calls"]:
            collection = call["path"].removeprefix("/document/")
            answer = call["response"]
            if call["method"] != "GET" or collection == call["path"]:
                continue
            if answer["status"] == 200 and isinstance(answer["body"], list):
                known = self._found.setdefault(collection, [])
                known += [dict(one) for one in answer["body"] if one not in known]
            elif answer["status"] != BAD_REQUEST:  # that was about an address that was not escaped
                self._failure = answer

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a request of the service."""
        if self._failure is not None:
            return self._failed(request)
        documents = self._found.setdefault(request.match_info["collection"], [])
        asked = json.loads(request.query.get("filter", "{}"))
        if request.method == "GET":
            return web.json_response([one for one in documents if _fits(one, asked)])
        if request.method == "DELETE":
            documents[:] = [one for one in documents if one.get("_id") not in asked["ids"]]
        else:
            self._save(documents, await request.json())
        return web.json_response({"message": {"status": "OK", "data": ""}})

    def _failed(self, request: web.Request) -> web.Response:
        assert self._failure is not None, "asked for it only"
        if self._failure["status"] == 0:
            assert request.transport is not None, "somebody asks"
            request.transport.abort()
            return web.Response()
        return web.json_response(self._failure["body"], status=self._failure["status"])

    @staticmethod
    def _save(documents: list[dict[str, Any]], changed: list[dict[str, Any]]) -> None:
        for one in changed:
            known = next((other for other in documents if one["_id"] and other["_id"] == one["_id"]), None)
            if known is not None:
                known.update(one)
            else:
                documents.append({**one, "_id": f"{len(documents) + 1:024x}"})


def _fits(document: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    wanted = [(_COLUMNS[name], values) for name, values in asked.items() if isinstance(values, list)]
    if asked.get("enabled") is True and not document.get("enabled"):
        return False
    return all(document.get(column, "") in values for column, values in wanted)


@asynccontextmanager
async def stored(case: Mapping[str, Any]) -> AsyncIterator[str]:
    """Serve the documents of a case; give the address."""
    application = web.Application()
    application.router.add_route("*", "/document/{collection}", Documents(case).answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
