"""A service that calls at a fixed rate: `webhook_calls.py URL RATE SECONDS`; prints what it saw as JSON.

Reads pairs of path and secret as JSON and calls them in turn. A call that is due is made whether or not those before it
were answered, and its time counts from when it was due, so that a worker that stands still for a moment is not spared.
Connections are kept; one more is opened when all wait.
"""

import asyncio
import hmac
import json
import sys
import time
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import uuid4

import uvloop

PATIENCE_SECONDS = 30


class Service:
    """Makes the calls and notes the answers."""

    def __init__(self, url: str, webhooks: Sequence[tuple[str, str]]) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._webhooks = webhooks
        self.idle: list[Connection] = []
        self.opened = 0
        self.milliseconds: list[float] = []
        self.refused = 0
        self.last = 0.0

    async def call(self, number: int, due: float) -> None:
        """Make one call and note how long it took from when it was due."""
        if self.idle:
            connection = self.idle.pop()
        else:
            self.opened += 1
            _, connection = await asyncio.get_running_loop().create_connection(Connection, self._host, self._port)
        status = await connection.ask(self._request(number))
        self.last = time.perf_counter()
        self.milliseconds.append((self.last - due) * 1000)
        self.refused += status != b"200"
        self.idle.append(connection)

    def _request(self, number: int) -> bytes:
        body = json.dumps({"action": "opened", "number": number, "text": "x" * 800}).encode()
        path, secret = self._webhooks[number % len(self._webhooks)]
        signature = hmac.digest(secret.encode(), body, sha256).hex()
        lines = (
            f"POST {path} HTTP/1.1", f"Host: {self._host}:{self._port}", "User-Agent: GitHub-Hookshot/1",
            "Accept: */*", "Content-Type: application/json", "X-GitHub-Event: issues", f"Content-Length: {len(body)}",
            f"X-GitHub-Delivery: {uuid4()}", f"X-Hub-Signature-256: sha256={signature}", "", "",
        )  # fmt: skip
        return "\r\n".join(lines).encode() + body


class Connection(asyncio.Protocol):
    """One connection, one call at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's derives from nothing
        self._read = b""
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def ask(self, request: bytes) -> bytes:
        """Send and return the status."""
        self._read, self._answer = b"", asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        """See whether the answer is complete; ours are JSON objects, one for each call."""
        self._read += data
        if self._read.endswith(b"}") and not self._answer.done():
            self._answer.set_result(self._read.split(b" ", 2)[1])

    def connection_lost(self, error: Exception | None) -> None:
        """Let the call fail."""
        if not self._answer.done():
            self._answer.set_exception(ConnectionError("the worker hung up"))


async def main(url: str, webhooks: Sequence[tuple[str, str]], rate: float, seconds: float) -> dict[str, Any]:
    """Call for so long and return what came of it."""
    service = Service(url, webhooks)
    begun = time.perf_counter()
    async with asyncio.timeout(seconds + PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            due = begun + number / rate
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            group.create_task(service.call(number, due))
    return {
        "seconds": service.last - begun,
        "milliseconds": service.milliseconds,
        "refused": service.refused,
        "connections": service.opened,
    }


if __name__ == "__main__":
    address, per_second, duration = sys.argv[1:]
    print(json.dumps(uvloop.run(main(address, json.load(sys.stdin), float(per_second), float(duration)))))
