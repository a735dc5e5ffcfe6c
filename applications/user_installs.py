"""The users' installs, as actions and methods of applications see them: `self.installs`."""

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from applications.application import Application
from applications.authentication import TokenAuthentication
from applications.errors import ChangedMeanwhile, KeyMissing, NotInstalled
from applications.install import Install

if TYPE_CHECKING:
    from applications.accounts import Accounts

TRIES: Final = 10
"""How often a change is made again to what others have changed meanwhile."""


class UserInstalls:
    """Finds installs, and changes their plain settings. Secrets stay sealed: calls are made with `self.get` and others.

    Each method raises `TryLater` when the store does not answer, and `KeyMissing` where no installs are kept.
    """

    def __init__(self, accounts: "Accounts | None") -> None:
        self._of = accounts

    async def find(
        self,
        *,
        user: str | None = None,
        application: type[Application] | str | None = None,
        sdk: str | None = None,
        is_enabled: bool | None = None,
        expires_within: timedelta | None = None,
    ) -> Sequence[Install]:
        """Return installs by application and user; what is not given does not matter.

        `sdk` is the registered name of a service, "" for installs that know none. `expires_within` are those whose
        token ends by then, or has ended.
        """
        if user is not None and (not user or "\x00" in user):
            return []
        key = application if isinstance(application, str) or application is None else application.key
        found = await self._accounts.installs.list(user or "", key or "", sdk or "")
        latest = None if expires_within is None else (time.time() + expires_within.total_seconds()) * 1000
        return [
            install
            for install in found
            if (sdk is None or install.sdk == sdk)
            and (is_enabled is None or install.is_enabled == is_enabled)
            and (latest is None or 0 < install.expires <= latest)
        ]

    async def get(self, application: type[Application] | str, user: str, sdk: str = "") -> Install:
        """Return the install that a message of this user and service means. Raises `NotInstalled`."""
        key = application if isinstance(application, str) else application.key
        install = await self._accounts.installs.find(user, key, sdk) if user else None
        if install is None:
            raise NotInstalled(key, user, sdk)
        return install

    async def change(self, install: Install, changes: Mapping[str, Any]) -> Install:
        """Change plain settings (`install.plain`) by name, None to remove one, and return the install as it is then.

        What others have changed meanwhile stays. Values are JSON. Raises `NotInstalled` when it is gone, and
        `ChangedMeanwhile` when others change it each time.
        """
        accounts = self._accounts
        for _ in range(TRIES):
            now = await accounts.installs.get(install.user, install.application, install.sdk)
            if now is None:
                raise NotInstalled(install.application, install.user, install.sdk)
            plain = {name: value for name, value in {**now.plain, **changes}.items() if value is not None}
            try:
                await accounts.installs.save_plain(now, plain)
            except ChangedMeanwhile:
                continue
            accounts.forget(install.user, install.application, install.sdk)
            return await self._again(now)
        raise ChangedMeanwhile(f"{install.application} of user {install.user!r} changes all the time: try again")

    def limits(self, installs: Iterable[Install]) -> str:
        """Return the `limiter-key` of those of these installs that are enabled; empty without limits.

        Only applications that this process knows have limits. Raises `SecretsError`.
        """
        accounts = self._accounts
        keys = [
            accounts.applications[one.application].limits(one.user, accounts.installs.settings(one), one.sdk)
            for one in installs
            if one.is_enabled and one.application in accounts.applications
        ]
        return ";".join(filter(None, keys))

    async def renew(self, install: Install) -> bool:
        """Renew the token if its time has come; False when the application is unknown here, or has no tokens.

        Raises as a call of the service would.
        """
        application = self._accounts.applications.get(install.application)
        if application is None or not isinstance(application.authentication, TokenAuthentication):
            return False
        await self._accounts.tokens.get(application, install.user, sdk=install.sdk)
        return True

    async def _again(self, install: Install) -> Install:
        return await self.get(install.application, install.user, install.sdk)

    @property
    def _accounts(self) -> "Accounts":
        if self._of is None:
            raise KeyMissing(
                "no installs are kept here: set WORKER_SECRET_KEYS or WORKER_SECRET_KEYS_FILE; make a key with: "
                "orchesty-worker secrets generate"
            )
        return self._of
