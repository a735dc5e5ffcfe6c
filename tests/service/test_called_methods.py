"""Synchronous methods of applications, whatever they do."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.accounts import database_of, opened
from support.serving import Asked

from applications import Application, SyncCall, TextReply, sync_method
from applications.accounts import Accounts
from worker.accounts.opening import OpenAccounts
from worker.actions.registry import Registry
from worker.service.service import open_service
from worker.settings.settings import load_settings


@pytest.fixture
async def accounts(tmp_path: Path) -> AsyncIterator[Accounts]:
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as accounts:
        yield accounts


def asking_about(accounts: Accounts, **methods: Any) -> Asked:
    """Return a service with one application, which has these synchronous methods."""
    registry = Registry()
    own = {name: sync_method(name)(method) for name, method in methods.items()}
    registry.applications["odd"] = type("Odd", (Application,), {"key": "odd", **own})
    settings = load_settings(backend_url="http://backend.test", egress="none")
    return Asked(open_service(settings, registry, OpenAccounts(accounts, database_of(accounts))))


@pytest.mark.parametrize(
    "error",
    [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError(), StopIteration(), KeyError("x")],
    ids=lambda error: type(error).__name__,
)
async def test_a_method_may_raise_anything_and_ends_no_more_than_its_call(
    accounts: Accounts, error: BaseException
) -> None:
    async def fails(self: Any, call: SyncCall) -> Any:
        raise error

    failed = await asking_about(accounts, fails=fails)("GET", "/applications/odd/sync/fails")
    assert failed.status == 400
    assert type(error).__name__ in failed.reply.body.decode()


@pytest.mark.parametrize("verb", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
async def test_a_method_is_given_the_request_as_it_came(accounts: Accounts, verb: str) -> None:
    def echoes(self: Any, call: SyncCall) -> Any:
        return [call.method, call.url, call.user, call.sdk, dict(call.query), call.headers["x-own"], call.body.hex()]

    path = "/applications/odd/sync/echoes?user=al%20ice&sdk=mine&a=1&a=2&b="
    found = await asking_about(accounts, echoes=echoes)(verb, path, b"\x00\xff{", x_own="ž")
    query = {"user": "al ice", "sdk": "mine", "a": "1", "b": ""}
    told = [verb, path, "al ice", "mine", query, "ž", "00ff7b"]
    assert (found.status, found.reply.body) == (
        200,
        b"" if verb == "HEAD" else json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode(),
    )


@pytest.mark.parametrize(
    ("result", "status", "text"),
    [
        (None, 200, '{"status":"ok"}'),
        ([], 200, "[]"),
        ("", 200, '""'),
        (0, 200, "0"),
        (TextReply(""), 200, ""),
        (TextReply("a\ud800", "text/x; charset=utf-8"), 200, "a\\ud800"),
        (object(), 400, "PydanticSerializationError"),
        (float("nan"), 400, "ValueError"),
    ],
)
async def test_a_method_may_answer_anything(accounts: Accounts, result: object, status: int, text: str) -> None:
    async def answers(self: Any, call: SyncCall) -> Any:
        return result

    found = await asking_about(accounts, answers=answers)("GET", "/applications/odd/sync/answers")
    assert found.status == status
    assert text in found.reply.body.decode()
    assert status == 400 or found.reply.body.decode() == text


@pytest.mark.parametrize("kind", ["", "html", "text/html\r\nX-Own: 1", "text/ž"])
def test_what_is_no_content_type_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="is no content type"):
        TextReply("x", kind)


async def test_a_method_is_not_told_the_secret_prefix_of_the_service() -> None:
    def shows(self: Any, call: SyncCall) -> str:
        return call.url

    registry = Registry()
    registry.applications["odd"] = type("Odd", (Application,), {"key": "odd", "shows": sync_method("shows")(shows)})
    ask = Asked(open_service(load_settings(service_prefix="/s3cret", egress="none"), registry, None))
    assert (await ask("GET", "/s3cret/applications/odd/sync/shows?a=1&a=%C4%8D")).data == (
        "/applications/odd/sync/shows?a=1&a=%C4%8D"
    )
