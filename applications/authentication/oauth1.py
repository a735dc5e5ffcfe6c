"""OAuth 1.0a (RFC 5849): each request is signed, with a token that a user fills in or that a login brings."""

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import parse_qsl, quote, urlencode

from applications.authentication.base import Authentication, LoginAuthentication, LoginStarted, Settings, TokenCall
from applications.errors import LoginDead, LoginRefused
from applications.http.request import Auth, Credentials, Request
from applications.http.response import Head
from applications.templates import fill, fill_url, placeholders
from applications.token import Token

if TYPE_CHECKING:
    from authlib.oauth1 import ClientAuth

TOKEN: Final = "oauth_token"  # noqa: S105 - the name of a field
TOKEN_SECRET: Final = "oauth_token_secret"  # noqa: S105 - the name of a field
_FORM: Final = "application/x-www-form-urlencoded"
_REFUSALS: Final = ("denied", "oauth_problem", "error")
"""What services say in the callback when the person has said no; RFC 5849 has no word for it."""
_NOT_THE_TOKEN: Final = ("timestamp_refused", "nonce_used")
"""Problems of a 401 that a new login would not solve: http://wiki.oauth.net/w/page/12238543/ProblemReporting."""


@dataclass(frozen=True, slots=True)
class OAuth1(Authentication):
    """OAuth 1.0a, with the token that the service shows to the user."""

    type: ClassVar[str] = "oauth"

    client_key: str = "{consumer_key}"
    client_secret: str = "{consumer_secret}"  # noqa: S105 - the name of a setting
    token: str = "{token}"  # noqa: S105 - the name of a setting
    token_secret: str = "{token_secret}"  # noqa: S105 - the name of a setting
    signature_method: str = "HMAC-SHA1"
    """HMAC-SHA1, RSA-SHA1 (the client secret is the private key in PEM) or PLAINTEXT."""
    realm: str | None = None

    @property
    def needs(self) -> Sequence[str]:
        """The settings in all four."""
        return placeholders(self.client_key + self.client_secret + self.token + self.token_secret)

    def auth(self, settings: Settings) -> Auth:
        """Return what signs by Authlib."""
        return _OAuth1(_signer(self, settings, fill(self.token, settings), fill(self.token_secret, settings)))


@dataclass(frozen=True, slots=True)
class OAuth1Login(LoginAuthentication):
    """OAuth 1.0a, with the token that a login of the user's brings. URLs may have placeholders.

    Such a token does not end by itself. When the service refuses it, only a new login helps.
    """

    type: ClassVar[str] = "oauth"
    is_renewable: ClassVar[bool] = False
    signs_forms: ClassVar[bool] = True

    request_token_url: str
    """Where the login begins (RFC 5849, 2.1)."""
    authorize_url: str
    """Where the person logs in (2.2)."""
    access_token_url: str
    """Where it ends (2.3)."""
    check_url: str = ""
    """What is asked after a 401, such as `/account/verify_credentials`: only what is refused there as well is a dead
    login. Without it each 401 means that, for services that say it for nothing else."""
    authorize_parameters: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Added to the authorize URL, such as `expiration=never`."""
    client_key: str = "{consumer_key}"
    client_secret: str = "{consumer_secret}"  # noqa: S105 - the name of a setting
    signature_method: str = "HMAC-SHA1"
    """HMAC-SHA1, RSA-SHA1 (the client secret is the private key in PEM) or PLAINTEXT."""
    realm: str | None = None

    @property
    def is_login(self) -> bool:
        """Always."""
        return True

    @property
    def needs(self) -> Sequence[str]:
        """The settings of the client, and those in the URLs."""
        urls = self.request_token_url + self.authorize_url + self.access_token_url + self.check_url
        return placeholders(self.client_key + self.client_secret + urls)

    async def begin(self, settings: Settings, *, redirect_uri: str, state: str, call: TokenCall) -> LoginStarted:
        """Get a request token, whose secret stays here; the state travels in the query of the callback.

        Raises `LoginRefused` when the service does not confirm the callback or sends no token, `LoginDead` or
        `TokenEndpointAway`.
        """
        # Imported here: needed for a login only, and it brings the HTTP library.
        from applications.http.wire import with_query  # noqa: PLC0415 - see above

        signer = _signer(self, settings, callback=with_query(redirect_uri, [("state", state)]))
        said = await self._ask(self.request_token_url, settings, signer, call)
        if said.get("oauth_callback_confirmed") != "true":
            raise LoginRefused("the service did not confirm the callback: it speaks OAuth 1.0, which is not safe")
        asked = {TOKEN: said[TOKEN], **self.authorize_parameters}
        url = with_query(fill_url(self.authorize_url, settings), asked.items())
        return LoginStarted(url, {name: said[name] for name in (TOKEN, TOKEN_SECRET)})

    async def finish(
        self, settings: Settings, query: Mapping[str, str], kept: Mapping[str, str], call: TokenCall
    ) -> Token:
        """Exchange the request token for one that lasts.

        Raises `LoginRefused` when the person said no, when the callback is that of another login or has no verifier,
        and when the service sends no token; `LoginDead` or `TokenEndpointAway`.
        """
        for name in _REFUSALS:
            if name in query:
                told = "" if query[name] == kept[TOKEN] else f"={query[name][:200]}"
                raise LoginRefused(f"the service says {name}{told}")
        if query.get(TOKEN) != kept[TOKEN]:
            raise LoginRefused("the browser came back with the token of another login: start it again")
        if not (verifier := query.get("oauth_verifier")):
            raise LoginRefused("the service sent no oauth_verifier: start the login again")
        signer = _signer(self, settings, kept[TOKEN], kept[TOKEN_SECRET], verifier=verifier)
        said = await self._ask(self.access_token_url, settings, signer, call)
        return Token(said[TOKEN], obtained=time.time(), others={name: said[name] for name in said if name != TOKEN})

    async def obtain(self, settings: Settings, token: Token | None, call: TokenCall) -> Token:
        """Return the same token where the service takes it at `check_url`.

        Raises `LoginDead` where it does not, or where there is no `check_url`; `TokenEndpointAway`.
        """
        if not self.check_url or token is None:
            raise LoginDead("the service refuses the token, and OAuth 1.0a has no way to renew it")
        request = Request("GET", fill_url(self.check_url, settings), {})
        await call(request.url, headers=self.sign(request, token, settings).headers, method="GET")
        return replace(token, obtained=time.time())

    def sign(self, request: Request, token: Token, settings: Settings) -> Credentials:
        """Sign with client and token."""
        return _sign(request, _signer(self, settings, token.access_token, str(token.others.get(TOKEN_SECRET, ""))))

    def refuses_token(self, reply: Head) -> bool:
        """Whether it is the token, and not this machine's clock."""
        if reply.status != HTTPStatus.UNAUTHORIZED:
            return False
        told = reply.headers.get("www-authenticate", "")
        return not any(problem in told for problem in _NOT_THE_TOKEN)

    async def _ask(self, url: str, settings: Settings, signer: "ClientAuth", call: TokenCall) -> Mapping[str, str]:
        url = fill_url(url, settings)
        _, headers, _ = signer.prepare("POST", url, {}, b"")
        said = await call(url, headers={"Authorization": headers["Authorization"]})
        if not said.get(TOKEN) or not said.get(TOKEN_SECRET):
            raise LoginRefused(f"{url} answered without {TOKEN} and {TOKEN_SECRET}")
        return {name: str(value) for name, value in said.items()}


class _OAuth1(Auth):
    def __init__(self, signer: "ClientAuth") -> None:
        self._signer = signer

    def needs_body(self, request: Request) -> bool:
        """A form is signed, any other body is not (3.4.1.3.1)."""
        return is_form(request)

    async def sign(self, request: Request) -> AsyncGenerator[Credentials, Head]:
        """Sign."""
        yield _sign(request, self._signer)


def is_form(request: Request) -> bool:
    """Whether the body is a form, which is signed with the request."""
    return str(request.headers.get("content-type", "")).startswith(_FORM)


def _sign(request: Request, signer: "ClientAuth") -> Credentials:
    has_form = is_form(request)
    own = {"Content-Type": _FORM} if has_form else {}  # the signer wants it spelt so
    _, headers, _ = signer.prepare(request.method, _escaped_query(request.url), own, request.body if has_form else b"")
    return Credentials({"Authorization": headers["Authorization"]})


def _escaped_query(url: str) -> str:
    """Return the URL with all escaped in its query: the signer refuses what services and browsers leave as it is.

    The signature is the same, as the query is decoded before it is signed (3.4.1.3.1).
    """
    path, _, query = url.partition("?")
    return f"{path}?{urlencode(parse_qsl(query, keep_blank_values=True), quote_via=quote)}" if query else path


def _signer(
    way: OAuth1 | OAuth1Login, settings: Settings, token: str = "", token_secret: str = "", *,
    callback: str = "", verifier: str = "",
) -> "ClientAuth":  # fmt: skip
    # Imported here: only who signs so needs it, and it takes its time.
    from authlib.oauth1 import ClientAuth  # noqa: PLC0415 - see above

    is_rsa = way.signature_method.startswith("RSA")
    secret = settings[placeholders(way.client_secret)[0]] if is_rsa else fill(way.client_secret, settings)
    return ClientAuth(
        fill(way.client_key, settings),
        client_secret=None if is_rsa else secret,
        token=token,
        token_secret=token_secret,
        redirect_uri=callback,
        verifier=verifier,
        signature_method=way.signature_method,
        realm=way.realm,
        rsa_key=secret if is_rsa else None,
    )
