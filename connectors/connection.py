"""Paging through a connection of a GraphQL service: `pageInfo { hasNextPage endCursor }`.

https://relay.dev/graphql/connections.htm
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from applications.http.errors import ReplyUnreadable
from applications.http.paths import given_values
from applications.http.response import Response, pick
from connectors.graphql import ask, nodes_of
from connectors.listing import page_of
from connectors.message import Message
from connectors.outcome import Page
from connectors.paging import Pages, cursor_of, kind_of
from connectors.service import CallOptions, Service
from connectors.trail import trail_of

log = structlog.get_logger()


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
    found = pick(reply.data, pages.at)
    if found is None and not (pages.may_lack_items or trail.is_lacking):
        log.warning("batch_without_items", reply=str(reply.response), place=pages.at, page=trail.page)
        trail = replace(trail, is_lacking=True)
    following = _following(reply.response, pages.at, found)
    return page_of(pages, cursor, trail, _nodes(reply.response, found), following, request.model, str(reply.response))


def _nodes(response: Response, connection: Any) -> list[Any]:
    try:
        return nodes_of(connection)
    except ReplyUnreadable as error:
        raise response.unreadable(error) from None


def _following(response: Response, at: str, connection: Any) -> str | None:
    """Return the cursor of the next page. Raises `ReplyUnreadable` if the connection does not say how it goes on."""
    if not isinstance(connection, Mapping):
        return None
    info = connection.get("pageInfo")
    if not isinstance(info, Mapping) or not info.keys() & {"hasNextPage", "endCursor"}:
        raise response.unreadable(f"{at} does not say how it goes on: ask for pageInfo {{ hasNextPage endCursor }}")
    cursor = cursor_of(response, f"{at}.pageInfo.endCursor", info.get("endCursor"))
    has_next = info.get("hasNextPage")
    if has_next is None:
        return cursor
    if not isinstance(has_next, bool):
        raise response.unreadable(f"{at}.pageInfo.hasNextPage is {kind_of(has_next)}, not true or false")
    if has_next and cursor is None:
        raise response.unreadable(f"{at}.pageInfo has a next page, but no endCursor that it can be asked for with")
    return cursor if has_next else None
