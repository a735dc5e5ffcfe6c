"""The limits of an installation: how many messages, how much storage, and how many equal messages in the trash.

The platform's backend knows them, and its collections what is used. While a limit is exceeded, the platform's own
worker drops each message that arrives. Ours puts them into the trash: they leave the broker as well, and can be sent
back when there is room again.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import httpx
import msgspec
import structlog
from pymongo.errors import PyMongoError

from worker.errors import HandBack
from worker.modes.notices import PlatformNotice
from worker.modes.usage import Usage
from worker.prometheus import Family
from worker.protocol.transport import Outlet
from worker.trash.store import TrashStore

log = structlog.get_logger()

ANSWER_SECONDS: Final = 10
MB_OF_GB: Final = 1024
KINDS: Final = ("message", "storage")


class Limits(msgspec.Struct):
    """What the backend allows; 0 or null: as much as you like."""

    messages: int | None = 0
    storage_gb: float | None = msgspec.field(name="storageGb", default=0)
    equal_in_trash: int | None = msgspec.field(name="trashDuplicationLimit", default=0)


class Status(msgspec.Struct):
    """What the backend says of itself, as far as it is read here."""

    limits: Limits | None = None


_read_status = msgspec.json.Decoder(Status).decode


class InstallationLimits:
    """Asks for the limits while `run` runs."""

    def __init__(
        self, url: str, seconds: float, usage: Usage, store: TrashStore, notifier: PlatformNotice, outlet: Outlet
    ) -> None:
        """`url` is the backend's; `seconds` pass between two questions. The limit of the trash is set at `store`."""
        self._url = f"{url.rstrip('/')}/api/status"
        self._seconds = seconds
        self._usage = usage
        self._store = store
        self._own_flood_limit = store.flood_limit
        self._notifier = notifier
        self._outlet = outlet
        self._client = httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False)
        self._limits = Limits()
        self._exceeded: dict[str, bool] = dict.fromkeys(KINDS, False)
        self._is_away = False

    @property
    def exceeded(self) -> str:
        """Say which limit is exceeded; empty: none."""
        return next((f"{kind} limit of the installation exceeded" for kind in KINDS if self._exceeded[kind]), "")

    async def run(self) -> None:
        """Ask until cancelled."""
        with suppress(HandBack):  # the worker stops
            while True:
                await self._look()
                await asyncio.sleep(self._seconds)

    async def finish(self) -> None:
        """Do nothing."""

    def families(self) -> Iterator[Family]:
        """Return the metrics."""
        yield Family(
            "orchesty_worker_installation_limit_exceeded",
            "gauge",
            "1 while a limit of the installation is exceeded, and messages go to the trash.",
            [({"limit": kind}, is_exceeded) for kind, is_exceeded in self._exceeded.items()],
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
        await self._usage.close()
        await self._notifier.close()

    async def _look(self) -> None:
        try:
            answer = await self._client.get(self._url)
            self._limits = _read_status(answer.raise_for_status().content).limits or Limits()
            self._store.flood_limit = self._limits.equal_in_trash or self._own_flood_limit
            await self._compare()
        except (httpx.HTTPError, httpx.InvalidURL, msgspec.DecodeError, PyMongoError, OSError) as error:
            if not self._is_away:
                cause = f"{type(error).__name__}: {error}"
                log.warning("installation_limits_away", url=self._url, cause=cause, consequence="the latest hold")
            self._is_away = True
        else:
            self._is_away = False

    async def _compare(self) -> None:
        limits = {"message": float(self._limits.messages or 0), "storage": (self._limits.storage_gb or 0) * MB_OF_GB}
        if not any(limits.values()) and not self.exceeded:
            return
        used = {"message": float(await self._usage.messages()), "storage": await self._usage.storage_mb()}
        for kind in KINDS:
            await self._note(kind, used[kind], limits[kind])

    async def _note(self, kind: str, used: float, limit: float) -> None:
        is_exceeded = 0 < limit < used
        if is_exceeded == self._exceeded[kind]:
            return
        self._exceeded[kind] = is_exceeded
        if is_exceeded:
            log.warning("installation_limit_exceeded", limit=kind, used=round(used), allowed=round(limit))
        else:
            log.warning("installation_limit_recovered", limit=kind, used=round(used), allowed=round(limit))
        what = "exceeded" if is_exceeded else "recovered"
        told: dict[str, Any] = {"limit_type": kind, "current_value": used, "limit_value": limit, "discarded_count": 0}
        text = f"{kind} limit {what}: {used:.0f} / {limit:.0f}"
        await self._outlet.publish((await self._notifier.of_limit(text, told, is_exceeded=is_exceeded),))
