"""A service's own way from settings to a token."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from applications.authentication.base import Settings, TokenAuthentication, TokenCall
from applications.http.request import Credentials, Request
from applications.own_code import called
from applications.token import Token

Exchange = Callable[[Settings, TokenCall], Awaitable[Token]]
"""Asks the service for a token; `call` is the way to do so. Returns it, or raises what `call` raises."""


@dataclass(frozen=True, slots=True)
class TokenExchange(TokenAuthentication):
    """Gets a token by a function of the application's own, again whenever the last one ends."""

    exchange: Exchange
    header: str = "Authorization"
    value: str = "Bearer {access_token}"

    async def obtain(self, settings: Settings, token: Token | None, call: TokenCall) -> Token:
        """Call the function."""
        obtained: Token = await called(self.exchange, settings, call)
        return obtained

    def sign(self, request: Request, token: Token, settings: Settings) -> Credentials:
        """Return the header."""
        return Credentials({self.header: self.value.replace("{access_token}", token.access_token)})
