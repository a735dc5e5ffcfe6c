"""Who leaves the line of a limit, and who keeps the place in it."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest
from support.visits import node, visit

from connectors import Forward, Message, Page, Repeat, Stop, Trash
from worker.limits.gate import Held, ReservingGate
from worker.limits.memory import MemoryReservations
from worker.patience import Patience
from worker.pipeline.decisions import Cancelled
from worker.pipeline.stages import decides
from worker.pipeline.turns import Turns
from worker.protocol import headers as h
from worker.protocol.topology import Role

KEY = "alice|shop;60;1"
AT = node("next", role=Role.CONNECTOR, application="shop")


@pytest.mark.parametrize(
    ("decision", "waiting"),
    [
        (Forward(Message({}, "")), 0),
        (Page([]), 0),
        (Stop(), 0),
        (Trash("x"), 0),
        (Cancelled(), 0),
        (Repeat(timedelta(seconds=1)), 1),
        (Held("shop", 1, 1), 1),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_what_ends_without_its_turn_leaves_the_line(decision: Any, waiting: int) -> None:
    store = MemoryReservations(time.monotonic, guard_seconds=0)
    gate = ReservingGate(store)
    await gate.admit(visit(AT, limiter_key=KEY), asyncio.sleep)
    held = await gate.admit(visit(AT, limiter_key=KEY), asyncio.sleep)
    assert isinstance(held, Held)
    parked = visit(AT, limiter_key=KEY, **{h.LIMIT_PLACE: str(held.place)})
    decided = await Turns(gate, Patience()).leave(parked, decides(decision))
    (state,) = await store.states("alice|shop")
    assert decided.decision is decision
    assert state.waiting == waiting
