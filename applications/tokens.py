"""Tokens that are renewed in time: one refresh per install, over all tasks and processes.

In a process the tasks share one refresh. Between processes a lease in the database decides who asks the service;
the others go on with the old token while it lives, or look again until the new one is there. What a refresh brings is
written to the journal, then to the database, and the number of the lease (its fence) keeps an older token from
standing over a newer one. See docs/oauth2.md.
"""

import asyncio
import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from applications.application import Application
from applications.authentication import TokenAuthentication, TokenCall
from applications.errors import ApplicationError, InstallsAway, LoginDead, TokenEndpointAway, TryLater
from applications.install import Install, needs_reconnect, usable
from applications.installs import LEASE_SECONDS, Installs
from applications.journal import Arrived, Journal
from applications.pauses import back_off
from applications.recent import Recent
from applications.redaction import redact, redacted_errors
from applications.token import Token

log = structlog.get_logger()

EARLY: Final = 0.2
"""Within the last fifth of its life a token is renewed, at a moment that chance chooses for each process."""
EARLIEST_SECONDS: Final = 600
MIN_AGE_SECONDS: Final = 10
"""A younger token that is refused is not the reason: a service may refuse a request for want of rights."""
LOOK_SECONDS: Final = (0.05, 0.25)
"""How long to wait before looking whether another process has brought the token. The database tells nobody."""
LONGEST_PAUSE_SECONDS: Final = 300
EQUAL_REFUSALS: Final = 5
"""So many times in a row an endpoint may say the same before people are told that the login may be dead."""
MOST_HELD: Final = 10_000
"""Tokens in memory; others are read from the store when they are needed again."""


@dataclass(frozen=True, slots=True)
class HeldToken:
    """A token with the number of what brought it, and the moment from which it is to be renewed."""

    token: Token
    fence: int
    renew_at: float

    def is_alive(self, refused: str | None, now: float) -> bool:
        """Whether the service takes it, as far as we know."""
        return self.token.access_token != refused and not self.token.is_expired(now)


class Tokens:
    """Gives the token of an install. One for a process; `close` it at the end."""

    def __init__(self, installs: Installs, journal: Journal, call: TokenCall) -> None:
        self._installs = installs
        self._journal = journal
        self._call = call
        self._running: dict[tuple[str, str, str], asyncio.Task[Token]] = {}
        self._refusals: Recent[tuple[str, str, str], tuple[str, int]] = Recent(MOST_HELD)
        self._held: Recent[tuple[str, str, str], HeldToken] = Recent(MOST_HELD)

    async def get(
        self, application: type[Application], user: str, refused: str | None = None, *, sdk: str = ""
    ) -> Token:
        """Return a token that the service should take; `refused` is the access token that it did not.

        The same token comes back when it is too young to be the reason. While a refresh is under way, a token that
        lives is good enough. Raises `NotReady`, `TryLater`, `SecretsError` or what an exchange of the application's
        own ends with. A cancel of the caller does not end the refresh: its reply would be lost.
        """
        key = (user, application.key, sdk)
        held = self._held.get(key)
        if held and held.is_alive(refused, self._now()) and (self._now() < held.renew_at or key in self._running):
            return held.token
        if refused:
            self._held.forget(key)  # should the login turn out to be dead, nothing more is sent with it
        while True:
            task = self._running.get(key)
            is_own = task is None
            if task is None:
                settling = self._settle(application, user, sdk, refused)
                task = asyncio.create_task(settling, name=f"token {application.key}")
                self._running[key] = task
                task.add_done_callback(lambda done: self._finished(key, done))
            token = await asyncio.shield(task)
            if is_own or token.access_token != refused:
                return token

    async def close(self) -> None:
        """Let refreshes under way end: what they bring must be saved."""
        if self._running:
            await asyncio.wait(self._running.values(), timeout=LEASE_SECONDS)

    def _finished(self, key: tuple[str, str, str], task: asyncio.Task[Token]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody may have

    async def _settle(self, application: type[Application], user: str, sdk: str, refused: str | None) -> Token:
        """Look until there is a good token, from wherever it comes."""
        while True:
            install = await self._recovered(application, user, sdk)
            token = self._installs.token(install)
            if token is not None and self._is_good(token, self._now(), refused):
                return self._hold(install, install.token_fence, token)
            old = HeldToken(token, install.token_fence, 0) if token else None
            is_alive = old is not None and old.is_alive(refused, self._now())
            if old and is_alive:
                self._held.put(_key(install), old)  # who comes meanwhile goes on with it
            outcome = await self._renew(application, install, token)
            if isinstance(outcome, Token):
                return outcome
            if token and is_alive:
                return token
            if isinstance(outcome, TryLater):
                raise outcome
            await asyncio.sleep(random.uniform(*LOOK_SECONDS))  # noqa: S311 - no secret

    async def _renew(
        self, application: type[Application], install: Install, token: Token | None
    ) -> Token | TryLater | None:
        """Ask the service if nobody else does. Return the token, why there is none yet, or None: look again."""
        pause = install.retry_at / 1000 - self._now()
        if pause > 0:
            return TokenEndpointAway(
                f"the token endpoint of {application.key} is away, {install.failures} times in a row",
                timedelta(seconds=pause),
            )
        fence = await self._installs.lease(install)
        if fence is None:
            return None
        if await self.recover(install.user, install.application, install.sdk):  # it came while the lease was sought
            await self._installs.give_back(install, fence)
            return None
        return await self._refresh(application, install, token, fence)

    async def _refresh(
        self, application: type[Application], install: Install, token: Token | None, fence: int
    ) -> Token | TryLater | None:
        way = application.authentication
        assert isinstance(way, TokenAuthentication), "only these have tokens"
        stored = self._installs.settings(install)
        settings = application.text_settings(stored, install.plain)
        secrets = application.secrets(stored) | (token.secrets if token else set())
        try:
            self._journal.prepare()
            with redacted_errors(secrets):
                async with asyncio.timeout(LEASE_SECONDS - 5):
                    fresh = await way.obtain(settings, token, self._call)
        except LoginDead as error:
            await self._dead(application, install, fence, str(error))
            return None
        except (TokenEndpointAway, TimeoutError) as error:
            return await self._away(application, install, fence, error)
        except Exception as error:
            await self._installs.give_back(install, fence)
            if isinstance(error, ApplicationError):
                raise
            reason = redact(f"{type(error).__name__}: {error}", secrets)
            raise ApplicationError(f"the exchange of {application.key} failed: {reason}") from error
        return await self._arrived(install, fence, fresh)

    async def _dead(self, application: type[Application], install: Install, fence: int, reason: str) -> None:
        """Raise `NeedsReconnect`, unless another process has brought a token meanwhile, or a person other settings."""
        if not await self._installs.mark_dead(install, reason):
            await self._installs.give_back(install, fence)
            return
        log.error("login_dead", application=install.application, userId=install.user, reason=reason)
        self.forget(*_key(install))
        raise needs_reconnect(application, install, reason)

    async def _arrived(self, install: Install, fence: int, obtained: Token) -> Token | None:
        fresh = self._installs.clock.told(obtained)
        sealed = self._installs.seal_token(install.user, install.application, fresh, sdk=install.sdk)
        arrived = Arrived(install.user, install.application, fence, sealed, fresh.expires, install.sdk)
        self._journal.write(arrived)
        log.info("token_refreshed", application=install.application, userId=install.user)
        try:
            is_latest = await self.save(arrived)
        except InstallsAway as error:
            log.warning("token_not_saved", cause=str(error), consequence="it waits in the journal of this machine")
            return fresh
        return self._hold(install, fence, fresh) if is_latest else None

    async def save(self, arrived: Arrived) -> bool:
        """Put a token that arrived into the database; False when a later one is there, or the install is gone."""
        is_latest = await self._installs.save_token(
            arrived.user, arrived.application, arrived.fence, arrived.sealed, arrived.expires, sdk=arrived.sdk
        )
        self._journal.remove(arrived)
        return is_latest

    async def recover(self, user: str, application: str, sdk: str = "") -> bool:
        """Put into the database what has arrived for an install on this machine; return whether any of it was new."""
        waiting = list(self._journal.waiting(user, application, sdk))
        return any([await self.save(arrived) for arrived in waiting])

    async def _recovered(self, application: type[Application], user: str, sdk: str) -> Install:
        await self.recover(user, application.key, sdk)
        return usable(application, user, sdk, await self._installs.get(user, application.key, sdk))

    async def _away(
        self, application: type[Application], install: Install, fence: int, error: Exception
    ) -> TokenEndpointAway:
        asked = error.after.total_seconds() if isinstance(error, TokenEndpointAway) else 0
        pause = max(asked, back_off(install.failures, longest=LONGEST_PAUSE_SECONDS))
        reason = str(error) or "the token endpoint took too long"
        if isinstance(error, TokenEndpointAway) and error.is_refusal:
            reason = self._refused(application, install, reason)
        log.warning("token_endpoint_away", application=install.application, cause=reason, retry_in_seconds=pause)
        await self._installs.mark_away(install, fence, pause)
        return TokenEndpointAway(reason, timedelta(seconds=pause))

    def _refused(self, application: type[Application], install: Install, reason: str) -> str:
        """Return the reason; what the endpoint says again and again may mean that the login is dead."""
        before, times = self._refusals.get(_key(install)) or ("", 0)
        times = times + 1 if before == reason else 1
        self._refusals.put(_key(install), (reason, times))
        if times < EQUAL_REFUSALS:
            return reason
        again = needs_reconnect(application, install, f"if this refusal, the same {times} times in a row, means so")
        return f"{reason}; {again}"

    def _now(self) -> float:
        """Return the time that all processes go by, in seconds since the epoch."""
        return self._installs.clock.now()

    def _is_good(self, token: Token, now: float, refused: str | None) -> bool:
        if token.access_token == refused:
            return 0 <= now - token.obtained < MIN_AGE_SECONDS and not token.is_expired(now)
        return now < _renew_at(token)

    def _hold(self, install: Install, fence: int, token: Token) -> Token:
        self._held.put(_key(install), HeldToken(token, fence, _renew_at(token)))
        return token

    def compare(self, install: Install) -> None:
        """Forget the token when the install, as it was just read, has a later one."""
        held = self._held.get(_key(install))
        if held and held.fence < install.token_fence:
            self.forget(*_key(install))

    def forget(self, user: str, application: str, sdk: str = "") -> None:
        """Read the token from the store the next time."""
        self._held.forget((user, application, sdk))


def _key(install: Install) -> tuple[str, str, str]:
    return (install.user, install.application, install.sdk)


def _renew_at(token: Token) -> float:
    if token.expires is None:
        return float("inf")
    early = min((token.expires - token.obtained) * EARLY, EARLIEST_SECONDS)
    return token.expires - early * random.uniform(0.5, 1)  # noqa: S311 - no secret
