"""The life of a process that answers as a service, without a topology and without a broker."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog

from connectors.secrets import keep_own
from worker.accounts.opening import UserAccess, open_needed, route_to_services, without_installs
from worker.actions.injection import Injection
from worker.actions.local import contained
from worker.actions.registry import Registry, load_actions
from worker.app.http_api import Answer, serve_http, tls_of
from worker.limits.call_observer import rate_noticed
from worker.modes.platform import PlatformStarter
from worker.modes.standalone import reservations_of
from worker.modes.ui_log import UiLog
from worker.pipeline.decisions import Stage
from worker.pipeline.own_stages import load_stages
from worker.prometheus import render
from worker.service.asgi import Asgi, asgi_of
from worker.service.server import answers_of, mounted
from worker.service.service import open_service
from worker.settings.settings import Settings
from worker.storage.opening import open_storage
from worker.urls import UNIX

log = structlog.get_logger()


class ServiceProcess:
    """Answers the platform until it is told to stop.

    Start it with `asyncio.run(ServiceProcess(settings).run())`. Raises `StartupError` for settings or actions that are
    wrong.
    """

    def __init__(self, settings: Settings, *, registry: Registry | None = None, stages: Sequence[Stage] = ()) -> None:
        """`stages` of your own stand around each action, beside those of the settings."""
        keep_own(settings.secrets)
        self.settings = settings
        self.registry = registry or load_actions(settings.actions)
        self.registry.http.take(route_to_services(settings))
        self.accounts = open_needed(settings, ())
        self.registry.http.access = UserAccess(self.accounts.accounts) if self.accounts else without_installs
        starter = PlatformStarter(settings.starting_point_dsn, settings.platform_key)
        accounts, storage = self.accounts.accounts if self.accounts else None, open_storage(settings.storage_address)
        self._injection = Injection(self.registry, storage, starter, accounts)
        self._ui_log = UiLog(settings)
        self._reservations = reservations_of(settings, lambda: 1)
        self.registry.http.rate_noticed = rate_noticed
        own = (*stages, *load_stages(settings.stages))
        self.service = open_service(settings, self.registry, self.accounts, own, self._reservations)
        self._stopping = asyncio.Event()
        self.ending = asyncio.Event()
        """Whether `run` has begun to end: it was told to, or has failed."""

    def stop(self) -> None:
        """Finish what is in work within the grace, then end `run`."""
        self._stopping.set()

    async def run(self) -> None:
        """Answer until `stop`."""
        async with self.answering():
            try:
                await self._stopping.wait()
            finally:
                self.ending.set()
        log.info("worker_stopped")

    def as_asgi(self) -> Asgi:
        """Return an ASGI application to mount: `app.mount("/orchesty", service.as_asgi())`.

        A framework that runs no lifespan of what it mounts enters `opened()` in its own, to close what was opened.
        """
        return asgi_of(self.service, self.opened)

    def as_aiohttp(self, prefix: str) -> Answer:
        """Return a handler to add: `app.router.add_route("*", "/orchesty/{path:.*}", service.as_aiohttp("/orchesty"))`.

        Enter `opened()` in a `cleanup_ctx`, to close what was opened.
        """
        return mounted(self.service, prefix)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Work without a server of its own while the context is open; close everything at its end."""
        try:
            with contained(), self._ui_log.listening(self.registry.calls):
                telling = asyncio.create_task(self._ui_log.run(), name="user interface")
                try:
                    yield
                finally:
                    await self._ui_log.finish()
                    telling.cancel()
                    await asyncio.wait([telling])
        finally:
            await self._close()

    @asynccontextmanager
    async def answering(self) -> AsyncIterator[None]:
        """Answer on the port of the settings while the context is open. Raises `StartupError` when it is taken."""
        settings = self.settings
        async with (
            self.opened(),
            serve_http(
                settings.http_host,
                settings.http_port,
                health=self,
                process=None,
                api_key=settings.platform_key,
                grace_seconds=settings.grace,
                tls=tls_of(settings),
                service=answers_of(self.service, is_behind_front=settings.http_host.startswith(UNIX)),
            ),
        ):
            log.info(
                "service_started", url=url_of(settings), actions=len(list(self.registry)),
                callers=list(settings.service_allow),
            )  # fmt: skip
            yield

    async def _close(self) -> None:
        for part in (self.registry, self._injection, self.accounts, self._reservations):
            if part is not None:
                await part.close()

    @property
    def is_ready(self) -> bool:
        """Whether it answers, and is not about to end."""
        return not self._stopping.is_set()

    is_healthy = is_ready

    def describe(self) -> Mapping[str, Any]:
        """Return the state, for `/readyz` and `/healthz`."""
        return {"status": "ok" if self.is_ready else "stopping"}

    def metrics(self) -> str:
        """Return the metrics in Prometheus' text format."""
        return render([*self.service.families(), *self.registry.calls.families(), *self._ui_log.families()])


def url_of(settings: Settings) -> str:
    """Return the address to register, with stars for a secret path."""
    scheme = "https" if settings.tls_certificate else "http"
    path = "/***" if settings.service_prefix else ""
    return f"{scheme}://{settings.http_host}:{settings.http_port}{path}"
