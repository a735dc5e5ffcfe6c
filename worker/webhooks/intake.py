"""Calls of services that start a topology: `/webhook/topologies/{topology}/nodes/{node}/token/{token}`.

Token, signature on the raw bytes, delivery id, then the start message; 2xx only after the broker has confirmed it.
"""

import asyncio
import json
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final, TypeVar
from uuid import UUID, uuid4, uuid5

import structlog
from aiohttp import web

from applications import WebhookCall
from applications.errors import ApplicationError, TryLater
from applications.http.response import Headers
from applications.own_code import called as called_own
from applications.signatures import Forged, KeyUnusable
from connectors import Repeat
from worker.broker.publisher import Publisher
from worker.doors.bodies import read_body
from worker.errors import HandBack, Unpublishable
from worker.protocol import headers as h
from worker.protocol.message import encode
from worker.protocol.start import RunIds, start_headers
from worker.protocol.topology import ROUTING_KEY, Node, Topology
from worker.protocol.transport import Publication
from worker.webhooks.deduplication import OncePerDelivery
from worker.webhooks.lookup import Called, CalledWebhooks

if TYPE_CHECKING:
    from worker.webhooks.deliveries import Deliveries
    from worker.webhooks.webhook import Webhook

log = structlog.get_logger()

PUBLISH_SECONDS: Final = 8
"""How long the broker may take; services give up after about ten seconds and call again."""
ASKED_SECONDS: Final = 8
"""How long the application may take to say what a call is."""
LONGEST_ID: Final = 200
"""Characters of a delivery's id; PostgreSQL's index takes no more than some two thousand bytes."""
QUESTIONS: Final = frozenset({"GET", "HEAD"})
_CALLS: Final = UUID("0f2a3a56-8f0e-5f0a-9a52-0a4a3c6ad6b1")
_NOT_KEPT: Final = frozenset({"authorization", "cookie", "proxy-authorization"})

Answer = TypeVar("Answer")

Place = tuple[str, str]
"""Topology and node, as the address names them."""


class WebhookIntake:
    """Takes the calls of services for the nodes of one topology."""

    def __init__(
        self, webhooks: CalledWebhooks, deliveries: "Deliveries", topology: Topology, publisher: Publisher,
        public_url: str,
    ) -> None:  # fmt: skip
        self._webhooks = webhooks
        self._once = OncePerDelivery(deliveries)
        self._topology = topology
        named = {node.name: node for node in reversed(topology.nodes)}
        self._nodes = named | {node.id: node for node in topology.nodes}
        self._publisher = publisher
        self._public_url = public_url.rstrip("/")

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a service: 2xx when its call is safe, 4xx when it is none of its, 503 when it shall call again."""
        place = (request.match_info["topology"], request.match_info["node"])
        node = self._node(*place)
        if node is None:  # asked for by anybody: not worth a look into the database
            return _refused(404, "webhook_unknown", place, "the topology has no such node")
        try:
            called = await self._webhooks.find(request.match_info["token"])
            if called is None or self._node(called.webhook.topology, called.webhook.node) is not node:
                return _refused(404, "webhook_unknown", place, "there is no such webhook")
            return await self._take(called, await self._webhook_call(request), node)
        except Forged as error:
            return _refused(401, "webhook_forged", place, str(error))
        except TryLater as error:
            log.warning("webhook_put_off", topology=place[0], node=place[1], cause=str(error))
            return web.json_response({"error": "not now, call again"}, status=503)
        except ApplicationError as error:
            return _refused(409, "webhook_not_ready", place, str(error))

    async def _take(self, called: Called, call: WebhookCall, node: Node) -> web.Response:
        is_question = call.method in QUESTIONS  # services look so whether somebody is there, and sign nothing
        if not is_question:
            _check(called, call)
        if (handshake := await _asked(called.application.handshake, call, None)) is not None:
            return web.Response(text=handshake.text, content_type=handshake.content_type)
        if is_question:
            return web.Response()
        delivery_id = _storable(await _asked(called.application.delivery_id, call, ""))
        if not delivery_id:
            await self._start(node, called, call, str(uuid4()))
            return web.json_response({"status": "started"})
        delivery = (called.webhook.id, delivery_id)
        is_new = await self._once.start(delivery, lambda: self._start(node, called, call, "\x1f".join(delivery)))
        return web.json_response({"status": "started" if is_new else "was started before"})

    async def _start(self, node: Node, called: Called, call: WebhookCall, identity: str) -> None:
        headers, body = start_message(node, called.webhook, call, identity)
        if called.limiter_key:
            headers[h.LIMITER_KEY] = called.limiter_key
        message = Publication(node.exchange, ROUTING_KEY, encode(headers, body))
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                await self._publisher.publish((message,))
        except (TimeoutError, HandBack):
            raise TryLater("the broker did not take the start message in time", timedelta(seconds=1)) from None
        except Unpublishable as error:
            raise ApplicationError(f"the start message cannot be published: {error}") from None
        log.info("webhook_taken", webhook=called.webhook.name, userId=called.webhook.user, nodeName=node.name)

    def _node(self, topology: str, node: str) -> Node | None:
        return self._nodes.get(node) if topology in {self._topology.id, self._topology.name} else None

    async def _webhook_call(self, request: web.Request) -> WebhookCall:
        headers = Headers(request.headers.items())
        base = self._public_url or f"{request.scheme}://{request.host}"
        return WebhookCall(request.method, f"{base}{request.raw_path}", headers, await read_body(request), time.time())


async def _asked(
    question: Callable[[WebhookCall], Answer | Awaitable[Answer]], call: WebhookCall, otherwise: Answer
) -> Answer:
    """Ask the application; a call whose body it cannot read is genuine all the same, and is not lost.

    Raises `TryLater` when the application wants to start a topology and nobody takes the start.
    """
    try:
        async with asyncio.timeout(ASKED_SECONDS):
            answer: Answer = await called_own(question, call)
            return answer
    except TryLater:
        raise
    except Repeat as error:
        raise TryLater(error.reason, timedelta(seconds=1)) from None
    except Exception as error:  # its own code may raise anything
        log.warning("webhook_unreadable", question=question.__qualname__, cause=type(error).__name__)
        return otherwise


def _storable(delivery_id: str) -> str:
    """Return the id, or its hash when a database would not take it."""
    if len(delivery_id) <= LONGEST_ID and delivery_id.isprintable():
        return delivery_id
    return sha256(delivery_id.encode(errors="surrogatepass")).hexdigest()


def _check(called: Called, call: WebhookCall) -> None:
    signature = called.application.signature
    if signature is None:
        return
    if not called.secret:
        raise Forged(f"there is no secret of {called.application.key} to check the signature with")
    try:
        signature.check(call, called.secret)
    except KeyUnusable as error:
        name = called.application.signature_secret or "secret"
        raise KeyUnusable(f"the {name} of {called.application.key} and user {called.webhook.user!r} {error}") from None


def start_message(node: Node, webhook: "Webhook", call: WebhookCall, identity: str) -> tuple[h.Headers, str]:
    """Return headers and body of the start message; a delivery that comes again has the same ids.

    The body is the call's own; one that is no UTF-8 is in base64, and a header says so.
    """
    ids = RunIds(str(uuid5(_CALLS, f"correlation\x1f{identity}")), str(uuid5(_CALLS, f"process\x1f{identity}")))
    extra = {
        h.CONTENT_TYPE: _readable(call.headers.get("content-type", "application/octet-stream")),
        "webhook-application": webhook.application,
        "webhook-name": webhook.name,
        "webhook-headers": json.dumps({name: value for name, value in call.headers.items() if name not in _NOT_KEPT}),
        "webhook-query": _readable(call.url.partition("?")[2]),
    }
    if webhook.sdk:
        extra[h.SDK] = webhook.sdk
    headers = start_headers(ids, node, webhook.user, extra)
    try:
        return headers, call.body.decode()
    except UnicodeDecodeError:
        return headers | {"content-transfer-encoding": "base64"}, b64encode(call.body).decode()


def _readable(text: str) -> str:
    """Return the text without bytes that are no UTF-8, which may stand in headers and paths."""
    return text.encode(errors="surrogateescape").decode(errors="replace")


def _refused(status: int, event: str, place: Place, reason: str) -> web.Response:
    """Refuse, and say to the caller less than to the log."""
    log.warning(event, topology=place[0], node=place[1], reason=reason)
    told = {401: "not signed by the service", 409: "the application is not ready"}.get(status, "no such webhook")
    return web.json_response({"error": told}, status=status)
