"""The platform's user interface: shows what actions write `for_ui`, and their calls of services.

Its worker-api takes one entry a request. Entries wait in memory, a bounded number, and are sent in the
background: no message waits for them, and what a platform that is away cannot take is dropped and counted.
"""

import asyncio
import threading
import traceback
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import msgspec
import structlog

from applications.http.connections import LOST, direct
from applications.pauses import back_off
from applications.redaction import redact
from connectors.http import Call
from connectors.logs import EXCHANGE, UiLine, ui_lines
from connectors.secrets import known_secrets
from worker.actions.service_calls import Calls
from worker.prometheus import Family
from worker.protocol import headers as h
from worker.protocol.message import Visit, current_visit, now_ms
from worker.settings.settings import Settings

log = structlog.get_logger()

LOGS: Final = "/logger/logs"
CALLS: Final = "/metrics/connectors"
WAITING: Final = 10_000
"""At most so many entries wait; the oldest make room."""
SENDERS: Final = 4
ANSWER_SECONDS: Final = 10
LAST_SECONDS: Final = 2
"""How long a worker that stops goes on sending."""
LARGEST_BYTES: Final = 90_000
"""The worker-api takes 100 kB a request."""
LARGEST_TEXT: Final = 10_000
LONGEST_PAUSE_SECONDS = 30.0
"""Between attempts to reach a platform that is away."""

_LEVELS = {"warning": "warn"}
_NOBODY = "0"
_TIMEOUT, _NO_REPLY = 408, 500
"""The platform's figures for a call without a reply."""


@dataclass(frozen=True, slots=True)
class Post:
    """One request to the worker-api."""

    path: str
    content: bytes


class UiLog:
    """Sends entries to the worker-api, from the `listening` context, while it runs."""

    def __init__(self, settings: Settings) -> None:
        """Without `WORKER_API_HOST` nothing is sent."""
        self._url = settings.worker_api_url
        self._headers = {"orchesty-api-key": settings.platform_key, "Content-Type": "application/json"}
        self._waiting: deque[Post] = deque()
        self._arrived = asyncio.Event()
        self._emptied = asyncio.Event()
        self._in_work = 0
        self._is_away = False
        self._outcomes: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def listening(self, calls: Calls) -> Iterator[None]:
        """Take what this context and the tasks that it starts write and call."""
        if not self._url:
            yield
            return
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        before = ui_lines.set(self.line)
        try:
            with calls.telling(self.call):
                yield
        finally:
            ui_lines.reset(before)

    async def run(self) -> None:
        """Send what is taken, until cancelled."""
        if not self._url:
            return
        async with self._client() as client, asyncio.TaskGroup() as group:
            for _ in range(SENDERS):
                group.create_task(self._send_on(client), name="user interface")

    async def finish(self) -> None:
        """Return when all is sent, or after two seconds; what then waits is dropped."""
        try:
            async with asyncio.timeout(LAST_SECONDS):
                while self._waiting or self._in_work:
                    self._emptied.clear()
                    await self._emptied.wait()
        except TimeoutError:
            for post in self._waiting:
                self._outcomes[post.path, "dropped"] += 1
            log.warning("interface_entries_dropped", entries=len(self._waiting), cause="the worker stops")

    def line(self, line: UiLine) -> None:
        """Take a line that an action has written. Threads may call it."""
        self._put(LOGS, line_of(line, current_visit.get()))

    def call(self, call: Call) -> None:
        """Take a call of a service; one outside of a message belongs to no node, and is not shown."""
        visit = current_visit.get()
        if visit is not None:
            self._put(CALLS, call_of(call, visit))

    def families(self) -> Iterator[Family]:
        """Return the metrics."""
        kinds = {LOGS: "log", CALLS: "call"}
        yield Family(
            "orchesty_worker_interface_entries_total",
            "counter",
            "Log lines and calls for the platform's user interface: sent, refused by it, or dropped.",
            [
                ({"kind": kinds[path], "outcome": outcome}, count)
                for (path, outcome), count in sorted(self._outcomes.items())
            ],
        )

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self._url, headers=self._headers, timeout=ANSWER_SECONDS, transport=direct(), trust_env=False
        )

    def _put(self, path: str, content: dict[str, Any]) -> None:
        if len(self._waiting) >= WAITING:
            self._outcomes[self._waiting.popleft().path, "dropped"] += 1
        self._waiting.append(Post(path, _encode(content)))
        if threading.get_ident() == self._thread:
            self._arrived.set()
        else:
            self._loop.call_soon_threadsafe(self._arrived.set)

    async def _send_on(self, client: httpx.AsyncClient) -> None:
        failures = 0
        while True:
            post = await self._next()
            try:
                is_reached = await self._send(client, post)
            finally:
                self._in_work -= 1
            if is_reached:
                failures = 0
            else:
                await asyncio.sleep(back_off(failures, longest=LONGEST_PAUSE_SECONDS))
                failures += 1

    async def _next(self) -> Post:
        while not self._waiting:
            if not self._in_work:
                self._emptied.set()
            self._arrived.clear()
            await self._arrived.wait()
        self._in_work += 1
        return self._waiting.popleft()

    async def _send(self, client: httpx.AsyncClient, post: Post) -> bool:
        """Send an entry, and return whether the platform was reached; if it was not, the entry waits again."""
        try:
            reply = await client.post(post.path, content=post.content)
        except LOST as error:
            self._waiting.appendleft(post)
            self._note_away(f"{type(error).__name__}: {error}")
            return False
        except asyncio.CancelledError:
            self._outcomes[post.path, "dropped"] += 1
            raise
        self._note_back()
        self._outcomes[post.path, "sent" if reply.is_success else "refused"] += 1
        if not reply.is_success:
            log.warning("interface_refused", path=post.path, status=reply.status_code, reply=reply.text[:200])
        return True

    def _note_away(self, cause: str) -> None:
        if not self._is_away:
            self._is_away = True
            log.warning(
                "interface_away", url=self._url, cause=cause, consequence="entries wait, the oldest are dropped"
            )

    def _note_back(self) -> None:
        if self._is_away:
            self._is_away = False
            log.info("interface_back", url=self._url, waiting=len(self._waiting))


def _encode(content: dict[str, Any]) -> bytes:
    """Return the JSON, without the bodies when it is larger than the worker-api takes."""
    encoded = msgspec.json.encode(content, enc_hook=str)
    if len(encoded) <= LARGEST_BYTES:
        return encoded
    small = {name: value for name, value in content.items() if name not in EXCHANGE.values()}
    if "stacktrace" in small:
        small["stacktrace"] = {**small["stacktrace"], "trace": small["stacktrace"]["trace"][-LARGEST_TEXT:]}
    return msgspec.json.encode({**small, "message": small["message"][:LARGEST_TEXT]}, enc_hook=str)


def line_of(line: UiLine, visit: Visit | None) -> dict[str, Any]:
    """Return a line as the platform's worker-api takes it."""
    secrets = known_secrets()
    return {
        **(_ids(visit) if visit else {}),
        **{name: _hidden(value, secrets) for name, value in line.exchange.items()},
        "timestamp": now_ms(),
        "service": "sdk",
        "levelName": _LEVELS.get(line.level, line.level),
        "message": redact(line.text, secrets),
        **({"stacktrace": _trace(line.error, secrets)} if line.error else {}),
        "isForUi": True,
    }


def call_of(call: Call, visit: Visit) -> dict[str, Any]:
    """Return a call as the platform's worker-api takes it."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    tags = {
        "user_id": call.user or _NOBODY,
        "node_id": visit.node.id,
        "application_id": call.application,
        "correlation_id": visit.headers.text(h.CORRELATION_ID),
        "url": call.url,
    }
    return {
        "fields": {
            "created": now,
            "sent_request_total_duration": round(call.seconds * 1000),
            "response_code": call.status or (_TIMEOUT if call.is_timeout else _NO_REPLY),
        },
        "tags": {name: value for name, value in tags.items() if value},
    }


def _ids(visit: Visit) -> dict[str, str]:
    """Return the ids of the message; the worker-api refuses empty ones."""
    ids = {
        "previousNodeId": visit.headers.text(h.PREVIOUS_NODE_ID),
        "nodeId": visit.node.id,
        "nodeName": visit.node.name,
        "previousCorrelationId": visit.headers.text(h.PREVIOUS_CORRELATION_ID),
        "correlationId": visit.headers.text(h.CORRELATION_ID),
        "topologyId": visit.node.topology_id,
        "topologyName": visit.headers.text(h.TOPOLOGY_NAME) or visit.node.topology_name,
        "processId": visit.headers.text(h.PROCESS_ID),
        "parentId": visit.headers.text(h.PARENT_ID),
        "sequenceId": visit.headers.text(h.SEQUENCE_ID) or _NOBODY,
        "userId": visit.headers.text(h.USER) or _NOBODY,
        "applications": visit.headers.text("applications"),
    }
    return {name: value for name, value in ids.items() if value}


def _trace(error: BaseException, secrets: frozenset[str]) -> dict[str, str]:
    text = redact("".join(traceback.format_exception(error)), secrets)
    return {"message": redact(" ".join(str(error).split()), secrets) or type(error).__name__, "trace": text}


def _hidden(value: Any, secrets: frozenset[str]) -> Any:
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, dict):
        return {name: _hidden(entry, secrets) for name, entry in value.items()}
    return [_hidden(entry, secrets) for entry in value] if isinstance(value, list) else value
