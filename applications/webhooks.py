"""The store of webhooks: which calls of services start what, and which deliveries were taken."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote
from uuid import uuid4

from sqlalchemy import Select, delete, select, update
from sqlalchemy.engine import RowMapping

from applications.crypt import Keyring
from applications.database import Database, now_ms
from applications.errors import SecretsError
from applications.tables import deliveries, webhooks

KEPT_MS: Final = 7 * 24 * 3600 * 1000
"""How long the ids of deliveries are kept; services try again for up to three days."""
TOKEN_BYTES: Final = 25
_PLACE: Final = "webhook"

Delivery = tuple[str, str]
"""Id of the webhook, id that the service gave to its call."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A call of a service that starts a topology at a node."""

    id: str
    user: str
    application: str
    name: str
    topology: str
    node: str
    token: str = field(repr=False)
    """The last part of its address."""
    secret: str = field(repr=False)
    """What the service signs with, where it takes a secret of ours."""
    remote_id: str
    """What the service calls it; empty until it has answered."""
    is_unsubscribe_failed: bool
    created: int


class Webhooks:
    """Webhooks in SQLite or PostgreSQL; tokens and secrets are sealed."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    async def add(self, user: str, application: str, name: str, topology: str, node: str) -> Webhook:
        """Keep a new webhook with a token and a secret of its own."""
        token, secret = secrets.token_hex(TOKEN_BYTES), secrets.token_hex(TOKEN_BYTES)
        made = Webhook(uuid4().hex, user, application, name, topology, node, token, secret, "", False, now_ms())
        sealed = self._keyring.seal(json.dumps([token, secret]).encode(), _PLACE, made.id, user, application)
        values = {name: getattr(made, name) for name in _PLAIN}
        async with self._database.transaction() as connection:
            await connection.execute(webhooks.insert().values(sealed_token=sealed, **values))
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
        """Return webhooks, oldest first; `only` may name user, application, name, topology or node."""
        return [self._webhook(row) for row in await self._rows(**only)]

    async def at(self, topology: str, node: str) -> tuple[Sequence[Webhook], str]:
        """Return those that start a node, without the ones that do not open, and why the last of these does not."""
        found, problem = [], ""
        for row in await self._rows(topology=topology, node=node):
            try:
                found.append(self._webhook(row))
            except SecretsError as error:
                problem = str(error)
        return found, problem

    async def _rows(self, **only: str) -> Sequence[RowMapping]:
        query = select(webhooks).order_by(webhooks.c.created)
        for name, value in only.items():
            query = query.where(webhooks.c[name] == value) if value else query
        async with self._database.transaction() as connection:
            return (await connection.execute(query)).mappings().all()

    async def ids(self) -> Sequence[str]:
        """Return the ids of all webhooks, without opening their secrets."""
        async with self._database.transaction() as connection:
            return (await connection.execute(select(webhooks.c.id))).scalars().all()

    async def rotate(self, webhook_id: str) -> bool:
        """Seal what an older key sealed with the newest; False when there was nothing to do. Raises `SecretsError`."""
        async with self._database.transaction() as connection:
            query = select(webhooks).where(webhooks.c.id == webhook_id)
            row = (await connection.execute(query)).mappings().one_or_none()
        if row is None or self._keyring.is_newest(row["sealed_token"]):
            return False
        plain = self._keyring.open(row["sealed_token"], *_place(row))
        sealed = self._keyring.seal(plain, *_place(row))
        async with self._database.transaction() as connection:
            await connection.execute(update(webhooks).where(webhooks.c.id == webhook_id).values(sealed_token=sealed))
        return True

    async def known(self, asked: Sequence[Delivery]) -> set[Delivery]:
        """Return those deliveries that were taken before."""
        query = deliveries_among(asked)
        found = await self._database.run(lambda connection: {(row[0], row[1]) for row in connection.execute(query)})
        return found.intersection(asked)

    async def remember(self, taken: Sequence[Delivery]) -> None:
        """Note that these deliveries were taken."""
        now = now_ms()
        rows = [{"webhook": webhook, "delivery": delivery, "received": now} for webhook, delivery in taken]
        note = self._database.insert(deliveries).on_conflict_do_nothing()
        await self._database.run(lambda connection: connection.execute(note, rows))

    async def purge(self) -> None:
        """Forget deliveries that no service repeats any more."""
        async with self._database.transaction() as connection:
            await connection.execute(delete(deliveries).where(deliveries.c.received < now_ms() - KEPT_MS))

    async def _change(self, webhook: Webhook, **values: object) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(update(webhooks).where(webhooks.c.id == webhook.id).values(values))

    def _webhook(self, row: RowMapping) -> Webhook:
        token, secret = json.loads(self._keyring.open(row["sealed_token"], *_place(row)))
        return Webhook(token=token, secret=secret, **{name: row[name] for name in _PLAIN})


_PLAIN: Final = (
    *("id", "user", "application", "name", "topology", "node", "remote_id", "is_unsubscribe_failed", "created"),
)


def _place(row: RowMapping) -> tuple[str, ...]:
    return (_PLACE, row["id"], row["user"], row["application"])


def deliveries_among(asked: Sequence[Delivery]) -> Select[str, str]:
    """Return the query for deliveries, and for those of the same ids at another of these webhooks.

    Not for the pairs: SQLite reads the whole table for those, and a week's ids are many.
    """
    return select(deliveries.c.webhook, deliveries.c.delivery).where(
        deliveries.c.webhook.in_({webhook for webhook, _ in asked}),
        deliveries.c.delivery.in_({delivery for _, delivery in asked}),
    )


def path_of(webhook: Webhook) -> str:
    """Return the path that the service calls."""
    topology, node = quote(webhook.topology, safe=""), quote(webhook.node, safe="")
    return f"/webhook/topologies/{topology}/nodes/{node}/token/{webhook.token}"
