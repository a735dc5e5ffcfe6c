"""Installing, switching on and off, and uninstalling: each change, then the hook of the application for it."""

import asyncio
import traceback
from collections.abc import Collection
from enum import StrEnum
from pathlib import Path
from typing import Final

import structlog

from applications import own_code
from applications.accounts import Accounts
from applications.application import Application
from applications.errors import ApplicationError, HookFailed, InstalledAlready, NotInstalled
from applications.forms import Values
from applications.http.client import Client
from applications.install import Install
from applications.redaction import redact

log = structlog.get_logger()

HOOK_SECONDS: Final = 20.0
"""How long a hook may take: the platform waits 30 seconds for the change with its hook."""


class Hook(StrEnum):
    """The hooks, by the methods of an application."""

    INSTALL = "after_install"
    UNINSTALL = "after_uninstall"
    ENABLE = "after_enable"
    DISABLE = "after_disable"


class Lifecycle:
    """Changes installs as a person asks for it. Raises `InstallsAway` when the store does not answer.

    A change comes first and stays: a hook that fails raises `HookFailed` after it, and is in the log.
    """

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def install(
        self, application: type[Application], user: str, settings: Values | None = None,
        *, is_enabled: bool, sdk: str = "",
    ) -> None:  # fmt: skip
        """Install with these settings. Raises `InstalledAlready`, or what `Accounts.save` does: nothing stays then."""
        if not await self._accounts.installs.add(user, application.key, sdk, is_enabled=is_enabled):
            raise InstalledAlready(application.key, user, sdk)
        if settings:
            await self._save(application, user, settings, sdk)
        await self.run(Hook.INSTALL, application, user, sdk)

    async def uninstall(self, application: type[Application], user: str, sdk: str = "") -> None:
        """Delete for good, with settings and login. Raises `NotInstalled`."""
        install = await self._found(application, user, sdk)
        client = await self._client(Hook.UNINSTALL, application, install)
        if not await self._accounts.installs.remove(user, application.key, sdk):
            raise NotInstalled(application.key, user, sdk)
        self._accounts.forget(user, application.key, sdk)
        await self._call(Hook.UNINSTALL, application, install, client)

    async def switch(self, application: type[Application], user: str, sdk: str = "", *, is_enabled: bool) -> None:
        """Switch on or off. Raises `NotInstalled`."""
        hook = Hook.ENABLE if is_enabled else Hook.DISABLE
        client = await self._client(hook, application, await self._found(application, user, sdk))
        if not await self._accounts.installs.enable(user, application.key, sdk, is_enabled=is_enabled):
            raise NotInstalled(application.key, user, sdk)
        self._accounts.forget(user, application.key, sdk)
        await self._call(hook, application, await self._found(application, user, sdk), client)

    async def run(self, hook: Hook, application: type[Application], user: str, sdk: str = "") -> None:
        """Run a hook alone, for a change that was made already. Raises `NotInstalled` or `HookFailed`."""
        install = await self._found(application, user, sdk)
        await self._call(hook, application, install, await self._client(hook, application, install))

    async def _save(self, application: type[Application], user: str, settings: Values, sdk: str) -> None:
        try:
            await self._accounts.save(user, application, settings, sdk=sdk)
        except BaseException:
            await self._accounts.installs.remove(user, application.key, sdk)
            raise

    async def _found(self, application: type[Application], user: str, sdk: str) -> Install:
        install = await self._accounts.installs.get(user, application.key, sdk)
        if install is None:
            raise NotInstalled(application.key, user, sdk)
        return install

    async def _client(self, hook: Hook, application: type[Application], install: Install) -> Client | None:
        """Return the client of a hook that there is; it has to be made before the change."""
        is_there = getattr(application, hook) is not getattr(Application, hook)
        return await self._accounts.kept_client(application, install) if is_there else None

    async def _call(self, hook: Hook, application: type[Application], install: Install, client: Client | None) -> None:
        if client is None:
            return
        failed: Exception | None = None
        try:
            async with asyncio.timeout(HOOK_SECONDS):
                await own_code.called(getattr(self._accounts.made(application), hook), install, client)
        except TimeoutError as error:
            failed = error if str(error) else TimeoutError(f"it took longer than {HOOK_SECONDS:g} s")
        except Exception as error:  # the application's own code may raise anything
            failed = error
        if failed is not None:
            reason = redact(f"{type(failed).__name__}: {failed}{_place(failed)}", await _secrets(client))
            log.error("hook_failed", application=application.key, userId=install.user, hook=hook.value, reason=reason)
            raise HookFailed(application.key, install.user, hook, reason) from failed


_OURS = {__file__, own_code.__file__}


async def _secrets(client: Client) -> Collection[str]:
    try:
        return (await client.access()).secrets
    except ApplicationError:  # the hook had none of them either
        return ()


def _place(error: Exception) -> str:
    """Name the innermost line of the application itself; the outermost frames are ours."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename not in _OURS]
    own = [frame for frame in frames if frame.filename == frames[0].filename]
    return f" (at {Path(own[-1].filename).name}:{own[-1].lineno} in {own[-1].name})" if own else ""
