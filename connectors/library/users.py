"""`{application}-list-users`: a message for each user that has installed an application."""

import json
from collections import defaultdict
from typing import Any, Final

from applications import Application
from applications.install import Install
from connectors.action import Batch
from connectors.message import LIMITER_KEY, Message
from connectors.outcome import Page, Stop

SYSTEM_USER: Final = "orchesty"
"""The platform's name for nobody in particular."""


class ListUsers(Batch[Any, Any]):
    """Makes a message for each enabled install of an application: the start of a topology that works for all users.

    A `user` in the body, else that of the message, is the only one; `orchesty` means all. Each message has the rest of
    the body, its user, the service of the install, and the limits of the user's installs: of all, or of those in the
    header `applications` (`shop;erp`). Without any install the branch ends.
    """

    def __init__(self, application: type[Application]) -> None:
        self.listed = application
        self.name = f"{application.key}-list-users"

    async def page(self, message: Message[Any], cursor: str | None) -> Page:
        """Return the messages; there is one page. Raises `Stop` where there is no install."""
        body = json.loads(message.body) if message.body.strip() else {}
        rest = {name: value for name, value in body.items() if name != "user"} if isinstance(body, dict) else body
        user = _user(body, message)
        installs = await self.installs.find(user=user, application=self.listed, is_enabled=True)
        if not installs:
            raise Stop(f"{f'user {user!r} has not' if user else 'nobody has'} installed {self.listed.key}")
        limits = await self._limits(message, user)
        bare = message.without_limits().with_data(rest)
        return Page([_for(install, bare, limits.get(install.user, "")) for install in installs])

    async def _limits(self, message: Message[Any], user: str | None) -> dict[str, str]:
        wanted = [key for key in str(message.headers.get("applications") or "").split(";") if key]
        by_user: defaultdict[str, list[Install]] = defaultdict(list)
        for install in await self.installs.find(user=user, is_enabled=True):
            if not wanted or install.application in wanted:
                by_user[install.user].append(install)
        return {own: self.installs.limits(installs) for own, installs in by_user.items()}


def _user(body: Any, message: Message[Any]) -> str | None:
    """Return whose installs are meant; None for all."""
    named = body.get("user") if isinstance(body, dict) else None
    user = message.user if named is None else str(named)
    return None if user in {"", SYSTEM_USER} else user


def _for(install: Install, message: Message[Any], limits: str) -> Message[Any]:
    own = {"user": install.user, "sdk": install.sdk, LIMITER_KEY: limits}
    return message.with_headers({name: value for name, value in own.items() if value})
