"""Actions: what a node of a topology does with a message.

Action
├── CustomNode     transforms, filters, routes
├── Connector      calls one endpoint of one service
└── Batch          splits a message, or pages through an endpoint
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import StrEnum
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar, get_args, get_origin

from pydantic import TypeAdapter

from applications import Application
from connectors.clients import Clients
from connectors.http import Http, Service
from connectors.message import Message
from connectors.outcome import Outcome, Page
from connectors.storage import Storage
from connectors.topologies import Topologies

In = TypeVar("In")
Out = TypeVar("Out")


class Kind(StrEnum):
    """The kinds of action, spelled as in an action's path."""

    CONNECTOR = "connector"
    CUSTOM_NODE = "custom-node"
    BATCH = "batch"


class Action(ABC, Generic[In, Out]):
    """What all actions have. Derive from `CustomNode`, `Connector` or `Batch`.

    `In` and `Out` are pydantic models or any type that pydantic can read, and may be left out for plain JSON:
    `class AddVat(CustomNode[Order, Order])`. One instance serves all messages at the same time, so an action keeps
    nothing of a message in itself.
    """

    kind: ClassVar[Kind]

    name: ClassVar[str]
    """Unique among the actions of its kind; topologies call the action by it."""

    storage: Storage
    """The data storage; the worker gives all its actions the same one."""

    topologies: Topologies
    """Other topologies, to be started; the worker gives all its actions the same."""

    clients: Clients
    """Connections to databases and brokers of others, for ready nodes."""

    read: Callable[[str], Any] = staticmethod(json.loads)
    """Turns a message's body into `message.data`; made from `In`."""

    def __init_subclass__(cls) -> None:
        """Take the reader of the body from `In`."""
        super().__init_subclass__()
        for base in getattr(cls, "__orig_bases__", ()):
            arguments = get_args(base)
            if issubclass(get_origin(base) or object, Action) and not isinstance(arguments[0], TypeVar):
                cls.read = TypeAdapter(arguments[0]).validate_json


class CustomNode(Action[In, Out]):
    """Transforms, filters or routes a message, without a service."""

    kind = Kind.CUSTOM_NODE

    @abstractmethod
    async def process(self, message: Message[In]) -> Message[Out] | Outcome:
        """Return the message for the followers, or an outcome; raising is explained in `connectors.errors`."""


class ServiceAction(Action[In, Out]):
    """An action that calls a service: holds the way to it."""

    application: ClassVar[type[Application] | None] = None
    """What the service's endpoints share; without one, requests need whole URLs."""

    http: Http
    """The HTTP client; the worker gives all its actions the same one."""

    @cached_property
    def service(self) -> Service:
        """The service, ready to be asked: base URL and common headers of the application are filled in."""
        application = self.application or Application
        return Service(self.http, application.base_url, application.headers)


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
