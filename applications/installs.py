"""Installs: who has installed what, with settings and tokens."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from applications.crypt import Keyring
from applications.errors import ChangedMeanwhile
from applications.install import TOKEN_PLACE, Install, place_of
from applications.store import AccountStore
from applications.store_clock import StoreClock
from applications.token import Token

LEASE_SECONDS: Final = 60
"""How long a process may take for a refresh before another one may try; longer than the call's time limit."""


class Installs:
    """Who has installed which application, with settings and login.

    A token is saved only over one that an earlier refresh brought (`fence`), so that a process that was away for a
    while cannot put an older token over a newer one.
    """

    def __init__(self, store: AccountStore, keyring: Keyring) -> None:
        self.keyring = keyring
        self.clock = StoreClock()
        self._store = store

    async def add(self, user: str, application: str, sdk: str = "", *, is_enabled: bool) -> bool:
        """Install without settings; False when the user has it already."""
        return await self._store.add(user, application, sdk, is_enabled=is_enabled)

    async def get(self, user: str, application: str, sdk: str = "") -> Install | None:
        """Return the install, if there is one."""
        if "\x00" in user + sdk:  # no user of anybody's, and PostgreSQL takes no NUL
            return None
        install = await self._store.get(user, application, sdk)
        if install:
            self.clock.set(install.read_at)
        return install

    async def find(self, user: str, application: str, sdk: str = "") -> Install | None:
        """Return the install that a message of this service means; one that knows no services serves all of them."""
        found = await self.get(user, application, sdk)
        return await self.get(user, application) if found is None and sdk else found

    async def among(self, users: Collection[str], applications: Collection[str]) -> Sequence[Install]:
        """Return the installs of these users of these applications in all services, without opening their secrets."""
        return await self._store.among(users, applications)

    async def list(self, user: str = "", application: str = "", sdk: str = "") -> Sequence[Install]:
        """Return installs by application, user and service, without opening their secrets."""
        return await self._store.list(user, application, sdk)

    async def enable(self, user: str, application: str, sdk: str = "", *, is_enabled: bool) -> bool:
        """Switch on or off; False when there is none."""
        return await self._store.enable(user, application, sdk, is_enabled=is_enabled)

    async def remove(self, user: str, application: str, sdk: str = "") -> bool:
        """Delete for good, with settings and login; False when there was none."""
        return await self._store.remove(user, application, sdk)

    def settings(self, install: Install) -> dict[str, dict[str, Any]]:
        """Return the settings by form and field, opened. Raises `SecretsError`."""
        return install.sealed.settings()

    def token(self, install: Install) -> Token | None:
        """Return the token, opened, if there is one. Raises `SecretsError`."""
        return install.sealed.token()

    def seal_token(self, user: str, application: str, token: Token, *, sdk: str = "") -> str:
        """Return the token as it stands in the journal."""
        return self.keyring.seal(token.to_json(), *place_of(user, application, sdk), TOKEN_PLACE)

    async def save_settings(
        self, install: Install, settings: Mapping[str, Mapping[str, Any]], *, keeps_token: bool
    ) -> None:
        """Save all settings; the next refresh tries them. Raises `ChangedMeanwhile`.

        A token that only the old settings stand for is dropped unless `keeps_token`.
        """
        _check(install, is_saved=await self._store.save_settings(install, settings, keeps_token=keeps_token))

    async def save_plain(self, install: Install, plain: Mapping[str, Any]) -> None:
        """Save the settings that are no secret. Raises `ChangedMeanwhile`."""
        _check(install, is_saved=await self._store.save_plain(install, plain))

    async def lease(self, install: Install) -> int | None:
        """Get the right to refresh, with its number.

        None while another process has it, or has just done it; while the token endpoint is away, or the login is dead.
        """
        return await self._store.lease(install, LEASE_SECONDS)

    async def give_back(self, install: Install, fence: int) -> None:
        """Give back the right to refresh, when nothing came of it."""
        await self._store.give_back(install, fence)

    async def save_login(self, user: str, application: str, token: Token, *, sdk: str = "") -> bool:
        """Save the token of a new login, which counts more than any refresh; False when the install is gone."""
        token = self.clock.told(token)
        sealed = self.seal_token(user, application, token, sdk=sdk)
        return await self._store.save_login(user, application, sealed, token.expires, sdk=sdk)

    async def save_token(
        self, user: str, application: str, fence: int, sealed: str, expires: float | None, *, sdk: str = ""
    ) -> bool:
        """Save a token; False when a later one is there, or the install is gone."""
        return await self._store.save_token(user, application, fence, sealed, expires, sdk=sdk)

    async def mark_dead(self, install: Install, reason: str) -> bool:
        """Note that the login is dead; False when another token or other settings came meanwhile."""
        return await self._store.mark_dead(install, reason)

    async def mark_away(self, install: Install, fence: int, seconds: float) -> None:
        """Note that the token endpoint is away for so long, for all processes, and give the right back."""
        await self._store.mark_away(install, fence, seconds)

    async def rotate(self, install: Install) -> bool:
        """Seal what older keys sealed with the newest; False when there was nothing to do. Raises `SecretsError`."""
        is_changed = await self._store.reseal(install)
        _check(install, is_saved=is_changed is not None)
        return bool(is_changed)


def _check(install: Install, *, is_saved: bool) -> None:
    if not is_saved:
        raise ChangedMeanwhile(
            f"{install.application} of user {install.user!r} was changed or removed meanwhile: try again"
        )
