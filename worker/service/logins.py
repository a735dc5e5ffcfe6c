"""Logins at services: off to them, and back through the platform's backend.

The backend takes the `state` apart as base64url of `user:application:sdk`, so these stay readable; what proves that the
login was begun here, ends and works once follows behind them.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from applications.errors import LoginForged
from worker.service.applications import OF_USER, SECONDS, Known, found_in, found_install, needed
from worker.service.errors import Refused
from worker.service.http import Reply, Request, json_reply
from worker.service.routing import Places, Route

if TYPE_CHECKING:
    from applications.accounts import Accounts

_PARTS: Final = 4
_RETURN: Final = "redirect_url"


class LoginRoutes:
    """Begins and ends logins."""

    def __init__(self, known: Known, accounts: "Accounts | None", redirect_uri: str) -> None:
        self._known = known
        self._accounts = accounts
        self._redirect_uri = redirect_uri

    def routes(self) -> Iterator[Route]:
        """Return the routes."""
        token = "authorize/token"  # noqa: S105 - a path
        for own in (f"{OF_USER}/sdk/{{sdk}}", OF_USER):
            yield Route("GET", f"{own}/authorize", self._begin, SECONDS, "Begin a login: where the person goes")
            yield Route("GET", f"{own}/{token}", self._end, SECONDS, "End a login")
        yield Route("GET", f"/applications/{token}", self._end, SECONDS, "End a login that its state names")

    async def _begin(self, request: Request, places: Places) -> Reply:
        found_in(self._known, places["key"])
        return_to = _return_to(request.query)
        accounts, application, install = await found_install(self._known, self._accounts, places)

        def shown(sealed: str) -> str:
            return platform_state(install.user, application.key, places.sdk, sealed)

        url = await accounts.logins.start(
            application, install.user, self._redirect_uri, sdk=install.sdk, return_to=return_to, shown_state=shown
        )
        return json_reply({"authorizeUrl": url})

    async def _end(self, request: Request, places: Places) -> Reply:
        accounts, query = needed(self._accounts), _callback(request)
        if "key" in places:
            found_in(self._known, places["key"])
        callback = await accounts.logins.read(query)
        if "key" in places and places["key"] != callback.application:
            raise LoginForged(f"this login was begun for {callback.application}, not for {places['key']}")
        await accounts.finish_login(found_in(self._known, callback.application), callback)
        return json_reply({"redirectUrl": callback.return_to})


def platform_state(user: str, application: str, sdk: str, sealed: str) -> str:
    """Return the state of a login as the backend takes it apart; a colon in the user would move the parts."""
    readable = ":".join((user.replace(":", "%3A"), application, sdk, sealed))
    return urlsafe_b64encode(readable.encode()).decode().rstrip("=")


def sealed_state(state: str) -> str:
    """Return what of a state proves that it is ours; empty for one that has no such part."""
    try:
        readable = urlsafe_b64decode(f"{state}{'=' * (-len(state) % 4)}").decode()
    except ValueError:
        return ""
    parts = readable.split(":", _PARTS - 1)
    return parts[-1] if len(parts) == _PARTS else ""


def _callback(request: Request) -> Mapping[str, str]:
    """Return the query with our own state. The backend does not escape it again, so a plus has become a blank."""
    query = request.first_parameters
    if "code" in query:
        query["code"] = query["code"].replace(" ", "+")
    return query | {"state": sealed_state(query.get("state", ""))}


def _return_to(query: str) -> str:
    """Return where the person goes after the login. It comes unescaped: what follows an `&` may be a part of it.

    Raises `Refused` when there is none, or it is no address of a page.
    """
    given = [value for name, value in parse_qsl(query) if name == _RETURN]
    rest = [part for part in query.split("&") if part.partition("=")[0] != _RETURN]
    url = "&".join([",".join(given), *map(unquote_plus, filter(None, rest))]) if given else ""
    if not url:
        raise Refused(f'Missing "{_RETURN}" query parameter.')
    if urlsplit(url).scheme not in {"http", "https", ""}:
        raise Refused(f'"{_RETURN}" must be an address of a page, https://host/path')
    return url
