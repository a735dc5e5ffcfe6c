"""What token endpoints answer: a token in any of the usual forms, whatever the content type, or a refusal in any words.

A login that is dead has to be told from an endpoint that is away: services have many words for the first, and a proxy
may answer with JSON as well. Known are those of OAuth and OpenID, of the services named below, and what texts say of
refresh tokens. An application that knows better says so (`Refusal`).
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl

from applications.http.response import Response

Refusal = Callable[[Response], bool]
"""Whether a reply of a token endpoint means that the login is dead; asked before all that is known here."""

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
    # https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_flow_errors.htm
    *("inactive_user", "inactive_org", "org_locked", "invalid_app_access"),
    # https://developers.hubspot.com/docs/api/oauth/tokens
    *("bad_client_id", "bad_auth_code", "bad_grant_type", "missing_scopes"),
    # others, by what they say
    *("invalid_token", "refresh_token_expired", "refresh_token_revoked", "expired_refresh_token", "expired_token"),
    *("revoked_token", "refresh_token_invalid", "refresh_token_not_found", "refresh_token_reused", "grant_revoked"),
    *("invalid_credentials", "invalid_client_secret", "user_inactive", "user_disabled", "account_disabled"),
})  # fmt: skip
"""Errors that a person has to end, in lower case with underscores; any other one passes."""
_DEAD_OAUTH1: Final = frozenset({
    # http://wiki.oauth.net/w/page/12238543/ProblemReporting
    *("token_rejected", "token_used", "permission_denied", "permission_unknown", "user_refused", "verifier_invalid"),
    *("consumer_key_unknown", "consumer_key_rejected", "consumer_key_refused", "signature_invalid"),
    *("signature_method_rejected", "version_rejected", "parameter_absent", "parameter_rejected"),
})  # fmt: skip
_DEAD_META: Final = 190
"""https://developers.facebook.com/docs/graph-api/guides/error-handling"""
_CODES: Final = frozenset(
    {"error", "code", "status", "type", "errorcode", "error_code", "reason", "name", "oauth_problem"}
)
"""Members, in lower case, whose text is the code of an error."""
_SAID: Final = re.compile(
    r"(invalid|expired|revoked|unknown|inactive|bad|incorrect|missing or unknown)[ _-]+(refresh[ _-]*token|grant\b)"
    r"|refresh[ _-]*token\b[^.]{0,40}\b(invalid|expired|revoked|not found|unknown|inactive|used)\b",
    re.IGNORECASE,
)
_REFUSALS: Final = frozenset({
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.UNPROCESSABLE_ENTITY,
})  # fmt: skip
"""Statuses with which endpoints refuse a login in their own words."""
_FORM: Final = re.compile(rb"[\w.~%+*=&-]+")
_FORM_MEMBERS: Final = frozenset({"access_token", "error", "oauth_token", "oauth_problem"})
_DEEPEST: Final = 4


def read_reply(content: bytes, *, is_form: bool) -> Mapping[str, Any] | None:
    """Return what a reply holds: JSON, JSON in a text of JSON, or a form; None when it is none of these.

    Without `is_form`, the word of the content type, a form is only what has one of the members that count.
    """
    try:
        said = json.loads(content)
        said = json.loads(said) if isinstance(said, str) and said.lstrip().startswith("{") else said
    except ValueError:
        found = content.strip()
        form = dict(parse_qsl(found.decode(errors="replace"))) if is_form or _FORM.fullmatch(found) else {}
        return form if form and (is_form or form.keys() & _FORM_MEMBERS) else None
    return said if isinstance(said, dict) else None


def says_dead(reply: Response, said: Mapping[str, Any] | None) -> str:
    """Return in which words a reply says that the login is dead; empty when it does not."""
    if said is not None and said.keys() & {"access_token", "oauth_token"}:
        return ""
    if said is not None and (known := next(filter(_is_dead, _codes(said)), "")):
        return known
    if said is not None and str(said.get("oauth_problem") or said.get("error")) in _DEAD_OAUTH1:
        return str(said.get("oauth_problem") or said.get("error"))
    if isinstance(error := (said or {}).get("error"), Mapping) and error.get("code") == _DEAD_META:
        return f"code {_DEAD_META}"
    if reply.status not in _REFUSALS:
        return ""
    text = reply.content.decode(errors="replace")
    if _is_dead(text):
        return text.strip()
    found = _SAID.search(text)
    return found[0] if found and "<" not in text else ""


def _is_dead(code: str) -> bool:
    """Whether it is one of the errors, as `INVALID_GRANT`, `Invalid Grant` or `keys.service.invalid_grant`."""
    word = re.sub(r"[\s-]+", "_", code.strip().strip("\"'").lower())
    return word in DEAD or word.rpartition(".")[2] in DEAD


def _codes(said: Any, depth: int = 0) -> Iterator[str]:
    """Yield the codes of errors in a reply, from the outside in."""
    if depth > _DEEPEST:
        return
    if isinstance(said, list):
        for entry in said:
            yield from _codes(entry, depth + 1)
    elif isinstance(said, Mapping):
        for name, value in said.items():
            if isinstance(value, str) and str(name).lower() in _CODES:
                yield value
        for value in said.values():
            yield from _codes(value, depth + 1)
