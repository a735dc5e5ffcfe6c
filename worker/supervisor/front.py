"""HTTP of the supervisor: one address that tells the truth about all processes."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import structlog
from aiohttp import web
from yarl import URL

from worker.app.ends import Ends, add_ends
from worker.app.http_api import ANY_PATH, HEALTHY, PROCESS_PATH, WEBHOOK_PATH, is_allowed, metrics_response
from worker.doors.bodies import body_chunks
from worker.prometheus import Family, merge, render
from worker.service.callers import Callers, refused
from worker.service.server import admitted_by, response_of
from worker.supervisor.child import Child

log = structlog.get_logger()

PROBE_SECONDS = 0.9
"""Kubernetes gives a probe one second."""

METRICS_SECONDS = 5
OF_THE_CONNECTION = frozenset({"connection", "content-length", "expect", "transfer-encoding"})
"""Headers that say how a call came, not what it is."""
ANSWERED = ("Content-Type", "Allow", "Content-Security-Policy", "X-Content-Type-Options", "Retry-After")
PASSED_ON = ("content-type", "orchesty-api-key")


class Front:
    """Asks the worker processes over their sockets and answers for them."""

    def __init__(
        self, children: Sequence[Child], is_stopping: Callable[[], bool], api_key: str, callers: Callers,
        ends: Ends | None = None,
    ) -> None:  # fmt: skip
        """`callers` may call the service, and `ends` is how the platform may end all processes."""
        self._children = children
        self._may_call = admitted_by(callers, is_behind_front=False)
        self._ends = ends
        self._is_stopping = is_stopping
        self._api_key = api_key
        self._turns = itertools.cycle(children)
        self._clients: dict[Child, aiohttp.ClientSession] = {}

    @asynccontextmanager
    async def application(self) -> AsyncIterator[web.Application]:
        """Make the application; its connections to the processes are closed with the context."""
        async with AsyncExitStack() as stack:
            for child in self._children:
                connector = aiohttp.UnixConnector(str(child.socket), limit=0)
                client = aiohttp.ClientSession("http://worker", connector=connector, trust_env=False)
                self._clients[child] = await stack.enter_async_context(client)
            application = web.Application()
            if self._ends is not None:
                add_ends(application, self._ends, self._api_key, self._may_call)
            application.router.add_get("/readyz", self._probe)
            application.router.add_get("/healthz", self._probe)
            application.router.add_get("/metrics", self._metrics)
            application.router.add_post(PROCESS_PATH, self._process)
            application.router.add_route("*", WEBHOOK_PATH, self._as_it_came)
            application.router.add_route("*", ANY_PATH, self._service)
            yield application

    async def _probe(self, request: web.Request) -> web.Response:
        states = await asyncio.gather(*map(self._state, self._children))
        is_ready = all(state["status"] == "ok" for state in states) and not self._is_stopping()
        is_healthy = all(state["status"] in HEALTHY for state in states) and not self._is_stopping()
        content = {
            "status": "stopping" if self._is_stopping() else "ok" if is_ready else "not all processes are ready",
            "inWork": sum(state.get("inWork", 0) for state in states),
            "workers": {str(child.number): state for child, state in zip(self._children, states, strict=True)},
        }
        is_answered = is_healthy if request.path == "/healthz" else is_ready
        return web.json_response(content, status=200 if is_answered else 503)

    async def _state(self, child: Child) -> Mapping[str, Any]:
        if child.pid is None:
            return {"status": "not running", "pid": None}
        try:
            async with asyncio.timeout(PROBE_SECONDS), self._clients[child].get("/readyz") as answer:
                return {"pid": child.pid, **await answer.json()}
        except (aiohttp.ClientError, TimeoutError):
            return {"status": "not answering", "pid": child.pid}

    async def _metrics(self, _: web.Request) -> web.Response:
        texts = await asyncio.gather(*map(self._metrics_of, self._children))
        answered = {str(child.number): text for child, text in zip(self._children, texts, strict=True) if text}
        return metrics_response(render(self._own_metrics(answered)) + merge(answered, "worker"))

    async def _metrics_of(self, child: Child) -> str:
        try:
            async with asyncio.timeout(METRICS_SECONDS), self._clients[child].get("/metrics") as answer:
                return await answer.text()
        except (aiohttp.ClientError, TimeoutError):
            return ""

    def _own_metrics(self, answered: Mapping[str, str]) -> Sequence[Family]:
        labelled = [({"worker": str(child.number)}, child) for child in self._children]
        return (
            Family(
                "orchesty_worker_up",
                "gauge",
                "1 while the worker process answers the supervisor.",
                [(labels, labels["worker"] in answered) for labels, _ in labelled],
            ),
            Family(
                "orchesty_worker_restarts_total",
                "counter",
                "How often a worker process has died and was started again.",
                [(labels, child.restarts) for labels, child in labelled],
            ),
        )

    async def _process(self, request: web.Request) -> web.Response:
        if not is_allowed(request, self._api_key):
            return web.Response(status=401)
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        return await self._pass_on(request, headers)

    async def _service(self, request: web.Request) -> web.Response:
        """Check who calls: the processes see no addresses."""
        if not self._may_call(request):
            return response_of(refused())
        return await self._as_it_came(request)

    async def _as_it_came(self, request: web.Request) -> web.Response:
        """Pass on what a signature may cover: the path as it came, all headers, the raw body."""
        headers = {name: value for name, value in request.headers.items() if name.lower() not in OF_THE_CONNECTION}
        return await self._pass_on(request, headers)

    async def _pass_on(self, request: web.Request, headers: Mapping[str, str]) -> web.Response:
        """Let the processes take turns; one that cannot be reached is passed over."""
        for child in itertools.islice(self._turns, len(self._children)):
            if child.pid is None:
                continue
            try:
                return await self._ask(child, request, headers)
            except aiohttp.ClientConnectorError:
                continue
            except aiohttp.ClientError as error:
                if isinstance(error.__cause__, web.HTTPException):  # what the body was refused with
                    raise error.__cause__ from None
                log.warning("worker_process_lost_while_processing", worker=child.number, cause=str(error))
                break
        return web.json_response({"error": "no worker process has finished it; try again"}, status=503)

    async def _ask(self, child: Child, request: web.Request, headers: Mapping[str, str]) -> web.Response:
        """Pass a request on with its body as it comes, so that none is ever here as a whole."""
        length = request.headers.get("content-length")
        async with self._clients[child].request(
            request.method,
            URL(request.raw_path, encoded=True),
            data=body_chunks(request) if request.can_read_body else None,
            headers={**headers, **({"content-length": length} if length else {})},
            timeout=aiohttp.ClientTimeout(total=None),
        ) as answer:
            headers = {name: answer.headers[name] for name in ANSWERED if name in answer.headers}
            return web.Response(body=await answer.read(), status=answer.status, headers=headers)
