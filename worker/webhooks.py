"""Calls of services that start a topology: `/webhook/topologies/{topology}/nodes/{node}/token/{token}`.

Token, signature on the raw bytes, delivery id, then the start message; 2xx only after the broker has confirmed it.
"""

import asyncio
import hmac
import json
import time
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID, uuid4, uuid5

import structlog
from aiohttp import web

from applications import Application, ApplicationError, Incoming, SecretsError, TryLater
from applications.signatures import Forged, KeyUnusable
from worker import headers as h
from worker.applications import applications_in
from worker.broker import Publication, Publisher
from worker.envelope import encode
from worker.grouped import Grouped
from worker.topology import ROUTING_KEY, Node, Topology
from worker.visit import now_ms

if TYPE_CHECKING:
    from applications.accounts import Accounts
    from applications.webhooks import Delivery, Webhook

log = structlog.get_logger()

FRESH_SECONDS: Final = 2.0
"""How long webhooks and settings are used as they were read."""
PUBLISH_SECONDS: Final = 8
"""How long the broker may take; services give up after about ten seconds and call again."""
REMEMBERED: Final = 20_000
"""Deliveries of this process that it knows without asking the database."""
PURGE_SECONDS: Final = 3600
LONGEST_ID: Final = 200
"""Characters of a delivery's id; PostgreSQL's index takes no more than some two thousand bytes."""
QUESTIONS: Final = frozenset({"GET", "HEAD"})
_CALLS: Final = UUID("0f2a3a56-8f0e-5f0a-9a52-0a4a3c6ad6b1")
_NOT_KEPT: Final = frozenset({"authorization", "cookie", "proxy-authorization"})

Answer = TypeVar("Answer")

Place = tuple[str, str]
"""Topology and node, as the address names them."""


@dataclass(frozen=True, slots=True)
class _Known:
    webhook: "Webhook"
    application: Application
    secret: str
    limiter_key: str
    """The limits of the user for the applications of the topology."""


@dataclass(frozen=True, slots=True)
class _Read:
    at: float
    known: Sequence[_Known]
    problem: str
    """Why others of this place do not open: the broken secret of one user concerns nobody else."""


class WebhookIntake:
    """Takes the calls of services for the nodes of one topology."""

    def __init__(
        self, accounts: "Accounts", applications: Mapping[str, type[Application]], topology: Topology,
        publisher: Publisher, public_url: str,
    ) -> None:  # fmt: skip
        self._accounts = accounts
        self._applications = applications
        self._topology = topology
        named = {node.name: node for node in reversed(topology.nodes)}
        self._nodes = named | {node.id: node for node in topology.nodes}
        self._publisher = publisher
        self._public_url = public_url.rstrip("/")
        self._read: dict[Place, _Read] = {}
        self._load = Grouped(self._load_many)
        self._taken: OrderedDict[Delivery, asyncio.Future[bool]] = OrderedDict()
        self._find = Grouped(self._find_many)
        self._remember = Grouped(self._remember_many)
        self._purged = time.monotonic()

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a service: 2xx when its call is safe, 4xx when it is none of its, 503 when it shall call again."""
        place = (request.match_info["topology"], request.match_info["node"])
        try:
            known = await self._known(*place, request.match_info["token"])
            if known is None:
                return _refused(404, "webhook_unknown", place, "there is no such webhook")
            call = await self._incoming(request)
            return await self._take(known, call, place)
        except Forged as error:
            return _refused(401, "webhook_forged", place, str(error))
        except TryLater as error:
            log.warning("webhook_put_off", topology=place[0], node=place[1], cause=str(error))
            return web.json_response({"error": "not now, call again"}, status=503)
        except ApplicationError as error:
            return _refused(409, "webhook_not_ready", place, str(error))

    async def _take(self, known: _Known, call: Incoming, place: Place) -> web.Response:
        is_question = call.method in QUESTIONS  # services look so whether somebody is there, and sign nothing
        if not is_question:
            _check(known, call)
        if (handshake := _asked(known.application.handshake, call, None)) is not None:
            return web.Response(text=handshake.text, content_type=handshake.content_type)
        if is_question:
            return web.Response()
        node = self._node(*place)
        if node is None:
            return _refused(404, "webhook_unknown", place, "the topology has no such node")
        delivery_id = _storable(_asked(known.application.delivery_id, call, ""))
        if not delivery_id:
            await self._start(node, known, call, str(uuid4()))
            return web.json_response({"status": "started"})
        is_new = await self._once(node, known, call, (known.webhook.id, delivery_id))
        return web.json_response({"status": "started" if is_new else "was started before"})

    async def _once(self, node: Node, known: _Known, call: Incoming, delivery: "Delivery") -> bool:
        """Start, unless this delivery was taken before; one that comes twice at the same time waits for the first."""
        if (before := self._taken.get(delivery)) is not None:
            if not await asyncio.shield(before):
                raise TryLater("the same delivery came to nothing at the same time", timedelta(seconds=1))
            return False
        taken = self._taken[delivery] = asyncio.get_running_loop().create_future()
        try:
            is_new = not await self._find(delivery)
            if is_new:
                await self._start(node, known, call, "\x1f".join(delivery))
                await self._remember(delivery)
        except BaseException:
            del self._taken[delivery]
            taken.set_result(False)
            raise
        taken.set_result(True)
        if len(self._taken) > REMEMBERED:
            self._taken.popitem(last=False)
        return is_new

    async def _start(self, node: Node, known: _Known, call: Incoming, identity: str) -> None:
        headers, body = start_message(node, known.webhook, call, identity)
        if known.limiter_key:
            headers[h.LIMITER_KEY] = known.limiter_key
        message = Publication(node.exchange, ROUTING_KEY, encode(headers, body))
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                await self._publisher.publish((message,))
        except TimeoutError:
            raise TryLater("the broker did not take the start message in time", timedelta(seconds=1)) from None
        log.info("webhook_taken", webhook=known.webhook.name, userId=known.webhook.user, nodeName=node.name)

    async def _known(self, topology: str, node: str, token: str) -> _Known | None:
        if self._node(topology, node) is None:
            return None  # asked for by anybody: not worth a look into the database
        here = self._fresh((topology, node))
        if here is None:
            here = await self._load((topology, node))
        # Each is compared, so that the time tells nothing.
        found = [known for known in here.known if hmac.compare_digest(known.webhook.token.encode(), token.encode())]
        if not found and here.problem:
            raise SecretsError(here.problem)
        return found[0] if found else None

    def _fresh(self, place: Place) -> _Read | None:
        read = self._read.get(place)
        return read if read and time.monotonic() - read.at < FRESH_SECONDS else None

    async def _load_many(self, places: Sequence[Place]) -> Sequence[_Read]:
        """Read what is known at these places, each once however many calls wait for it."""
        for place in dict.fromkeys(places):
            if self._fresh(place) is None:
                self._read[place] = await self._at(*place)
        return [self._read[place] for place in places]

    async def _at(self, topology: str, node: str) -> _Read:
        now, known = time.monotonic(), []
        webhooks, problem = await self._accounts.webhooks.at(topology, node)
        for webhook in webhooks:
            try:
                known.append(await self._load_one(webhook))
            except SecretsError as error:
                problem = str(error)
        return _Read(now, [one for one in known if one is not None], problem)

    async def _load_one(self, webhook: "Webhook") -> _Known | None:
        """Return the webhook with its secret; None when the user has removed or switched off the application."""
        application = self._applications.get(webhook.application)
        install = await self._accounts.installs.get(webhook.user, webhook.application)
        if application is None or install is None or not install.is_enabled:
            return None
        secret = webhook.secret
        if application.signature_secret:
            settings = application.text_settings(self._accounts.installs.settings(install), install.plain)
            secret = settings.get(application.signature_secret, "")
        used = applications_in(self._topology, self._applications)
        return _Known(webhook, application(), secret, await self._accounts.limits(webhook.user, used))

    def _node(self, topology: str, node: str) -> Node | None:
        return self._nodes.get(node) if topology in {self._topology.id, self._topology.name} else None

    async def _incoming(self, request: web.Request) -> Incoming:
        headers = {name.lower(): value for name, value in request.headers.items()}
        base = self._public_url or f"{request.scheme}://{request.host}"
        return Incoming(request.method, f"{base}{request.raw_path}", headers, await request.read(), time.time())

    async def _find_many(self, deliveries: "Sequence[Delivery]") -> Sequence[bool]:
        known = await self._accounts.webhooks.known(deliveries)
        return [delivery in known for delivery in deliveries]

    async def _remember_many(self, deliveries: "Sequence[Delivery]") -> Sequence[None]:
        await self._accounts.webhooks.remember(deliveries)
        if time.monotonic() - self._purged > PURGE_SECONDS:
            self._purged = time.monotonic()
            await self._accounts.webhooks.purge()
        return [None] * len(deliveries)


def _asked(question: Callable[[Incoming], Answer], call: Incoming, otherwise: Answer) -> Answer:
    """Ask the application; a call whose body it cannot read is genuine all the same, and is not lost."""
    try:
        return question(call)
    except Exception as error:  # its own code may raise anything
        log.warning("webhook_unreadable", question=question.__qualname__, cause=type(error).__name__)
        return otherwise


def _storable(delivery_id: str) -> str:
    """Return the id, or its hash when a database would not take it."""
    if len(delivery_id) <= LONGEST_ID and delivery_id.isprintable():
        return delivery_id
    return sha256(delivery_id.encode(errors="surrogatepass")).hexdigest()


def _check(known: _Known, call: Incoming) -> None:
    signature = known.application.signature
    if signature is None:
        return
    if not known.secret:
        raise Forged(f"there is no secret of {known.application.key} to check the signature with")
    try:
        signature.check(call, known.secret)
    except KeyUnusable as error:
        name = known.application.signature_secret or "secret"
        raise KeyUnusable(f"the {name} of {known.application.key} and user {known.webhook.user!r} {error}") from None


def start_message(node: Node, webhook: "Webhook", call: Incoming, identity: str) -> tuple[h.Headers, str]:
    """Return headers and body of the start message; a delivery that comes again has the same ids.

    The body is the call's own; one that is no UTF-8 is in base64, and a header says so.
    """
    headers: dict[str, Any] = {
        h.CORRELATION_ID: str(uuid5(_CALLS, f"correlation\x1f{identity}")),
        h.PROCESS_ID: str(uuid5(_CALLS, f"process\x1f{identity}")),
        h.PARENT_ID: "",
        h.TOPOLOGY_ID: node.topology_id,
        "topology-name": node.topology_name,
        "process-started": now_ms(),
        "content-type": _readable(call.headers.get("content-type", "application/octet-stream")),
        h.USER: webhook.user,
        "webhook-application": webhook.application,
        "webhook-name": webhook.name,
        "webhook-headers": json.dumps({name: value for name, value in call.headers.items() if name not in _NOT_KEPT}),
        "webhook-query": _readable(call.url.partition("?")[2]),
    }
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
