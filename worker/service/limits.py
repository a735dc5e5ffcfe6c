"""The limits of a user's installs, which the starting point asks for at every start of a topology.

It waits without an end, and one bad answer of any service switches limits off for the run. Therefore the answer comes
within a second whatever is away: with what was known last, else with what the applications themselves declare.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import structlog

from applications import Application
from applications.errors import SecretsError
from applications.install import serving
from applications.recent import Recent
from worker.service.applications import Known
from worker.service.errors import Refused
from worker.service.http import Reply, Request, json_reply
from worker.service.routing import Places, Route

if TYPE_CHECKING:
    from applications.accounts import Accounts

log = structlog.get_logger()

ANSWER_SECONDS: Final = 0.7
LATE_SECONDS: Final = 10.0
"""On a machine that is too busy to answer in time, late limits are better than none: who asks waits without an end."""
MOST_KNOWN: Final = 10_000
LimitKey = tuple[str, str, str]


class LimitRoutes:
    """Answers what limits hold."""

    def __init__(self, known: Known, accounts: "Accounts | None") -> None:
        self._known = known
        self._accounts = accounts
        self._last: Recent[LimitKey, str] = Recent(MOST_KNOWN)
        """By user, application and service: the last answer, empty without limits."""

    def routes(self) -> Iterator[Route]:
        """Return the routes."""
        for sdk in ("/sdk/{sdk}", ""):
            yield Route("POST", f"/applications{sdk}/limits", self._limits, LATE_SECONDS, "List a user's limits")

    async def _limits(self, request: Request, places: Places) -> Reply:
        user, keys = _asked(await request.json())
        used = [self._known[key] for key in keys if key in self._known]
        found = await self._in_time(user, used, places.sdk)
        return json_reply([limits for limits in found.values() if limits])

    async def _in_time(self, user: str, used: Sequence[type[Application]], sdk: str) -> Mapping[str, str]:
        if self._accounts is None:
            return {}
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                found = await _read(self._accounts, user, used, sdk)
        except Exception as error:  # whatever it is, limits have to stay on
            log.warning("limits_from_memory", userId=user, cause=f"{type(error).__name__}: {error}")
            return {one.key: self._remembered(user, one, sdk) for one in used}
        for application in used:
            self._last.put((user, application.key, sdk), found.get(application.key, ""))
        return found

    def _remembered(self, user: str, application: type[Application], sdk: str) -> str:
        last = self._last.get((user, application.key, sdk))
        return application.limits(user, {}, sdk) if last is None else last


async def _read(accounts: "Accounts", user: str, used: Sequence[type[Application]], sdk: str) -> Mapping[str, str]:
    installs = await accounts.installs.among([user], [application.key for application in used]) if used else ()
    known = {application.key: application for application in used}
    mine = {install.application: install for install in serving(sdk, installs)}
    found: dict[str, str] = {}
    for key, install in mine.items():
        if install.is_enabled:
            try:
                settings = accounts.installs.settings(install)
            except SecretsError:  # then the limits that the application declares
                settings = {}
            found[key] = known[key].limits(user, settings, sdk)
    return found


def _asked(sent: Any) -> tuple[str, Sequence[str]]:
    if not isinstance(sent, dict) or not isinstance(sent.get("user"), str):
        raise Refused('"user" must be a string')
    keys = sent.get("applications")
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise Refused('"applications" must be one of [array]: the keys of applications')
    return sent["user"], list(dict.fromkeys(keys))
