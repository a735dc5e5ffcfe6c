"""Webhooks in SQLite or PostgreSQL."""

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Final
from uuid import uuid4

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.engine import RowMapping

from applications.crypt import Keyring
from applications.errors import SecretsError
from worker.accounts.sql import InstallsDatabase
from worker.accounts.tables import deliveries, webhooks
from worker.database.transactions import now_ms
from worker.webhooks.store import TOKEN_BYTES
from worker.webhooks.webhook import Webhook, WebhookSecrets, as_text

_PLACE: Final = "webhook"


class SqlWebhooks:
    """Webhooks in SQLite or PostgreSQL; tokens and secrets are sealed."""

    def __init__(self, database: InstallsDatabase, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    async def add(
        self, user: str, application: str, name: str, topology: str, node: str,
        parameters: Mapping[str, str] | None = None, *, sdk: str = "",
    ) -> Webhook:  # fmt: skip
        """Keep a new webhook with a token and a secret of its own."""
        token, secret, own_id = secrets.token_hex(TOKEN_BYTES), secrets.token_hex(TOKEN_BYTES), uuid4().hex
        sealed = self._keyring.seal(json.dumps([token, secret]).encode(), _PLACE, own_id, user, application)
        made = Webhook(
            own_id, user, application, name, topology, node, as_text(parameters or {}), sealed, "", False, now_ms(), sdk
        )
        values = {name: getattr(made, name) for name in _COLUMNS}
        async with self._database.transaction() as connection:
            await connection.execute(webhooks.insert().values(token_digest=digest(token), **values))
        return made

    async def subscribed(self, webhook: Webhook, remote_id: str) -> None:
        """Note what the service calls it."""
        await self._change(webhook, remote_id=remote_id)

    async def unsubscribe_failed(self, webhook: Webhook) -> None:
        """Note that the service did not let go of it."""
        await self._change(webhook, is_unsubscribe_failed=True)

    async def remove(self, webhook: Webhook) -> None:
        """Forget it."""
        async with self._database.transaction() as connection:
            await connection.execute(delete(webhooks).where(webhooks.c.id == webhook.id))
            await connection.execute(delete(deliveries).where(deliveries.c.webhook == webhook.id))

    async def list(self, **only: str) -> Sequence[Webhook]:
        """Return webhooks, oldest first; `only` may name columns, such as user, application or node."""
        query = select(webhooks).order_by(webhooks.c.created)
        for name, value in only.items():
            query = query.where(webhooks.c[name] == value) if value else query
        async with self._database.transaction() as connection:
            return [_webhook(row) for row in (await connection.execute(query)).mappings()]

    async def called(self, tokens: Iterable[str]) -> Mapping[str, Webhook]:
        """Return webhooks by their tokens.

        Looked up by digests: how long a search takes tells of what is compared, and of a digest no token follows.
        """
        digests = {digest(token): token for token in tokens}
        found = await self._by_digest(digests)
        if len(found) < len(digests) and await self._add_digests():
            found = await self._by_digest(digests)
        return {digests[key]: webhook for key, webhook in found.items()}

    async def _by_digest(self, digests: Iterable[str]) -> Mapping[str, Webhook]:
        query = select(webhooks).where(webhooks.c.token_digest.in_(digests))

        def work(connection: Connection) -> Mapping[str, Webhook]:
            return {row["token_digest"]: _webhook(row) for row in connection.execute(query).mappings()}

        return await self._database.run(work)

    async def _add_digests(self) -> bool:
        """Add the digests of webhooks that were kept before there were any; False when none came of it."""
        query = select(webhooks).where(webhooks.c.token_digest.is_(None))
        async with self._database.transaction() as connection:
            found = [_webhook(row) for row in (await connection.execute(query)).mappings()]
        is_changed = False
        for webhook in found:
            try:
                token = self.secrets(webhook).token
            except SecretsError:  # those of a lost key stay unknown
                continue
            await self._change(webhook, token_digest=digest(token))
            is_changed = True
        return is_changed

    def secrets(self, webhook: Webhook) -> WebhookSecrets:
        """Return its token and secret, opened. Raises `SecretsError`."""
        token, secret = json.loads(self._keyring.open(webhook.sealed_token, *_place(webhook)))
        return WebhookSecrets(token, secret)

    async def ids(self, **only: str) -> Sequence[str]:
        """Return the ids of webhooks as `list` does."""
        return [webhook.id for webhook in await self.list(**only)]

    async def rotate(self, webhook_id: str) -> bool:
        """Seal what an older key sealed with the newest; False when there was nothing to do. Raises `SecretsError`."""
        async with self._database.transaction() as connection:
            query = select(webhooks).where(webhooks.c.id == webhook_id)
            row = (await connection.execute(query)).mappings().one_or_none()
        if row is None or self._keyring.is_newest(row["sealed_token"]):
            return False
        webhook = _webhook(row)
        plain = self._keyring.open(webhook.sealed_token, *_place(webhook))
        await self._change(webhook, sealed_token=self._keyring.seal(plain, *_place(webhook)))
        return True

    async def _change(self, webhook: Webhook, **values: object) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(update(webhooks).where(webhooks.c.id == webhook.id).values(values))


_COLUMNS: Final = tuple(Webhook.__dataclass_fields__)


def _webhook(row: RowMapping) -> Webhook:
    return Webhook(**{name: row[name] for name in _COLUMNS})


def _place(webhook: Webhook) -> tuple[str, ...]:
    return (_PLACE, webhook.id, webhook.user, webhook.application)


def digest(token: str) -> str:
    """Return what a webhook is found by; the token does not follow from it."""
    return sha256(token.encode()).hexdigest()
