"""What token endpoints answer: tokens in any form, and dead logins in any words."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from applications.errors import LoginDead, TokenEndpointAway
from applications.http.response import Headers, Response
from applications.token_endpoint import judge

URL = "https://login.example/token"
TOKEN = {"access_token": "new+/=", "refresh_token": "rotated", "expires_in": "3600"}
TYPES = ["application/json", "text/html", "text/plain; charset=utf-8", "application/x-www-form-urlencoded", ""]


def reply(body: str | bytes, kind: str = "application/json", status: int = 200) -> Response:
    content = body if isinstance(body, bytes) else body.encode()
    return Response("POST", URL, status, Headers({"Content-Type": kind} if kind else {}), content)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(
    "body",
    [
        json.dumps(TOKEN),
        f"\n {json.dumps(TOKEN, indent=2)}\r\n",
        b"\xef\xbb\xbf" + json.dumps(TOKEN).encode(),
        json.dumps(TOKEN).encode("utf-16"),
        json.dumps(json.dumps(TOKEN)),
        urlencode(TOKEN),
        f"{urlencode(TOKEN)}\n",
    ],
)
def test_a_token_is_read_in_any_form_under_any_type(body: str | bytes, kind: str) -> None:
    assert judge(URL, reply(body, kind)) == TOKEN


@pytest.mark.parametrize("kind", TYPES[:3])
@pytest.mark.parametrize(
    "body",
    [
        "<html><a href='/?x=1&access_token=abc&y=2'>Log in</a></html>",
        "Please log in: access_token=abc",
        "",
        "null",
        "[]",
        '"access_token"',
        "a=b",
    ],
)
def test_a_page_is_no_token(body: str, kind: str) -> None:
    with pytest.raises(TokenEndpointAway, match="not with a token"):
        judge(URL, reply(body, kind))


DEAD: list[tuple[int, Any]] = [
    (400, {"error": "invalid_grant", "error_description": "Token has been revoked."}),
    (400, {"error": "INVALID_GRANT"}),
    (400, {"error": "Invalid Grant"}),
    (400, {"status": "BAD_REFRESH_TOKEN", "message": "missing or unknown refresh token"}),
    (400, {"error": {"message": "Session has expired", "type": "OAuthException", "code": 190}}),
    (400, {"error": "inactive_user", "error_description": "user is inactive"}),
    (400, {"errors": [{"status": "400", "code": "invalid_grant", "title": "Bad Request"}]}),
    (422, {"errors": [{"title": "Refresh token is invalid"}]}),
    (400, {"fault": {"faultstring": "gone", "detail": {"errorcode": "keymanagement.service.invalid_refresh_token"}}}),
    (400, {"code": 400, "message": "The refresh token has expired"}),
    (403, {"message": "Expired refresh_token"}),
    (200, {"ok": False, "error": "token_revoked"}),
    (200, {"error": {"code": "invalid_grant"}}),
    (401, {"anything": "else"}),
    (401, "<html>"),
    (400, "invalid_grant"),
    (400, '"invalid_grant"'),
    (400, "Invalid refresh token\n"),
    (400, "error=invalid_grant&error_description=gone"),
    (400, "oauth_problem=token_rejected"),
]


@pytest.mark.parametrize(("status", "said"), DEAD)
def test_a_dead_login_is_known_in_many_words(status: int, said: Any) -> None:
    with pytest.raises(LoginDead):
        judge(URL, reply(said if isinstance(said, str) else json.dumps(said), status=status))


AWAY: list[tuple[int, Any]] = [
    (403, {"error": "Forbidden"}),
    (403, {"error": {"code": 403, "status": "PERMISSION_DENIED"}}),
    (404, {"error": "Not Found"}),
    (404, {"message": "unknown refresh token route"}),
    (400, {"error": "temporarily_unavailable"}),
    (400, {"error": "rate_limited", "message": "slow down"}),
    (401, {"error": "slow_down"}),
    (400, {"error": {"message": "An unknown error", "type": "OAuthException", "code": 2}}),
    (403, "<html>The refresh token you sent is invalid</html>"),
    (429, {"error": "invalid_grant"}),
    (503, {"error": "invalid_grant"}),
    (200, "<html>invalid_grant</html>"),
]


@pytest.mark.parametrize(("status", "said"), AWAY)
def test_other_words_leave_the_login_alive(status: int, said: Any) -> None:
    with pytest.raises(TokenEndpointAway):
        judge(URL, reply(said if isinstance(said, str) else json.dumps(said), status=status))


def test_an_application_knows_the_words_of_its_service() -> None:
    def is_dead(reply: Response) -> bool:
        return reply.status == 500 and b"no such session" in reply.content

    with pytest.raises(LoginDead, match="answered 500"):
        judge(URL, reply("no such session", status=500), is_dead)
    with pytest.raises(TokenEndpointAway):
        judge(URL, reply("no such session", status=502), is_dead)


def test_what_an_own_exchange_gets_is_left_to_it() -> None:
    own = {"token": "t", "status": "ok", "code": 0, "type": "session"}
    assert judge(URL, reply(json.dumps(own))) == own
