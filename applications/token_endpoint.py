"""Calls of token endpoints, and what their answers mean for a login."""

import json
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl

from applications.errors import EgressRefused, LoginDead, TokenEndpointAway
from applications.http.building import body_of
from applications.http.egress import Egress
from applications.http.errors import ConnectionLost, NeverSent, ReplyUnreadable
from applications.http.request import Outgoing, RequestOptions
from applications.http.response import Head
from applications.http.stream import Stream
from applications.http.transport import Transport
from applications.http.wire import Wire
from applications.reply_times import retry_after

SECONDS: Final = 20
"""How long a token endpoint may take."""
AWAY_FOR: Final = timedelta(seconds=5)
"""How long the first pause is when the endpoint names none."""
LONGEST: Final = timedelta(hours=1)
DEAD: Final = frozenset({
    # https://datatracker.ietf.org/doc/html/rfc6749#section-5.2
    *("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type"),
    "invalid_scope",
    # https://openid.net/specs/openid-connect-core-1_0.html#AuthError
    *("interaction_required", "login_required", "consent_required", "account_selection_required"),
    # https://docs.github.com/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors
    *("bad_refresh_token", "bad_verification_code", "incorrect_client_credentials", "redirect_uri_mismatch"),
    # https://docs.slack.dev/reference/methods/oauth.v2.access
    *("invalid_refresh_token", "token_revoked", "token_expired", "invalid_auth", "account_inactive"),
    *("bad_client_secret", "invalid_client_id", "invalid_code"),
    # http://wiki.oauth.net/w/page/12238543/ProblemReporting
    *("token_rejected", "token_used", "permission_denied", "permission_unknown", "user_refused", "verifier_invalid"),
    *("consumer_key_unknown", "consumer_key_rejected", "consumer_key_refused", "signature_invalid"),
    *("signature_method_rejected", "version_rejected", "parameter_absent", "parameter_rejected"),
})  # fmt: skip
"""Errors that a person has to end; any other one passes."""
_PASSING = frozenset({"temporarily_unavailable", "server_error", "slow_down", "rate_limit_exceeded"})
_MAX_REPLY: Final = 1 << 20


class TokenEndpoint:
    """The way to token endpoints. One for all; `close` it at the end."""

    def __init__(self, transport: Transport | None = None) -> None:
        """A `transport` takes the place of the network."""
        self._wire = Wire(timeout_seconds=SECONDS, transport=transport)

    def restrict(self, egress: Egress) -> None:
        """Keep requests away from internal addresses."""
        self._wire.egress = egress

    async def __call__(
        self,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        method: str = "POST",
    ) -> Mapping[str, Any]:
        """Send a form, JSON or nothing and return what a good reply holds.

        Raises `LoginDead` or `TokenEndpointAway`.
        """
        kind, body = body_of(_options(form, json))
        sent = {"Accept": "application/json", **kind, **(headers or {})}
        request = Outgoing(method, url, sent, body, is_from_install=True)
        try:
            async with self._wire.open(request) as reply:
                content = await _content(reply)
        except EgressRefused as error:
            raise TokenEndpointAway(str(error), AWAY_FOR) from None
        except (ConnectionLost, NeverSent, ReplyUnreadable) as error:
            raise TokenEndpointAway(f"{url}: {type(error).__name__}: {error}", AWAY_FOR) from None
        return judge(url, reply, content)

    async def close(self) -> None:
        """Close the connections."""
        await self._wire.close()


def _options(form: Mapping[str, str] | None, json: Any) -> RequestOptions:
    if form is not None:
        return {"form": form}
    return {} if json is None else {"json": json}


def judge(url: str, reply: Head, content: bytes) -> Mapping[str, Any]:
    """Return what a good reply holds; some services answer 200 with an error in it.

    Only an error that these services know means a dead login: any proxy may answer with JSON.
    Raises `LoginDead` or `TokenEndpointAway`.
    """
    said = _read(reply, content)
    error = (said.get("error") or said.get("oauth_problem")) if said is not None else None
    status = f"{url} answered {reply.status}"
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise TokenEndpointAway(status, min(retry_after(reply.headers) or AWAY_FOR, LONGEST))
    if isinstance(error, str) and error:
        text = f"{error}: {said.get('error_description') or ''}".rstrip(": ") if said else error
        if error in DEAD:
            raise LoginDead(text)
        status = f"{status} {text}"
        if reply.status != HTTPStatus.UNAUTHORIZED or error in _PASSING:
            raise TokenEndpointAway(status, AWAY_FOR)
    if reply.status == HTTPStatus.UNAUTHORIZED:
        raise LoginDead(status)
    if not reply.is_success or said is None:
        kind = reply.headers.get("content-type", "no content type")
        raise TokenEndpointAway(f"{status} with {kind}, not with a token", AWAY_FOR)
    return said


async def _content(reply: Stream) -> bytes:
    """Read the reply; nothing of one that is too long to hold a token."""
    content = b""
    async for part in reply.chunks():
        content += part
        if len(content) > _MAX_REPLY:
            return b""
    return content


def _read(reply: Head, content: bytes) -> Mapping[str, Any] | None:
    if "x-www-form-urlencoded" in reply.headers.get("content-type", ""):
        return _form(content)
    try:
        said = json.loads(content)
    except ValueError:
        said = _form(content)  # with OAuth 1.0a the content type says nothing
        return said if said.keys() & {"oauth_token", "oauth_problem"} else None
    return said if isinstance(said, dict) else None


def _form(content: bytes) -> dict[str, str]:
    return dict(parse_qsl(content.decode(errors="replace")))
