"""What waits in its place, and what does not."""

import asyncio
from datetime import timedelta
from typing import Any

from support.visits import PROCESS_ID, RUN, node

from connectors import Repeat, Trash
from worker.modes.standalone import BrokerParking
from worker.patience import Patience
from worker.pipeline.decisions import Decided
from worker.pipeline.hold import Hold
from worker.pipeline.settle import Settler
from worker.protocol.message import Envelope, Visit, receive
from worker.protocol.transport import Delivery

HEADERS = {"correlation-id": RUN, "process-id": PROCESS_ID}
AT = node("next", repeat_holds_line=True)
MAX_DELIVERIES = 5


def delivered(deliveries: int = 1, **more: Any) -> Visit:
    return receive(AT, Envelope("{}", dict(HEADERS)), Delivery(b"", 1, deliveries, **more))


class Repeating:
    """Repeats every message."""

    def __init__(self) -> None:
        self.calls = 0
        self.called = asyncio.Event()

    async def __call__(self, visit: Visit) -> Decided:
        self.calls += 1
        self.called.set()
        decision = Repeat(timedelta(hours=1), "closed")
        return Decided(visit, decision, Settler(BrokerParking(), None).settle(visit, decision))


async def test_a_message_that_the_platform_calls_with_is_not_held() -> None:
    hold, action = Hold(Patience(), MAX_DELIVERIES), Repeating()
    called = delivered(is_from_queue=False)
    both = await asyncio.gather(hold.stage(called, action), hold.stage(called, action))
    assert all(isinstance(decided.decision, Repeat) for decided in both)
    assert action.calls == 2


async def test_what_is_let_go_is_the_message_of_its_latest_delivery() -> None:
    patience = Patience()
    hold, action = Hold(patience, MAX_DELIVERIES), Repeating()
    waiting = asyncio.ensure_future(hold.stage(delivered(), action))
    await action.called.wait()
    patience.end()
    await asyncio.wait([waiting])
    last = delivered(MAX_DELIVERIES - 1)
    decided = await hold.stage(last, action)
    assert action.calls == 1, "it is parked as it waits, without another call"
    assert decided.visit.delivery is last.delivery
    assert isinstance(decided.decision, Repeat)


async def test_one_delivery_too_many_is_decided_below() -> None:
    async def trash(visit: Visit) -> Decided:
        return Decided(visit, Trash("crashes"))

    decided = await Hold(Patience(), MAX_DELIVERIES).stage(delivered(MAX_DELIVERIES), trash)
    assert decided.decision == Trash("crashes")
