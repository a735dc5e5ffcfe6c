"""OAuth 2 (RFC 6749): authorization code with PKCE, client credentials, refresh."""

import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from secrets import token_urlsafe
from types import MappingProxyType
from typing import ClassVar, Final
from urllib.parse import quote_plus

from applications.authentication.base import LoginAuthentication, LoginStarted, Settings, TokenCall
from applications.errors import LoginDead, LoginRefused, SettingUnusable, TokenEndpointAway
from applications.http.request import Credentials, Request
from applications.templates import fill_url, placeholders
from applications.token import Token, read_token
from applications.token_replies import Refusal

_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Grant(StrEnum):
    """Where the first token comes from."""

    AUTHORIZATION_CODE = "authorization_code"
    """A person logs in at the service."""
    CLIENT_CREDENTIALS = "client_credentials"
    """The client asks for itself."""


class ClientAuthentication(StrEnum):
    """How the client says who it is to the token endpoint."""

    BODY = "body"
    HEADER = "header"
    SECRET_JWT = "secret_jwt"  # noqa: S105 - the name of a way
    """An assertion signed with the client secret (RFC 7523)."""
    PRIVATE_KEY_JWT = "private_key_jwt"
    """An assertion signed with a private key in PEM, which stands in the client secret's setting."""
    NONE = "none"
    """A public client; PKCE stands for the secret."""


@dataclass(frozen=True, slots=True)
class OAuth2(LoginAuthentication):
    """OAuth 2. URLs may have placeholders, for services with a URL for each account."""

    type: ClassVar[str] = "oauth2"

    token_url: str
    authorize_url: str = ""
    scopes: Sequence[str] = ()
    scope_separator: str = " "
    grant: Grant = Grant.AUTHORIZATION_CODE
    client_authentication: ClientAuthentication = ClientAuthentication.BODY
    has_pkce: bool = True
    authorize_parameters: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """Added to the authorize URL, such as `access_type=offline`."""
    token_parameters: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """Added to each call of the token endpoint, such as `audience`."""
    client_id: str = "client_id"
    """The setting with the client's id."""
    client_secret: str = "client_secret"  # noqa: S105 - the name of a setting
    """The setting with the client's secret."""
    header: str = "Authorization"
    value: str = "Bearer {access_token}"
    is_dead: Refusal | None = None
    """Whether a reply of the token endpoint means that the login is dead, where the service has words of its own."""

    @property
    def is_login(self) -> bool:
        """Whether a person has to log in before the first token."""
        return self.grant is Grant.AUTHORIZATION_CODE

    @property
    def needs(self) -> Sequence[str]:
        """The settings of the client, and those in the URLs."""
        own = [self.client_id] if self.client_authentication is ClientAuthentication.NONE else self._client
        return [*own, *placeholders(self.authorize_url + self.token_url)]

    @property
    def _client(self) -> list[str]:
        return [self.client_id, self.client_secret]

    async def begin(self, settings: Settings, *, redirect_uri: str, state: str, call: TokenCall) -> LoginStarted:
        """Return the URL where the person logs in; the PKCE verifier stays here."""
        verifier = token_urlsafe(48)
        url = self._authorize_at(settings, redirect_uri=redirect_uri, state=state, verifier=verifier)
        return LoginStarted(url, {"redirect_uri": redirect_uri, "verifier": verifier})

    def _authorize_at(self, settings: Settings, *, redirect_uri: str, state: str, verifier: str) -> str:
        # Imported here: needed for a login only, and it takes its time.
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri  # noqa: PLC0415 - see above
        from authlib.oauth2.rfc7636 import create_s256_code_challenge  # noqa: PLC0415 - see above

        extra = dict(self.authorize_parameters)
        if self.has_pkce:
            extra |= {"code_challenge": create_s256_code_challenge(verifier), "code_challenge_method": "S256"}
        return str(
            prepare_grant_uri(
                fill_url(self.authorize_url, settings),
                client_id=settings[self.client_id],
                response_type="code",
                redirect_uri=redirect_uri,
                scope=self.scope,
                state=state,
                **extra,
            )
        )

    @property
    def scope(self) -> str:
        """The scopes as the service wants them."""
        return self.scope_separator.join(self.scopes)

    async def finish(
        self, settings: Settings, query: Mapping[str, str], kept: Mapping[str, str], call: TokenCall
    ) -> Token:
        """Exchange the code that the browser came back with.

        Raises `LoginRefused` when the service says no or sends no code, `LoginDead`, `TokenEndpointAway`, and
        `SettingUnusable` for a client secret that is no key.
        """
        if "error" in query:
            text = f"{query['error']}: {query.get('error_description', '')}".rstrip(": ")
            raise LoginRefused(f"the service says {text[:200]}")
        if not query.get("code"):
            raise LoginRefused("the service sent no code: start the login again")
        form = {"grant_type": "authorization_code", "code": query["code"], "redirect_uri": kept["redirect_uri"]}
        if self.has_pkce:
            form["code_verifier"] = kept["verifier"]
        return await self._ask(settings, form, call)

    async def obtain(self, settings: Settings, token: Token | None, call: TokenCall) -> Token:
        """Return a new token: by the refresh token, or for the client itself.

        Raises `LoginDead` when there is no refresh token or the service refuses it, `TokenEndpointAway`, and
        `SettingUnusable` for a client secret that is no key.
        """
        if self.grant is Grant.CLIENT_CREDENTIALS:
            form = {"grant_type": "client_credentials"} | ({"scope": self.scope} if self.scopes else {})
            return await self._ask(settings, form, call)
        if token is None or token.refresh_token is None:
            raise LoginDead("the token has ended, and the service gave no refresh token")
        form = {"grant_type": "refresh_token", "refresh_token": token.refresh_token}
        return (await self._ask(settings, form, call)).after(token)

    def sign(self, request: Request, token: Token, settings: Settings) -> Credentials:
        """Return the header."""
        return Credentials({self.header: self.value.replace("{access_token}", token.access_token)})

    async def _ask(self, settings: Settings, form: Mapping[str, str], call: TokenCall) -> Token:
        url = fill_url(self.token_url, settings)
        headers, own = self._say_who(settings, url)
        reply = await call(url, form={**form, **own, **self.token_parameters}, headers=headers, is_dead=self.is_dead)
        try:
            return read_token(reply, time.time())
        except ValueError as error:
            raise TokenEndpointAway(f"{url}: {error}", _UNREADABLE_FOR) from None

    def _say_who(self, settings: Settings, url: str) -> tuple[dict[str, str], dict[str, str]]:
        """Return the headers and the fields that tell the client."""
        client, secret = settings[self.client_id], settings.get(self.client_secret, "")
        match self.client_authentication:
            case ClientAuthentication.HEADER:
                pair = f"{quote_plus(client)}:{quote_plus(secret)}"  # RFC 6749, 2.3.1
                return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}, {}
            case ClientAuthentication.BODY:
                return {}, {"client_id": client, "client_secret": secret}
            case ClientAuthentication.NONE:
                return {}, {"client_id": client}
        try:
            assertion = _assertion(self.client_authentication, client, secret, url)
        except ValueError:
            is_pem = self.client_authentication is ClientAuthentication.PRIVATE_KEY_JWT
            what = "a private key in PEM" if is_pem else "a key"
            raise SettingUnusable(self.client_secret, f"it is not {what}") from None
        return {}, {"client_id": client, "client_assertion_type": _ASSERTION, "client_assertion": assertion}


def _assertion(way: ClientAuthentication, client: str, secret: str, url: str) -> str:
    # Imported here: few services want it, and it takes its time.
    from joserfc import jwt  # noqa: PLC0415 - see above
    from joserfc.jwk import OctKey, RSAKey  # noqa: PLC0415 - see above

    now = int(time.time())
    claims = {"iss": client, "sub": client, "aud": url, "iat": now, "exp": now + 300, "jti": token_urlsafe(24)}
    if way is ClientAuthentication.SECRET_JWT:
        return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(secret))
    return jwt.encode({"alg": "RS256"}, claims, RSAKey.import_key(secret))


_UNREADABLE_FOR = timedelta(seconds=60)
