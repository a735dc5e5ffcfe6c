"""Replays recorded cases against a service with the same actions."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from worker.actions.registry import Registry
from worker.service.http import Request
from worker.service.service import Service, open_service
from worker.settings.settings import load_settings

from .applications import BasicApp, WebhookApp
from .calling import actions
from .comparing import Answered, difference
from .nodes import nodes
from .target import Target

WEB = "http://127.0.0.1:18082"
"""Where the recorded service called others."""


class Replay:
    """A service, and the target of its calls."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._web = f"http://127.0.0.1:{target.port}"
        found = [*nodes(f"{self._web}/sp"), *actions(BasicApp, WebhookApp, self._web)]
        self.registry = Registry(found)

    def _service(self, case: Mapping[str, Any]) -> Service:
        return open_service(load_settings(app_env=case["worker_env"]), self.registry)

    async def run(self, case: Mapping[str, Any]) -> str:
        """Replay a case; return what differs, empty for nothing."""
        self._target.expect(case["http_calls"])
        request = case["request"]
        body = (request["body"] or "").replace(WEB, self._web).encode()

        async def read() -> bytes:
            return body

        path, _, query = request["path"].partition("?")
        headers = {name.lower(): value for name, value in request["headers"]}
        reply = await self._service(case).answer(Request(request["method"], path, query, headers, read, "127.0.0.1"))
        text = reply.body.decode(errors="replace").replace(self._web, WEB)
        return difference(case, Answered(reply.status, reply.content_type, text))


@asynccontextmanager
async def opened() -> AsyncIterator[Replay]:
    """Open a replay, with the network of this machine."""
    async with Target().serving() as target:
        replay = Replay(target)
        try:
            yield replay
        finally:
            await replay.registry.close()


def read_cases(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    """Return the cases of a folder by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


async def replayed(cases: Mapping[str, Mapping[str, Any]]) -> Mapping[str, str]:
    """Replay cases; return what differs by the name of the case."""
    async with opened() as replay:
        return {name: await replay.run(case) for name, case in cases.items()}
