"""What takes the place of the network: a service of a test's own."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from applications.http.request import Request
from applications.http.response import Headers


class Reply:
    """What a service in a test answers: `Reply(404)`, `Reply(json={"id": 17})`, `Reply(429, headers=...)`."""

    def __init__(
        self,
        status: int = 200,
        *,
        json: Any = None,
        text: str | None = None,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Besides its `status` it has one of `json` (models or plain values), `text` or `content`; else no body.

        `json` and `text` bring their content type, unless `headers` name one. A body that a header says is compressed
        is given as `content`, compressed.
        """
        self.status = status
        self.headers = Headers(headers or {})
        self.content = content
        if json is not None:
            self._hold(to_json(json), "application/json")
        elif text is not None:
            self._hold(text.encode(), "text/plain; charset=utf-8")

    def _hold(self, content: bytes, content_type: str) -> None:
        self.content = content
        self.headers.setdefault("content-type", content_type)

    def __repr__(self) -> str:
        """Show the status; the rest may be long."""
        return f"Reply({self.status})"


class Transport(ABC):
    """Answers requests in the place of the network."""

    @abstractmethod
    async def send(self, request: Request) -> Reply:
        """Return the reply to a request.

        Raises `ConnectionLost`, `NotConnected` or `TimedOut` (`applications.http.errors`) where there is none.
        """

    async def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Close what is open."""
