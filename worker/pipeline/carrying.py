"""The stage that carries out what is decided: publish, keep and count, in this order.

Counted last: then whatever the database knows to have been sent on is with the broker.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from inspect import isawaitable

import structlog

from connectors import Trash
from connectors.errors import StorageAway
from worker.actions.outcomes import is_ours
from worker.errors import HandBack, Unpublishable
from worker.modes.services import TrashNotifier
from worker.patience import Patience
from worker.pipeline.decisions import Cancelled, Decided, Decision, Keep, Settlement, Way
from worker.pipeline.settle import Settler
from worker.protocol.message import Visit
from worker.protocol.transport import Outlet
from worker.runs.following import Runs
from worker.runs.run import MessageState
from worker.trash.entry import EntryType
from worker.trash.keeping import Keeper
from worker.trash.making import message_entry

log = structlog.get_logger()


class Carrier:
    """Publishes through the `outlet`, keeps in the trash, and tells the counted run."""

    def __init__(
        self,
        *,
        settler: Settler,
        outlet: Outlet,
        trash: Keeper,
        notifier: TrashNotifier,
        runs: Runs,
        patience: Patience,
    ) -> None:
        self._settler = settler
        self._outlet = outlet
        self._trash = trash
        self._notifier = notifier
        self._runs = runs
        self._patience = patience

    async def stage(self, visit: Visit, call_next: Way) -> Decided:
        """Carry out the decision. Return it with how the message has ended."""
        decided = await call_next(visit)
        visit = decided.visit
        settlement = decided.settlement or self._settler.settle(visit, decided.decision)
        visit.delivery.is_settling = True
        try:
            return await self._carry_out(visit, decided.decision, settlement)
        except Unpublishable as error:
            trash = Trash(f"the broker does not take what is sent on: {error}")
            return await self._carry_out(visit, trash, self._settler.settle(visit, trash))

    async def _carry_out(self, visit: Visit, decision: Decision, settlement: Settlement) -> Decided:
        state = _end_state(decision, settlement)
        if state is None:
            await self._runs.set_aside(visit)
        if settlement.publications:
            await self._outlet.publish(settlement.publications)
        if settlement.next_page is not None:
            await self._outlet.publish((settlement.next_page,))
        if settlement.confirmed is not None:
            await self._confirm(settlement.confirmed)
        if settlement.keep is not None:
            await self._keep(visit, settlement.keep)
        if settlement.report is not None:
            await self._outlet.publish((settlement.report,))
        if state is not None:
            await self._runs.ended(visit, state, settlement.sent)
        return Decided(visit, decision, settlement, state)

    async def count_failed(self, visit: Visit) -> None:
        """Tell the run that the message has failed, where something else has put it into the trash."""
        report = self._settler.failed(visit).report
        if report is not None:
            await self._outlet.publish((report,))
        known, _ = self._runs.arrived(visit)  # as it was when its way began
        await self._runs.ended(known, MessageState.FAILED, ())

    async def _confirm(self, confirmed: Callable[[], Awaitable[None]]) -> None:
        """Do what the action wants done after its items: until the storage answers, the message is not acknowledged."""
        try:
            await self._patience.until_answered(partial(_done, confirmed), errors=StorageAway, told=_away)
        except HandBack:
            raise
        except BaseException as error:  # it is the action's code; the items are published, so the message is done
            if is_ours(error):
                raise
            log.exception("confirmed_failed", consequence="what it saves is not saved")

    async def _keep(self, visit: Visit, keep: Keep) -> None:
        entry = await self._trash.keep(message_entry(visit, keep.headers, keep.reason))
        if entry.type is EntryType.TRASH:
            event = await self._notifier.publication(visit, entry)
            if event is not None:
                await self._outlet.publish((event,))


async def _done(confirmed: Callable[[], Awaitable[None] | None]) -> None:
    """Call what is to be awaited, or is done when it returns."""
    result = confirmed()
    if isawaitable(result):
        await result


def _end_state(decision: Decision, settlement: Settlement) -> MessageState | None:
    """Return how the message has ended; None when it is still on its way."""
    if isinstance(decision, Cancelled):
        return MessageState.CANCELLED
    if settlement.is_success is None:
        return None
    return MessageState.OK if settlement.is_success else MessageState.FAILED


def _away(error: Exception, seconds: float) -> None:
    log.error(
        "storage_away",
        cause=str(error),
        consequence="the message waits in the broker",
        retry_in_seconds=round(seconds, 1),
    )
