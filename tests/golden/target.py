"""Who the recorded service called: answers what was answered then."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

Recorded = Sequence[Mapping[str, Any]]


class Target:
    """Answers recorded calls by method and path, each once; what was not recorded gets 599."""

    def __init__(self) -> None:
        self.port = 0
        self._left: list[Mapping[str, Any]] = []

    def expect(self, calls: Recorded) -> None:
        """Answer these calls from now on."""
        self._left = list(calls)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Target"]:
        """Answer while the context is open."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        call = next((call for call in self._left if self._is(call, request)), None)
        if call is None:
            return web.Response(status=599, text="not recorded")
        self._left.remove(call)
        query = parse_qs(urlsplit(request.raw_path).query)
        await asyncio.sleep(int(query.get("ms", ["0"])[0]) / 1000)
        answer = call["response"]
        headers = {"X-Test": "yes", "Content-Type": "application/json"}
        if "location" in query:
            headers["Location"] = query["location"][0]
        return web.Response(status=answer["status"], text=answer["body"], headers=headers)

    @staticmethod
    def _is(call: Mapping[str, Any], request: web.Request) -> bool:
        return (call["method"], call["url"]) == (request.method, request.raw_path)
