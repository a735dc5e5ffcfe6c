"""A service's own way from settings to a token."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx

from applications.authentication.base import Call, Settings, TokenAuthentication
from applications.token import Token

Exchange = Callable[[Settings, Call], Awaitable[Token]]
"""Asks the service for a token; `call` is the way to do so. Returns it, or raises what `call` raises."""


@dataclass(frozen=True, slots=True)
class TokenExchange(TokenAuthentication):
    """Gets a token by a function of the application's own, again whenever the last one ends."""

    exchange: Exchange
    header: str = "Authorization"
    value: str = "Bearer {access_token}"

    async def obtain(self, settings: Settings, token: Token | None, call: Call) -> Token:
        """Call the function."""
        return await self.exchange(settings, call)

    def sign(self, request: httpx.Request, token: Token, settings: Settings) -> None:
        """Set the header."""
        request.headers[self.header] = self.value.replace("{access_token}", token.access_token)
