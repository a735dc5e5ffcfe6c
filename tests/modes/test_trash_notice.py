"""What the platform is told of a message in the trash."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from aiohttp import web
from support.entries import ENTRY
from support.services import serving
from support.visits import PROCESS_ID, node, visit

from deploy.ports import free_ports
from worker.modes.notices import RUN_BY_NAME, PlatformNotice


async def event_of(starting_point: str | None) -> dict[str, Any]:
    """Return the event that is to be published."""
    notice = PlatformNotice(starting_point, "hunter2")
    publication = await notice.publication(visit(node()), ENTRY)
    await notice.close()
    assert publication is not None
    event: dict[str, Any] = json.loads(publication.body)
    return event


def failures(log_lines: Sequence[Mapping[str, Any]]) -> list[str]:
    return [line["cause"] for line in log_lines if line["event"] == "status_call_failed"]


@pytest.mark.parametrize("is_url", [False, True])
async def test_the_starting_point_is_called_and_an_event_made(
    log_lines: Sequence[Mapping[str, Any]], *, is_url: bool
) -> None:
    calls: list[tuple[str, str, Any]] = []

    async def answer(request: web.Request) -> web.Response:
        calls.append((request.path, request.headers["Orchesty-Api-Key"], await request.json()))
        return web.Response()

    async with serving(answer) as url:
        event = await event_of(f"{url}/" if is_url else url.removeprefix("http://"))
    ((path, key, told),) = calls
    assert (path, key, told["type"]) == (RUN_BY_NAME, "hunter2", "messageInTrash")
    assert (told["data"]["processId"], told["contents"]) == (PROCESS_ID, [{"trashId": ENTRY.id, "body": ENTRY.body}])
    assert event["context"]["trash_id"] == ENTRY.id
    assert failures(log_lines) == []


@pytest.mark.parametrize("status", [404, 500])
async def test_a_starting_point_that_refuses_is_logged_and_the_event_is_made(
    log_lines: Sequence[Mapping[str, Any]], status: int
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status)

    async with serving(answer) as url:
        event = await event_of(url.removeprefix("http://"))
    assert event["context"]["trash_id"] == ENTRY.id
    (cause,) = failures(log_lines)
    assert str(status) in cause
    assert "hunter2" not in str(log_lines)


@pytest.mark.parametrize("where", ["nobody", "[no address"])
async def test_a_starting_point_that_is_away_is_logged_and_the_event_is_made(
    log_lines: Sequence[Mapping[str, Any]], where: str
) -> None:
    event = await event_of(f"127.0.0.1:{free_ports(1)[0]}" if where == "nobody" else where)
    assert event["context"]["trash_id"] == ENTRY.id
    assert len(failures(log_lines)) == 1
