"""Paging through a connection of a GraphQL service: `pageInfo { hasNextPage endCursor }`.

https://relay.dev/graphql/connections.htm
"""

from dataclasses import dataclass, field
from typing import Any

from applications.http.paths import given_values
from applications.http.response import pick
from connectors.graphql import ask, nodes_of
from connectors.message import Message
from connectors.outcome import Page
from connectors.paging import Pages, page_of, trail_of
from connectors.service import CallOptions, Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection(Pages):
    """The pages of a GraphQL connection, for `Endpoints.connection` and `Batch.read_connection`.

    Ends at `hasNextPage: false`. Raises `GraphQLFailed` for errors in the answer, `PagingLoop` for pages that go round.
    """

    at: str
    """Where the connection lies in the data, such as `order.lines`."""
    variable: str = "after"
    """The variable of the query that takes the cursor."""


@dataclass(frozen=True, slots=True)
class ConnectionRequest:
    """What one page is asked with."""

    query: str
    variables: Any
    path: str
    model: Any
    options: CallOptions = field(default_factory=CallOptions)


async def read_connection(
    service: Service, pages: Connection, message: Message[Any], cursor: str | None, request: ConnectionRequest
) -> Page:
    """Ask for the page after the cursor and return its items and the next cursor."""
    trail = trail_of(message)
    variables = {**given_values(request.variables), pages.variable: cursor}
    reply = await ask(service, request.query, variables, path=request.path, **request.options.copy())
    found = pick(reply.data, pages.at) or {}
    following = pick(found, "pageInfo.endCursor") if pick(found, "pageInfo.hasNextPage") else None
    return page_of(pages, trail, nodes_of(found), following, request.model, str(reply.response))
