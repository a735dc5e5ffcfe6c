"""The service behind the server of a worker."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from aiohttp import web
from yarl import URL

from worker.doors.bodies import read_body
from worker.service.asgi import read_limited
from worker.service.callers import Callers
from worker.service.http import Reply, Request
from worker.service.service import Service


def answers_of(service: Service, *, is_behind_front: bool) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return the handler of all paths that nobody else answers; the supervisor's front has checked addresses."""

    async def answered(request: web.Request) -> web.Response:
        return response_of(await service.answer(request_of(request, is_behind_front=is_behind_front)))

    return answered


def admitted_by(callers: Callers, *, is_behind_front: bool) -> Callable[[web.Request], bool]:
    """Return what tells whether the sender of a request may call."""
    return lambda request: callers.may_call(request_of(request, is_behind_front=is_behind_front))


def mounted(service: Service, prefix: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return the handler of all paths below `prefix` in somebody's aiohttp application."""

    async def answered(request: web.Request) -> web.Response:
        async def read() -> bytes:
            return await read_limited(request.content.iter_any())

        found = replace(request_of(request, is_behind_front=False), read=read)
        return response_of(await service.answer(replace(found, path=found.path.removeprefix(prefix))))

    return answered


def request_of(request: web.Request, *, is_behind_front: bool) -> Request:
    """Return the request as the service reads it."""
    path, _, query = request.raw_path.partition("?")
    if not path.startswith("/"):  # a whole URL may stand there
        path = URL(path, encoded=True).raw_path

    async def read() -> bytes:
        return await read_body(request)

    headers = {name.lower(): value for name, value in request.headers.items()}
    address = "" if is_behind_front else request.remote or "unknown"
    return Request(request.method, path, query, headers, read, address, request.scheme)


def response_of(reply: Reply) -> web.Response:
    """Return the reply as the server sends it."""
    return web.Response(
        body=reply.body, status=reply.status, headers={"Content-Type": reply.content_type, **reply.headers}
    )
