"""The worker logs no body on its own: neither one that goes on nor one that goes to the trash."""

from typing import Any

import pytest
from pydantic import BaseModel
from structlog.testing import capture_logs

from applications import Application
from connectors import Endpoints, Message, Repeat, Trash, custom_node
from worker.testing import NotConnected, Reply, answering, run_action

CANARY = "canary-in-the-body"


class Shop(Application):
    key = "shop"
    base_url = "https://shop.example"


class OrderId(BaseModel):
    id: int


get_order = Endpoints(Shop).get("shop-get-order", "/orders/{id}", OrderId, Any)
add_order = Endpoints(Shop).post("shop-add-order", "/orders", Any, Any)


@custom_node("look-up")
async def look_up(message: Message[Any]) -> Message[Any]:
    """Looks up what is not there."""
    return message.with_data(message.data["missing"])


@pytest.mark.parametrize(
    ("action", "reply", "outcome"),
    [
        (add_order, {"added": CANARY}, None),
        (add_order, Reply(404), Trash),
        (add_order, Reply(500), Repeat),
        (add_order, NotConnected("no such host"), Repeat),
        (get_order, {}, Trash),
        (look_up, {}, Trash),
    ],
)
async def test_no_log_line_and_no_reason_has_a_part_of_the_body(action: Any, reply: Any, outcome: type | None) -> None:
    with capture_logs() as lines:
        result = await run_action(action, {"id": CANARY}, http=answering(reply))
    assert outcome is None or isinstance(result.outcome, outcome)
    assert CANARY not in str(lines)
    assert CANARY not in result.reason
    assert outcome is not Trash or "message_trashed" in {line["event"] for line in lines}
