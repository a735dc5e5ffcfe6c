"""Calls of token endpoints, and what their answers mean for a login."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl

import httpx

from applications.errors import LoginDead, TokenEndpointAway

SECONDS: Final = 20
"""How long a token endpoint may take."""
AWAY_FOR: Final = timedelta(seconds=5)
"""How long the first pause is when the endpoint names none."""
LONGEST: Final = timedelta(hours=1)
_PASSING = frozenset({"temporarily_unavailable", "server_error", "slow_down", "rate_limit_exceeded"})
_MAX_REPLY: Final = 1 << 20
_SHOWN: Final = 200


class Endpoint:
    """The way to token endpoints. One for all; `close` it at the end."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """A `transport` takes the place of the network."""
        self._transport = transport
        self._client: httpx.AsyncClient | None = None

    async def __call__(
        self,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        secrets: Sequence[str] = (),
        method: str = "POST",
    ) -> Mapping[str, Any]:
        """Send a form, JSON or nothing and return what a good reply holds.

        Raises `LoginDead` or `TokenEndpointAway`.
        """
        client = self._client = self._client or httpx.AsyncClient(timeout=SECONDS, transport=self._transport)
        try:
            reply = await client.request(
                method, url, data=form, json=json, headers={"Accept": "application/json", **(headers or {})}
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TokenEndpointAway(f"{url}: {type(error).__name__}: {error}", AWAY_FOR) from None
        return judge(url, reply, secrets)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()


def judge(url: str, reply: httpx.Response, secrets: Sequence[str]) -> Mapping[str, Any]:
    """Return what a good reply holds; some services answer 200 with an error in it."""
    said = _read(reply)
    error = (said.get("error") or said.get("oauth_problem")) if said is not None else None
    status = f"{url} answered {reply.status_code}"
    if reply.status_code == HTTPStatus.TOO_MANY_REQUESTS or reply.is_server_error:
        raise TokenEndpointAway(status, _retry_after(reply) or AWAY_FOR)
    if isinstance(error, str) and error:
        text = _without(f"{error}: {said.get('error_description') or ''}".rstrip(": ") if said else error, secrets)
        if error in _PASSING:
            raise TokenEndpointAway(f"{status} {text}", AWAY_FOR)
        raise LoginDead(text)
    if reply.status_code == HTTPStatus.UNAUTHORIZED:
        raise LoginDead(status)
    if not reply.is_success or said is None:
        kind = reply.headers.get("content-type", "no content type")
        raise TokenEndpointAway(f"{status} with {kind}, not with a token", AWAY_FOR)
    return said


def _read(reply: httpx.Response) -> Mapping[str, Any] | None:
    if len(reply.content) > _MAX_REPLY:
        return None
    if "x-www-form-urlencoded" in reply.headers.get("content-type", ""):
        return dict(parse_qsl(reply.text))
    try:
        said = json.loads(reply.content)
    except ValueError:
        said = dict(parse_qsl(reply.text))  # with OAuth 1.0a the content type says nothing
        return said if said.keys() & {"oauth_token", "oauth_problem"} else None
    return said if isinstance(said, dict) else None


def _without(text: str, secrets: Sequence[str]) -> str:
    """Return the text without secrets, which some services repeat in their errors."""
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return text[:_SHOWN]


def _retry_after(reply: httpx.Response) -> timedelta | None:
    """Read `Retry-After` (RFC 9110, 10.2.3): seconds or a date."""
    value = reply.headers.get("retry-after", "")
    if value.isdecimal():
        return min(timedelta(seconds=int(value[:9])), LONGEST)
    try:
        return min(max(parsedate_to_datetime(value) - datetime.now(UTC), timedelta(0)), LONGEST)
    except (ValueError, TypeError):
        return None
