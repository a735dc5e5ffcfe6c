"""Replays recorded cases against a service with the same actions."""

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
from yarl import URL

from worker.actions.registry import Registry
from worker.app.serving import ServiceProcess
from worker.settings.settings import load_settings

from .applications import BasicApp, WebhookApp, applications
from .calling import actions
from .comparing import Answered, Case, difference
from .nodes import nodes
from .target import Target

WEB = "http://127.0.0.1:18082"
"""Where the recorded service called others."""
OF_THE_CONNECTION = frozenset({"host", "content-length", "connection"})


class Replay:
    """Starts a service for each case, which finds what was stored then, and asks it over HTTP."""

    def __init__(self, target: Target, folder: Path) -> None:
        self._target = target
        self._folder = folder
        self._web = f"http://127.0.0.1:{target.port}"

    def _process(self, case: Case) -> ServiceProcess:
        settings = load_settings(
            app_env=case["worker_env"],
            http_host=f"unix:{self._folder}/service",
            database_url=f"sqlite:///{self._folder}/database.sqlite",
            backend_url="http://backend.local/",
            egress="none",
        )
        registry = Registry([*nodes(f"{self._web}/sp"), *actions(BasicApp, WebhookApp, self._web)])
        registry.applications |= {found.key: found for found in applications(self._web)}
        return ServiceProcess(settings, registry=registry)

    async def run(self, case: Case) -> str:
        """Replay a case; return what differs, empty for nothing."""
        self._target.expect(case["http_calls"])
        async with self._process(case).answering():
            return difference(case, await self._asked(case["request"]))

    async def _asked(self, request: Mapping[str, Any]) -> Answered:
        body = (request["body"] or "").replace(WEB, self._web).encode()
        headers = {name: value for name, value in request["headers"] if name.lower() not in OF_THE_CONNECTION}
        connector = aiohttp.UnixConnector(f"{self._folder}/service")
        async with (
            aiohttp.ClientSession(connector=connector) as client,
            client.request(
                request["method"],
                URL(f"http://service{request['path']}", encoded=True),
                data=body or None,
                headers=headers,
                skip_auto_headers=("Content-Type",),
            ) as answer,
        ):
            text = (await answer.read()).decode(errors="replace").replace(self._web, WEB)
            return Answered(answer.status, answer.headers.get("Content-Type", ""), text)


async def replayed(cases: Mapping[str, Case]) -> Mapping[str, str]:
    """Replay cases; return what differs by the name of the case."""
    with TemporaryDirectory() as folder:
        async with Target().serving() as target:
            replay = Replay(target, Path(folder))
            return {name: await replay.run(case) for name, case in cases.items()}


def read_cases(folder: Path) -> Mapping[str, Case]:
    """Return the cases of a folder by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
