"""Where installs and logins are kept; `worker/accounts` keeps them in a database or at the platform.

Each store seals the settings in its own way. Tokens of refreshes come here sealed by the keyring of `Installs`, as they
stand in the journal. Each method raises `InstallsAway` when the store does not answer,
and those that return a bool say whether they changed anything.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from applications.forms import Values
from applications.install import Install


class AccountStore(Protocol):
    """The store of `Installs` and `Logins`, shared by any number of processes.

    An install is found by user, application and `sdk`, the registered name of the service that it is installed in;
    an empty one stands for installs that know no services.
    """

    async def add(self, user: str, application: str, sdk: str = "", *, is_enabled: bool) -> bool:
        """Add an install without settings, unless there is one."""

    async def get(self, user: str, application: str, sdk: str = "") -> Install | None:
        """Return the install, if there is one."""

    async def among(self, users: Collection[str], applications: Collection[str]) -> Sequence[Install]:
        """Return the installs of these users of these applications, in all services."""

    async def list(self, user: str = "", application: str = "", sdk: str = "") -> Sequence[Install]:
        """Return installs by application, user and service, all or only those that are named."""

    async def enable(self, user: str, application: str, sdk: str = "", *, is_enabled: bool) -> bool:
        """Switch an install on or off."""

    async def remove(self, user: str, application: str, sdk: str = "") -> bool:
        """Delete an install."""

    async def save_settings(self, install: Install, settings: Values, *, keeps_token: bool) -> bool:
        """Save other settings, with which the next refresh is tried, unless the install changed meanwhile.

        Without `keeps_token` the token goes, and what a refresh under way brings is older than that.
        """

    async def save_plain(self, install: Install, plain: Mapping[str, Any]) -> bool:
        """Save the settings that are not secret, unless the install changed meanwhile."""

    async def reseal(self, install: Install) -> bool | None:
        """Seal with the newest key what older ones have sealed; None when the install changed meanwhile.

        Raises `SecretsError` for what does not open.
        """

    async def lease(self, install: Install, seconds: float) -> int | None:
        """Give the right to refresh, with its number.

        None while another process has it or has just refreshed, while the token endpoint is away (`mark_away`), and
        when the login is dead.
        """

    async def give_back(self, install: Install, fence: int) -> None:
        """Take the right back, if it is still the one with this number."""

    async def save_login(
        self, user: str, application: str, sealed: str, expires: float | None, *, sdk: str = ""
    ) -> bool:
        """Save the token of a new login, which counts more than any refresh."""

    async def save_token(
        self, user: str, application: str, fence: int, sealed: str, expires: float | None, *, sdk: str = ""
    ) -> bool:
        """Save the token of a refresh, unless that of a later one is there."""

    async def mark_dead(self, install: Install, reason: str) -> bool:
        """Note that the login is dead, unless another token or other settings came meanwhile."""

    async def mark_away(self, install: Install, fence: int, seconds: float) -> None:
        """Note for how long the token endpoint is away, and take the right back, if it is still that of this number."""

    async def add_login(self, login: str, sealed: str, expires: int) -> None:
        """Keep what a login under way needs until this time, in milliseconds; forget what has expired."""

    async def take_login(self, login: str) -> str | None:
        """Return what was kept, to one caller only."""

    async def close(self) -> None:
        """Close the connections."""
