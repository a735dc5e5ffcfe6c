"""The repeater that people set for a node in the editor holds for an action that is called over HTTP."""

import json
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs
from support.accounts import CRYPT_SECRET
from support.installation.worker_api import KEY, WorkerApi
from support.serving import Asked

from connectors import Message, Outcome, Repeat
from connectors.functions import custom_node
from worker.accounts.opening import open_accounts
from worker.actions.registry import Registry
from worker.service.service import open_service
from worker.settings.settings import load_settings

OWN = ("5", "3")
"""What the actions say."""


@custom_node("raised")
async def raised(message: Message[Any]) -> Outcome:
    raise Repeat(timedelta(seconds=5), "not yet", 3)


@custom_node("decided")
async def decided(message: Message[Any]) -> Outcome:
    return Repeat(timedelta(seconds=5), "not yet", 3, message)


@pytest.fixture
async def api() -> AsyncIterator[WorkerApi]:
    async with WorkerApi().running() as found:
        yield found


@pytest.fixture
async def ask(api: WorkerApi, tmp_path: Path) -> AsyncIterator[Asked]:
    settings = load_settings(
        api_host=api.url,
        orchesty_api_key=KEY,
        crypt_secret=CRYPT_SECRET,
        installs_url=f"sqlite:///{tmp_path}/installs.sqlite",
        token_journal=tmp_path / "journal",
    )
    opened = open_accounts(settings)
    try:
        yield Asked(open_service(settings, Registry([raised, decided]), opened))
    finally:
        await opened.close()


async def numbers(ask: Asked, node_id: Any, name: str = "raised") -> tuple[str, str]:
    answer = await ask.call(f"/custom-node/{name}/process", {}, node_id=node_id)
    assert (answer.status, answer.headers["result-code"]) == (200, "1001")
    return answer.headers["repeat-interval"], answer.headers["repeat-max-hops"]


@pytest.mark.parametrize(
    ("configs", "expected"),
    [
        ('{"repeater": {"enabled": true, "interval": 20, "hops": 7}}', ("20", "7")),
        ('{"sdk": {"host": "h"}, "repeater": {"enabled": true, "interval": "30", "hops": "2"}}', ("30", "2")),
        ('{"repeater": {"enabled": false, "interval": 20, "hops": 7}}', OWN),
        ('{"repeater": {"enabled": true, "interval": 20, "hops": 0}}', OWN),
        ('{"repeater": {"enabled": true, "interval": -1, "hops": 7}}', OWN),
        ('{"repeater": {"enabled": true}}', OWN),
        ('{"repeater": null}', OWN),
        ('{"prefetch": 1}', OWN),
        ("{bad", OWN),
        ("", OWN),
        (None, OWN),
        ({"repeater": {"enabled": True, "interval": 20, "hops": 7}}, OWN),
    ],
)
async def test_the_numbers_of_the_node_win_over_those_of_the_action(
    api: WorkerApi, ask: Asked, configs: Any, expected: tuple[str, str]
) -> None:
    node_id = api.add("Node", systemConfigs=configs)
    assert await numbers(ask, node_id) == expected
    assert await numbers(ask, node_id.upper()) == expected


async def test_what_an_action_decides_about_a_message_stays(api: WorkerApi, ask: Asked) -> None:
    configs = json.dumps({"repeater": {"enabled": True, "interval": 20, "hops": 7}})
    assert await numbers(ask, api.add("Node", systemConfigs=configs), "decided") == OWN


@pytest.mark.parametrize("node_id", [None, "", "no-id", 5, ["a"], {"a": 1}, "f" * 24])
async def test_a_node_that_there_is_not_has_none(ask: Asked, node_id: Any) -> None:
    assert await numbers(ask, node_id) == OWN


@pytest.mark.parametrize(
    "failing",
    [
        web.Response(status=500, text="{}"),
        web.Response(status=401, text='{"message": "Bad credentials"}', content_type="application/json"),
        web.Response(text='{"not": "a list"}', content_type="application/json"),
        web.Response(text="<html>", content_type="text/html"),
    ],
)
async def test_while_the_documents_cannot_be_read_the_action_is_answered_in_time(
    api: WorkerApi, ask: Asked, failing: web.Response
) -> None:
    api.failing = failing
    began = time.monotonic()
    with capture_logs() as logs:
        assert await numbers(ask, "a" * 24) == OWN
    assert time.monotonic() - began < 5
    assert "node_repeater_unknown" in [line["event"] for line in logs]
