"""Calls of token endpoints, and what their answers mean for a login."""

import json
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

from applications.errors import EgressRefused, LoginDead, TokenEndpointAway
from applications.http.building import body_of
from applications.http.errors import ConnectionLost, NeverSent, ReplyUnreadable
from applications.http.headers import merged
from applications.http.request import Outgoing, RequestOptions
from applications.http.response import Response
from applications.http.route import Route
from applications.http.stream import Stream
from applications.http.transport import Transport
from applications.http.wire import Wire
from applications.reply_times import retry_after
from applications.token_replies import Refusal, read_reply, says_dead

SECONDS: Final = 20
"""How long a token endpoint may take."""
AWAY_FOR: Final = timedelta(seconds=5)
"""How long the first pause is when the endpoint names none."""
LONGEST: Final = timedelta(hours=1)
_PASSING = frozenset({"temporarily_unavailable", "server_error", "slow_down", "rate_limit_exceeded"})
_NAMED: Final = ("error", "oauth_problem", "errors", "status", "code", "fault")
_TEXTS: Final = ("error_description", "message", "detail")
_MAX_REPLY: Final = 1 << 20


class TokenEndpoint:
    """The way to token endpoints. One for all; `close` it at the end."""

    def __init__(self, transport: Transport | None = None) -> None:
        """A `transport` takes the place of the network."""
        self._wire = Wire(timeout_seconds=SECONDS, transport=transport)

    def take(self, route: Route) -> None:
        """Reach token endpoints by this route."""
        self._wire.route = route

    async def __call__(
        self,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        method: str = "POST",
        is_dead: Refusal | None = None,
    ) -> Mapping[str, Any]:
        """Send a form, JSON or nothing and return what a good reply holds.

        Raises `LoginDead` or `TokenEndpointAway`; `is_dead` knows in which words the endpoint says the first.
        """
        kind, body = body_of(_options(form, json))
        sent = merged({"Accept": "application/json"}, {"Content-Type": kind} if kind else {}, headers or {})
        request = Outgoing(method, url, sent, body, is_from_install=True)
        try:
            async with self._wire.open(request) as reply:
                content = await (_content(reply) if reply.is_success else reply.read_refusal(_MAX_REPLY))
        except EgressRefused as error:
            raise TokenEndpointAway(str(error), AWAY_FOR) from None
        except (ConnectionLost, NeverSent, ReplyUnreadable) as error:
            raise TokenEndpointAway(f"{url}: {type(error).__name__}: {error}", AWAY_FOR) from None
        return judge(url, Response(method, url, reply.status, reply.headers, content), is_dead)

    async def close(self) -> None:
        """Close the connections."""
        await self._wire.close()


def _options(form: Mapping[str, str] | None, json: Any) -> RequestOptions:
    if form is not None:
        return {"form": form}
    return {} if json is None else {"json": json}


def judge(url: str, reply: Response, is_dead: Refusal | None = None) -> Mapping[str, Any]:
    """Return what a good reply holds; some services answer 200 with an error in it.

    Only what is known to mean a dead login does, or what `is_dead` says: any proxy may answer with JSON.
    Raises `LoginDead` or `TokenEndpointAway`.
    """
    said = read_reply(reply.content, is_form=reply.content_type.endswith("x-www-form-urlencoded"))
    status = f"{url} answered {reply.status}"
    if is_dead is not None and is_dead(reply):
        raise LoginDead(f"{status}{_told(said)}")
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise TokenEndpointAway(status, min(retry_after(reply.headers) or AWAY_FOR, LONGEST))
    if dead := says_dead(reply, said):
        raise LoginDead(_told(said).removeprefix(" ") or dead)
    error = "" if reply.is_success and not _is_error(said) else _told(said)
    if error and (reply.status != HTTPStatus.UNAUTHORIZED or error.split()[0].rstrip(":") in _PASSING):
        raise TokenEndpointAway(f"{status}{error}", AWAY_FOR, is_refusal=True)
    if reply.status == HTTPStatus.UNAUTHORIZED:
        raise LoginDead(status)
    if not reply.is_success or said is None:
        kind = reply.headers.get("content-type", "no content type")
        raise TokenEndpointAway(f"{status} with {kind}, not with a token", AWAY_FOR, is_refusal=True)
    return said


def _is_error(said: Mapping[str, Any] | None) -> bool:
    """Whether a reply of a good status is an error in truth."""
    return said is not None and isinstance(said.get("error") or said.get("oauth_problem"), str)


def _told(said: Mapping[str, Any] | None) -> str:
    """Return the error that a reply names, with what it says about it, after a blank; else nothing."""
    named = said and next((said[name] for name in _NAMED if said.get(name)), None)
    if not said or not named:
        return ""
    error = named if isinstance(named, str) else json.dumps(named)
    text = next((str(said[name]) for name in _TEXTS if said.get(name)), "")
    return f" {error}: {text}".rstrip(": ")


async def _content(reply: Stream) -> bytes:
    """Read the reply; nothing of one that is too long to hold a token."""
    content = b""
    async for part in reply.chunks():
        content += part
        if len(content) > _MAX_REPLY:
            return b""
    return content
