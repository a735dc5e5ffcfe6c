"""An installation with one service of ours: stand-ins of the platform's services, a service that people log in to."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from connectors.action import Action
from deploy.ports import free_ports
from support.accounts import CRYPT_SECRET
from support.installation.backend import Backend
from support.installation.starting_point import StartingPoint
from support.installation.worker_api import KEY, WorkerApi
from support.oauth_server import OAuthServer
from support.services import LOOPBACK
from worker.actions.registry import Registry
from worker.app.serving import ServiceProcess
from worker.settings.settings import Settings, load_settings

SDK: Final = "python-service"
PREFIX: Final = "/k2n8-secret"
"""In front of all paths of the service, which is registered with it."""


@dataclass(frozen=True)
class Installation:
    """Everything that runs."""

    names_services: bool
    """Whether it is one of 3.0."""
    service: str
    """The address of our service."""
    backend: Backend
    starting_point: StartingPoint
    worker_api: WorkerApi
    oauth: OAuthServer
    settings: Settings
    """Those of our service."""

    @property
    def sdk(self) -> str:
        """What documents, headers and limits call the service; nothing in 4.3.6."""
        return SDK if self.names_services else ""

    async def log_in(self, key: str, user: str, page: str) -> str:
        """Log a person in as the browser does; return where it ends."""
        url = await self.backend.authorize_url(SDK, key, user, page)
        async with httpx.AsyncClient(trust_env=False) as browser:
            sent_back = (await browser.get(url)).headers["location"]
            assert sent_back.startswith(f"{self.backend.url}/api/applications/authorize/token?")
            return (await browser.get(sent_back)).headers["location"]


@asynccontextmanager
async def installation(
    folder: Path, *actions: Action[Any, Any], names_services: bool, **settings: Any
) -> AsyncIterator[Installation]:
    """Run an installation; our service knows it by the variables that the admin hands out."""
    (port,) = free_ports(1)
    async with (
        WorkerApi().running() as api,
        OAuthServer().serve() as oauth,
        Backend(names_services=names_services).running() as backend,
        StartingPoint(api, names_services).running() as point,
        AsyncExitStack() as running,
    ):
        own = load_settings(
            tenant_id="local", crypt_secret=CRYPT_SECRET, orchesty_api_key=KEY, api_host=api.url,
            backend_url=backend.url, starting_point_dsn=point.url, http_host="127.0.0.1", http_port=port,
            service_prefix=PREFIX, egress_allow=LOOPBACK, token_journal=folder / "journal",
            database_url=f"sqlite:///{folder}/database.sqlite", **settings,
        )  # fmt: skip
        await running.enter_async_context(ServiceProcess(own, registry=Registry(actions)).answering())
        yield Installation(names_services, f"http://127.0.0.1:{port}{PREFIX}", backend, point, api, oauth, own)
