"""A service in this process, asked without a server."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.action import Action
from worker.actions.injection import Injection
from worker.actions.registry import Registry
from worker.limits.reservations import Reservations
from worker.modes.platform import PlatformStarter
from worker.service.http import Reply, Request
from worker.service.service import Service, open_service
from worker.settings.settings import load_settings
from worker.storage.opening import open_storage


@dataclass(frozen=True)
class Answer:
    """What the service has answered."""

    reply: Reply

    @property
    def status(self) -> int:
        return self.reply.status

    @property
    def data(self) -> Any:
        return json.loads(self.reply.body)

    @property
    def headers(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.data["headers"]
        return found


class Asked:
    """Asks a service as the platform does."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def __call__(
        self, method: str, path: str, body: object = None, *, address: str = "127.0.0.1", **headers: str
    ) -> Answer:
        """Send a request; a body that is no bytes is sent as JSON."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()

        async def read() -> bytes:
            return raw

        given = {name.replace("_", "-"): value for name, value in headers.items()}
        path, _, query = path.partition("?")
        return Answer(await self.service.answer(Request(method, path, query, given, read, address)))

    async def call(self, path: str, data: object = None, **headers: Any) -> Answer:
        """Call an action with this data and these headers of the message."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self("POST", path, {"body": json.dumps(data), "headers": given})


def serving(*actions: Action[Any, Any], reservations: Reservations | None = None, **settings: Any) -> Asked:
    """Return a service with these actions."""
    registry, chosen = Registry(actions), load_settings(**settings)
    Injection(registry, open_storage(chosen.storage_address), PlatformStarter(None, ""))
    return Asked(open_service(chosen, registry, None, (), reservations))
