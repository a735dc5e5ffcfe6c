"""Actions: what a node of a topology does with a message.

Action
├── CustomNode     transforms, filters, routes
├── Connector      calls one endpoint of one service
└── Batch          splits a message, or pages through an endpoint
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar, Unpack, get_args, get_origin

from pydantic import TypeAdapter

from applications import Application
from applications.access import Access
from applications.http.paths import places_of
from applications.http.response import Response
from applications.user_installs import UserInstalls
from connectors.audit import Checkpoint
from connectors.clients import Clients
from connectors.connection import Connection, ConnectionRequest, read_connection
from connectors.download import Download
from connectors.graphql import GraphQLReply, ask
from connectors.http import Http
from connectors.kind import Kind
from connectors.listing import PageRequest, read_page
from connectors.logs import ActionLog, log
from connectors.message import Message
from connectors.outcome import Outcome, Page
from connectors.paging import Pages
from connectors.rules import Rules
from connectors.service import CallOptions, Service, Verbs
from connectors.soap import SoapService
from connectors.storage import Storage
from connectors.topologies import Topologies

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True, slots=True)
class Declared:
    """Where a declaration stands."""

    module: str
    file: str
    line: int


class Action(ABC, Generic[In, Out]):
    """What all actions have. Derive from `CustomNode`, `Connector` or `Batch`.

    `In` and `Out` are pydantic models or any type that pydantic can read, and may be left out for plain JSON:
    `class AddVat(CustomNode[Order, Order])`. One instance serves all messages at the same time, so an action keeps
    nothing of a message in itself.
    """

    kind: ClassVar[Kind]

    name: str
    """Unique among the actions of its kind; topologies call the action by it."""

    checkpoint: Checkpoint | None = None
    """What the business audit notes of each message; one that a message gets by `audit_checkpoint` goes before it."""

    input_type: Any = Any
    output_type: Any = Any

    declared: Declared | None = None
    """Where the action is declared, if it was not written as a class or function."""
    storage: Storage
    """The data storage; the worker gives all its actions the same one."""

    topologies: Topologies
    """Other topologies, to be started; the worker gives all its actions the same."""

    installs: UserInstalls
    """The users' installs, to find them and to change their plain settings."""

    clients: Clients
    """Connections to databases and brokers of others, for ready nodes."""

    log: ClassVar[ActionLog] = log
    """Writes to the worker's log and, when asked, to the platform's user interface."""

    read: Callable[[str], Any] = staticmethod(json.loads)
    """Turns a message's body into `message.data`; made from `In`."""

    def __init_subclass__(cls) -> None:
        """Take the types and the reader of the body from the brackets."""
        super().__init_subclass__()
        for base in getattr(cls, "__orig_bases__", ()):
            arguments = get_args(base)
            if issubclass(get_origin(base) or object, Action) and not isinstance(arguments[0], TypeVar):
                cls.input_type, cls.output_type = arguments[0], arguments[-1]
                cls.read = reader_of(cls.input_type)

    def bind(
        self, *, http: Http, storage: Storage, topologies: Topologies, installs: UserInstalls, clients: Clients
    ) -> None:
        """Take what all actions of a worker share. The worker calls it once, before the first message."""
        self.storage, self.topologies, self.installs, self.clients = storage, topologies, installs, clients

    @property
    def definition(self) -> Any:
        """What was written to define the action: its class, or the function of a decorated one."""
        return type(self)


def reader_of(kind: Any) -> Callable[[str], Any]:
    """Return what turns a body into this type."""
    return TypeAdapter(kind).validate_json


class CustomNode(Action[In, Out]):
    """Transforms, filters or routes a message, without a service."""

    kind = Kind.CUSTOM_NODE

    @abstractmethod
    async def process(self, message: Message[In]) -> Message[Out] | Outcome:
        """Return the message for the followers, or an outcome; raising is explained in `connectors.errors`."""


class ServiceAction(Verbs, Action[In, Out]):
    """An action that calls a service.

    `self.get("/orders/{id}", message.data)` and the other verbs return a successful reply; any other reply ends the
    action as `rules` say. See `CallOptions` in `connectors.service` for what a call may carry.
    """

    application: type[Application] | None = None
    """What the service's endpoints share; without one, requests need whole URLs."""

    rules: Rules = Rules()
    """What replies mean; what they leave open, the application's `rules` and then the platform's defaults decide."""

    http: Http
    """The HTTP client; the worker gives all its actions the same one."""

    def bind(
        self, *, http: Http, storage: Storage, topologies: Topologies, installs: UserInstalls, clients: Clients
    ) -> None:
        """Take what all actions of a worker share, the HTTP client too."""
        super().bind(http=http, storage=storage, topologies=topologies, installs=installs, clients=clients)
        self.http = http

    @property
    def service(self) -> Service:
        """The service as a value, to hand to a function of yours; the action itself calls `self.get` and its like."""
        return Service(self.http, self.application or Application, self._all_rules)

    @cached_property
    def _all_rules(self) -> Rules:
        of_application = getattr(self.application, "rules", None)
        return self.rules.over(of_application) if isinstance(of_application, Rules) else self.rules

    async def request(self, method: str, path: str, values: Any = None, **options: Unpack[CallOptions]) -> Response:
        """Send a request and return the reply that means success; see `Verbs.request` for what it raises."""
        return await self.service.request(method, path, values, **options)

    def stream(
        self, method: str, path: str, values: Any = None, *, gunzip: bool = False, **options: Unpack[CallOptions]
    ) -> AbstractAsyncContextManager[Download]:
        """Send a request and read the reply piece by piece: `async with self.stream("GET", path) as download`."""
        return self.service.stream(method, path, values, gunzip=gunzip, **options)

    async def graphql(
        self, query: str, variables: Any = None, *, path: str = "", **options: Unpack[CallOptions]
    ) -> GraphQLReply:
        """Ask a GraphQL service at `path`; errors in its answer end the action."""
        return await ask(self.service, query, variables, path=path, **options)

    async def access(self) -> Access:
        """Return the way to the service for the message's user: its base URL, headers, sign-in and settings."""
        return await self.service.access()

    def soap(self, wsdl: str, **options: Any) -> SoapService:
        """Return a SOAP service by its WSDL, a file or an address: `await self.soap(wsdl).call("Operation", ...)`."""
        return SoapService(self.service, wsdl, **options)


class Connector(ServiceAction[In, Out]):
    """Calls one endpoint of one service."""

    kind = Kind.CONNECTOR

    @abstractmethod
    async def process(self, message: Message[In]) -> Message[Out] | Outcome:
        """Call the endpoint and return the message for the followers, or an outcome."""


class Batch(ServiceAction[In, Out]):
    """Makes many messages of one: splits it, or pages through an endpoint."""

    kind = Kind.BATCH

    @abstractmethod
    async def page(self, message: Message[In], cursor: str | None) -> Page | Outcome:
        """Return one page of items.

        `cursor` is None for the first page and later the `next_cursor` of the page before. The page's items are
        confirmed by the broker before the next page is asked for, and the cursor travels in the broker: a worker
        that dies resumes at the page it was at.
        """

    async def read_page(
        self,
        message: Message[In],
        cursor: str | None,
        pages: Pages,
        path: str,
        *,
        values: Any = None,
        method: str = "GET",
        items: str = "$",
        model: Any = Any,
        **options: Unpack[CallOptions],
    ) -> Page:
        """Ask for one page by a ready way of paging, and return its items and the next cursor.

        The places of the path are filled from `values`, else from the message. `items` is where they lie in the
        reply, `model` their type. Raises `PagingLoop` when the pages go round in a circle or do not end.
        """
        filled = message.data if values is None and places_of(path) else values
        request = PageRequest(method, path, filled, items, model, options)
        return await read_page(self.service, pages, message, cursor, request)

    async def read_connection(
        self,
        message: Message[In],
        cursor: str | None,
        pages: Connection,
        query: str,
        variables: Any = None,
        *,
        path: str = "",
        model: Any = Any,
        **options: Unpack[CallOptions],
    ) -> Page:
        """Ask a GraphQL service for one page of a connection, and return its items and the next cursor."""
        request = ConnectionRequest(query, variables, path, model, options)
        return await read_connection(self.service, pages, message, cursor, request)
