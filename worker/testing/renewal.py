"""A service that refuses the token until it is renewed, and the token endpoint that renews it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass(frozen=True, slots=True)
class Sent:
    """A request, as it was when it was sent: signing it anew changes it."""

    call: str
    """Method and URL."""
    headers: Mapping[str, str] = field(repr=False)


class Renewal:
    """Counts renewals, and keeps what was sent to the service."""

    def __init__(self, answers: httpx.AsyncBaseTransport, reply: Mapping[str, Any]) -> None:
        """`answers` follow once the token endpoint has given its `reply`."""
        self.count = 0
        self.sent: list[Sent] = []
        self.service = httpx.MockTransport(self._answer)
        self.endpoint = httpx.MockTransport(self._renew)
        self._answers = answers
        self._reply = reply

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(Sent(f"{request.method} {request.url}", dict(request.headers)))
        return await self._answers.handle_async_request(request) if self.count else httpx.Response(401)

    def _renew(self, request: httpx.Request) -> httpx.Response:
        self.count += 1
        return httpx.Response(200, json=self._reply)
