"""The HTTP API of a service: finds the route, lets in who may call, and answers in time."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from applications.errors import ApplicationError
from applications.http.wire import Wire
from worker.accounts.opening import OpenAccounts, route_to_services
from worker.actions.catalogue import own_applications
from worker.actions.outcomes import is_ours
from worker.actions.registry import Registry
from worker.limits.calls import CallGate
from worker.limits.reservations import Reservations
from worker.pipeline.decisions import Stage
from worker.prometheus import Family
from worker.service.actions import LIST_SECONDS, ActionRoutes
from worker.service.applications import ApplicationRoutes, Known
from worker.service.callers import Callers, refused
from worker.service.envelope import failure, sent_envelope
from worker.service.errors import Refused, UnreadablePath
from worker.service.failures import told
from worker.service.http import Reply, Request, error_reply, methods_reply, no_such_route
from worker.service.limits import LimitRoutes
from worker.service.logins import LoginRoutes
from worker.service.metrics import NO_ROUTE, RequestMetrics
from worker.service.openapi import DescriptionRoutes
from worker.service.repeaters import NodeRepeaters
from worker.service.routing import Places, Route, Router
from worker.service.sync import SyncRoutes
from worker.service.webhooks import WebhookRoutes
from worker.settings.settings import Settings

if TYPE_CHECKING:
    from worker.webhooks.store import Webhooks

log = structlog.get_logger()

Families = Callable[[], Iterable[Family]]


class Service:
    """Answers requests, whatever server brings them. It never raises, but for what the server itself answers."""

    def __init__(
        self, routes: Iterable[Route], callers: Callers, prefix: str = "", families: Families = lambda: ()
    ) -> None:
        """`prefix` is a secret path in front of all routes; `families` are metrics of theirs."""
        self._families = families
        self.router = Router(routes)
        self._requests = RequestMetrics(self.router.routes)
        self._callers = callers
        self._prefix = prefix

    async def answer(self, request: Request) -> Reply:
        """Answer a request."""
        began, found = time.perf_counter(), self._find(request)
        status = 500
        try:
            reply = await _in_time(self._within(request), *found) if isinstance(found, tuple) else found
            status = reply.status
        except web.HTTPException as error:
            status = error.status
            raise
        finally:
            route = found[0] if isinstance(found, tuple) else None
            self._requests.answered(route, status, time.perf_counter() - began)
        return replace(reply, body=b"") if request.method == "HEAD" else reply

    def _within(self, request: Request) -> Request:
        """Return the request as it reads behind the prefix, which only its caller knows."""
        return replace(request, path=request.path.removeprefix(self._prefix))

    def families(self) -> Iterator[Family]:
        """Return the metrics of requests, and those of the routes."""
        yield from self._requests.families()
        yield from self._families()

    def _find(self, request: Request) -> tuple[Route, Places] | Reply:
        """Return what answers, or what the caller is told where nothing does."""
        if not self._callers.may_call(request):
            return refused()
        if not request.path.startswith(f"{self._prefix}/"):
            return no_such_route(request)
        request = self._within(request)
        try:
            found = self.router.find(request.path)
        except UnreadablePath as error:
            return _unreadable(str(error)), Places()
        if request.method == "OPTIONS" and found.routes and found.of(request.method) is None:
            return methods_reply(found.methods)
        return found.of(request.method) or no_such_route(request)


def _unreadable(text: str) -> Route:
    """Return what answers where a path means no text: that a call has failed, as the platform's SDK says it."""

    async def answered(request: Request, _places: Places) -> Reply:
        return failure(await sent_envelope(request), text)

    return Route(*NO_ROUTE, answered, LIST_SECONDS)


async def _in_time(request: Request, route: Route, places: Places) -> Reply:
    try:
        async with asyncio.timeout(route.seconds):
            return await route.handler(request, places)
    except Refused as error:
        return error_reply(str(error), error.status)
    except ApplicationError as error:
        return error_reply(told(error))
    except TimeoutError:
        log.warning("service_answer_late", route=route.pattern, seconds=route.seconds)
        return error_reply(f"no answer within {route.seconds:g} seconds", 504)
    except web.HTTPException:
        raise
    except BaseException as error:  # hooks and methods of applications are somebody's code
        if is_ours(error):
            raise
        log.exception("service_answer_failed", route=route.pattern)
        return error_reply("unknown reason", 500)


def _webhooks(opened: OpenAccounts) -> "Webhooks":
    from worker.webhooks.store import open_webhooks  # noqa: PLC0415 - it loads what only installs need

    return open_webhooks(opened)


def callers_of(settings: Settings) -> Callers:
    """Return who may call by these settings."""
    return Callers(settings.service_allow, settings.platform_key)


def open_service(
    settings: Settings,
    registry: Registry,
    opened: OpenAccounts | None,
    stages: Sequence[Stage] = (),
    reservations: Reservations | None = None,
) -> Service:
    """Return the service of these actions and of their applications; without accounts it keeps no installs.

    `reservations` is where calls reserve their turns; without it all limits are the callers' matter.
    """
    known = own_applications(registry)
    accounts = opened.accounts if opened else None
    webhooks = WebhookRoutes(known, accounts, _webhooks(opened) if opened else None, settings.webhook_base)
    actions = ActionRoutes(
        registry,
        stages,
        seconds=settings.service_timeout,
        is_debugging=settings.is_debugging,
        repeaters=NodeRepeaters(opened.documents) if opened and opened.documents else None,
        gate=_gate(registry, known, reservations) if reservations else None,
    )
    groups = (
        actions,
        LimitRoutes(known, accounts),
        LoginRoutes(known, accounts, settings.redirect_uri),
        webhooks,
        SyncRoutes(known, accounts, webhooks, Wire(route=route_to_services(settings))),
        ApplicationRoutes(known, accounts, settings.redirect_uri, webhooks.shown),
    )
    callers = callers_of(settings)
    routes = tuple(chain.from_iterable(group.routes() for group in groups))
    described = DescriptionRoutes(routes, callers).routes()
    return Service((*routes, *described), callers, settings.prefix, actions.families)


def _gate(registry: Registry, known: Known, reservations: Reservations) -> CallGate:
    limited = {key: found for key, found in known.items() if found.has_limit() or found.needs_install()}
    return CallGate(reservations, applications=limited, access=registry.http.access)
