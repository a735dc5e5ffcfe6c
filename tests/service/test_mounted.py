"""The service as a part of somebody's application: one line each."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount
from support.pages import ROOT, names_of

from connectors.functions import custom_node
from worker import Registry, ServiceProcess, load_settings
from worker.service.asgi import asgi_of
from worker.service.callers import Callers
from worker.service.service import Service

COUNTS: dict[str, int] = {}
CALLED = {"body": '{"shop":"north"}', "headers": {"user": "alice"}}


@custom_node("count-orders")
async def count_orders(data: dict[str, str]) -> dict[str, int]:
    COUNTS[data["shop"]] = COUNTS.get(data["shop"], 0) + 1
    return COUNTS


@pytest.fixture
def service(tmp_path: Path) -> ServiceProcess:
    COUNTS.clear()
    settings = load_settings(database_url=f"sqlite:///{tmp_path}/database.sqlite")
    return ServiceProcess(settings, registry=Registry([count_orders]))


def asking(application: Any, address: str = "127.0.0.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(application, client=(address, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://service.test")


async def test_a_fastapi_service_has_routes_and_connectors_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    COUNTS.clear()
    monkeypatch.setenv("WORKER_DATABASE_URL", f"sqlite:///{tmp_path}/database.sqlite")
    page = names_of(ROOT / "docs" / "embedding.md")
    application: FastAPI = page["make_application"](Registry([count_orders]))

    @application.get("/orders")
    async def orders() -> dict[str, int]:
        return COUNTS

    async with application.router.lifespan_context(application), asking(application) as client:
        assert (await client.get("/orchesty/custom-node/list")).json() == [{"name": "count-orders"}]
        called = await client.post("/orchesty/custom-node/count-orders/process", json=CALLED)
        assert (called.status_code, called.json()["body"]) == (200, '{"north":1}')
        assert (await client.get("/orders")).json() == {"north": 1}
        assert (await client.get("/orchesty/orders")).status_code == 404


async def test_what_is_mounted_is_asked_who_may_call(service: ServiceProcess) -> None:
    application = Starlette(routes=[Mount("/orchesty", service.as_asgi())])
    async with service.opened(), asking(application, "203.0.113.9") as client:
        assert (await client.get("/orchesty/custom-node/list")).status_code == 403


async def test_it_is_an_application_of_its_own_as_well(service: ServiceProcess) -> None:
    received, sent = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]), []
    application = service.as_asgi()

    async def receive() -> Any:
        return next(received)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async with asking(application) as client:
        parts = ("/custom-node/count-orders/process", "/custom-node/count%2Dorders/process")
        for path in parts:
            assert (await client.post(path, json=CALLED)).status_code == 200
        assert (await client.head("/custom-node/list")).headers["content-type"].startswith("application/json")
        large = await client.post(parts[0], content=b"[" + b" " * (64 * 1024 * 1024))
        assert large.status_code == 413
    await application({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_it_can_be_added_to_an_aiohttp_application(service: ServiceProcess) -> None:
    async def opened(_: web.Application) -> AsyncIterator[None]:
        async with service.opened():
            yield

    application = web.Application()
    application.router.add_route("*", "/orchesty/{path:.*}", service.as_aiohttp("/orchesty"))
    application.cleanup_ctx.append(opened)
    async with TestClient(TestServer(application)) as client:
        called = await client.post("/orchesty/custom-node/count-orders/process", json=CALLED)
        assert (called.status, (await called.json())["body"]) == (200, '{"north":1}')
        assert (await client.get("/custom-node/list")).status == 404


async def test_a_start_that_fails_is_told_to_the_server() -> None:
    @asynccontextmanager
    async def failing() -> AsyncIterator[None]:
        raise OSError("no such file")
        yield

    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    await asgi_of(Service((), Callers((), "")), failing)({"type": "lifespan"}, receive, send)
    assert sent == [{"type": "lifespan.startup.failed", "message": "OSError: no such file"}]


@pytest.mark.parametrize("client", [None, ("", 0), ("203.0.113.9", 1)])
async def test_a_caller_whose_address_is_not_known_may_not_call(service: ServiceProcess, client: Any) -> None:
    scope = {"type": "http", "method": "GET", "path": "/custom-node/list", "headers": [], "client": client}
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    await service.as_asgi()(scope, receive, send)
    assert sent[0]["status"] == 403
