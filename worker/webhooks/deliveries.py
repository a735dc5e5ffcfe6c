"""The store of deliveries: which calls of services were taken, and which a process is taking now."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import Connection, Select, and_, bindparam, delete, or_, select

from worker.accounts.sql import InstallsDatabase
from worker.accounts.tables import deliveries
from worker.database.transactions import now_ms
from worker.webhooks.webhook import DeliveryClaim, DeliveryId

KEPT_MS: Final = 7 * 24 * 3600 * 1000
"""How long the ids of deliveries are kept; services try again for up to three days."""
CLAIM_MS: Final = 15_000
"""How long a claim holds: longer than a start may take, and no longer than a service waits to call again."""
PIECE: Final = 500
"""Deliveries that one transaction forgets; calls wait for it."""
_KEY: Final = ("webhook", "delivery")


class Deliveries:
    """Deliveries in SQLite or PostgreSQL, shared by all processes.

    One is claimed before it is started and taken after that, so two processes never start the same one. The claim of a
    process that died ends by itself. Rows are written in one order, so that no two transactions wait for each other.
    """

    def __init__(self, database: InstallsDatabase) -> None:
        self._database = database
        self._claimant = uuid4().hex

    async def claim(self, wanted: Sequence[DeliveryId]) -> Mapping[DeliveryId, DeliveryClaim]:
        """Claim what nobody has taken or claimed, and say for each what came of it."""
        now = self._database.now_ms
        is_free = and_(
            deliveries.c.claim != "", or_(deliveries.c.claim == self._claimant, deliveries.c.received < now - CLAIM_MS)
        )
        values = {"claim": self._claimant, "received": now}
        note = self._database.insert(deliveries).values(values)
        note = note.on_conflict_do_update(index_elements=_KEY, set_=values, where=is_free)
        query = deliveries_among(wanted)

        def work(connection: Connection) -> Mapping[DeliveryId, str]:
            connection.execute(note, _rows(wanted))
            return {(row.webhook, row.delivery): row.claim for row in connection.execute(query)}

        found = await self._database.run(work)
        return {delivery: self._state(found[delivery]) for delivery in wanted}

    def _state(self, claim: str) -> DeliveryClaim:
        if not claim:
            return DeliveryClaim.TAKEN
        return DeliveryClaim.OURS if claim == self._claimant else DeliveryClaim.OTHERS

    async def take(self, started: Sequence[DeliveryId]) -> None:
        """Note that these were started; whatever the claim, for it is true."""
        note = self._database.insert(deliveries).values(claim="", received=self._database.now_ms)
        note = note.on_conflict_do_update(index_elements=_KEY, set_={"claim": ""})
        await self._database.run(lambda connection: connection.execute(note, _rows(started)))

    async def release(self, failed: Sequence[DeliveryId]) -> None:
        """Give up our claims, so that the next call of the service is started at once."""
        ours = (
            deliveries.c.webhook == bindparam("webhook"),
            deliveries.c.delivery == bindparam("delivery"),
            deliveries.c.claim == self._claimant,
        )
        await self._database.run(lambda connection: connection.execute(delete(deliveries).where(*ours), _rows(failed)))

    async def purge(self) -> bool:
        """Forget some deliveries that no service repeats any more; True when there may be others."""
        old = deliveries.c.received < now_ms() - KEPT_MS
        query = select(deliveries.c.received).where(old).order_by(deliveries.c.received).offset(PIECE - 1).limit(1)

        def work(connection: Connection) -> bool:
            last = connection.execute(query).scalar()
            connection.execute(delete(deliveries).where(old if last is None else deliveries.c.received <= last))
            return last is not None

        return await self._database.run(work)


def _rows(given: Sequence[DeliveryId]) -> list[dict[str, Any]]:
    return [dict(zip(_KEY, delivery, strict=True)) for delivery in sorted(given)]


def deliveries_among(asked: Sequence[DeliveryId]) -> Select[str, str, str]:
    """Return the query for deliveries, and for those of the same ids at another of these webhooks.

    Not for the pairs: SQLite reads the whole table for those, and a week's ids are many.
    """
    return select(deliveries.c.webhook, deliveries.c.delivery, deliveries.c.claim).where(
        deliveries.c.webhook.in_({webhook for webhook, _ in asked}),
        deliveries.c.delivery.in_({delivery for _, delivery in asked}),
    )
