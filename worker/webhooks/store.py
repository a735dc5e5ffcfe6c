"""Where webhooks are kept: which calls of services start what."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from worker.webhooks.webhook import Webhook, WebhookSecrets

if TYPE_CHECKING:
    from worker.accounts.opening import OpenAccounts

TOKEN_BYTES = 25


class Webhooks(Protocol):
    """The webhooks of all processes. Each method may raise `InstallsAway`."""

    async def add(
        self, user: str, application: str, name: str, topology: str, node: str,
        parameters: Mapping[str, str] | None = None, *, sdk: str = "",
    ) -> Webhook:  # fmt: skip
        """Keep a new webhook with a token and a secret of its own."""

    async def subscribed(self, webhook: Webhook, remote_id: str) -> None:
        """Note what the service calls it."""

    async def unsubscribe_failed(self, webhook: Webhook) -> None:
        """Note that the service did not let go of it."""

    async def remove(self, webhook: Webhook) -> None:
        """Forget it."""

    async def list(self, **only: str) -> Sequence[Webhook]:
        """Return webhooks, oldest first; `only` may name columns, such as user, application or node."""

    async def ids(self, **only: str) -> Sequence[str]:
        """Return the ids of webhooks as `list` does."""

    async def called(self, tokens: Iterable[str]) -> Mapping[str, Webhook]:
        """Return webhooks by their tokens."""

    def secrets(self, webhook: Webhook) -> WebhookSecrets:
        """Return its token and secret, opened. Raises `SecretsError`."""

    async def rotate(self, webhook_id: str) -> bool:
        """Seal what an older key sealed with the newest; False when there was nothing to do. Raises `SecretsError`."""


def open_webhooks(opened: "OpenAccounts") -> Webhooks:
    """Return the webhooks beside the installs: in the same database, or in the platform's documents."""
    keyring = opened.accounts.installs.keyring
    if opened.documents is not None:
        from worker.webhooks.documents import PlatformWebhooks  # noqa: PLC0415 - only one of them is needed

        return PlatformWebhooks(opened.documents, keyring)
    from worker.webhooks.sql import SqlWebhooks  # noqa: PLC0415 - as above

    return SqlWebhooks(opened.database, keyring)
