"""Which webhook a call is for, by the token of its address, with what is needed to check and start it."""

import hmac
import re
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from applications import Application
from applications.errors import SecretsError
from applications.install import serving
from worker.webhooks.batching import Batcher

if TYPE_CHECKING:
    from applications.accounts import Accounts
    from applications.install import Install
    from worker.webhooks.store import Webhooks
    from worker.webhooks.webhook import Webhook

FRESH_SECONDS: Final = 2.0
"""How long webhooks and settings are used as they were read."""
KEPT: Final = 10_000
"""Webhooks that are kept in memory."""
_TOKEN: Final = re.compile("[0-9a-f]{50}")


@dataclass(frozen=True, slots=True)
class Called:
    """A webhook whose calls may be taken."""

    webhook: "Webhook"
    application: Application
    secret: str
    """What its calls are signed with."""
    limiter_key: str
    """The limits of the user for the applications of the topology."""


@dataclass(frozen=True, slots=True)
class _Read:
    at: float
    token: str
    found: Called | SecretsError | None
    """An error is that of this webhook: the broken secret of one user concerns nobody else."""


class CalledWebhooks:
    """Finds webhooks, each read again every two seconds while it is called.

    Only those that exist are kept: anybody may send tokens.
    """

    def __init__(
        self, accounts: "Accounts", webhooks: "Webhooks", applications: Mapping[str, type[Application]],
        used: Sequence[type[Application]],
    ) -> None:  # fmt: skip
        """Calls are for any of the `applications`; the runs that they start are limited by those that are `used`."""
        self._accounts, self._webhooks = accounts, webhooks
        self._applications = applications
        self._used = used
        self._read: OrderedDict[bytes, _Read] = OrderedDict()
        self._load = Batcher(self._load_many)

    async def find(self, token: str) -> Called | None:
        """Return the webhook; None when there is none or its user has removed or switched off the application.

        Raises `SecretsError` when it does not open, and `TryLater`.
        """
        if not _TOKEN.fullmatch(token):
            return None
        read = self._read.get(_key(token))
        if read is None or time.monotonic() - read.at > FRESH_SECONDS:
            read = await self._load(token)
        if read is None or not hmac.compare_digest(read.token, token):
            return None
        if isinstance(read.found, SecretsError):
            raise read.found
        return read.found

    async def _load_many(self, tokens: Sequence[str]) -> Sequence[_Read | None]:
        """Read what these tokens need in two queries, however many calls wait for it."""
        webhooks = await self._webhooks.called(tokens)
        installs = await self._installs_of(webhooks.values())
        now = time.monotonic()
        for token in tokens:
            self._read.pop(_key(token), None)
        for token, webhook in webhooks.items():
            self._read[_key(token)] = _Read(now, token, self._opened(webhook, installs))
        results = [self._read.get(_key(token)) for token in tokens]
        while len(self._read) > KEPT:
            self._read.popitem(last=False)
        return results

    async def _installs_of(self, webhooks: Iterable["Webhook"]) -> Sequence["Install"]:
        users, own = {webhook.user for webhook in webhooks}, {webhook.application for webhook in webhooks}
        return await self._accounts.installs.among(users, own | {application.key for application in self._used})

    def _opened(self, webhook: "Webhook", installs: Sequence["Install"]) -> Called | SecretsError | None:
        application = self._applications.get(webhook.application)
        own = {one.application: one for one in serving(webhook.sdk, installs) if one.user == webhook.user}
        install = own.get(webhook.application)
        if application is None or install is None or not install.is_enabled:
            return None
        try:
            secret = self._webhooks.secrets(webhook).secret
            if application.signature_secret:
                settings = application.text_settings(self._accounts.installs.settings(install), install.plain)
                secret = settings.get(application.signature_secret, "")
            return Called(
                webhook, self._accounts.made(application), secret, self._accounts.limits_of(own.values(), self._used)
            )
        except SecretsError as error:
            return error


def _key(token: str) -> bytes:
    """Return what is compared in memory, so that the time tells nothing of a token."""
    return sha256(token.encode()).digest()
