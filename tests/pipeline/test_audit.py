"""Business audit: entities travel in a header, checkpoints become log lines."""

import json
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs
from support.visits import node, visit

from connectors import CustomNode, Forward, Message, Outcome, Page, Repeat, Trash, audit_checkpoint, audit_entity
from connectors.audit import Checkpoint
from worker.pipeline.decisions import Decision
from worker.pipeline.stages import Audited, around, decides
from worker.testing import run_action

GOLDEN = '{"order":{"key":"id","fields":[{"id":"1","a":"b"},{"id":"2"}]},"cust":{"key":"no","fields":[{"no":"9"}]}}'
BODY = '{"id":1,"note":"x","customer":{"id":7,"token":"t"},"api_key":"k"}'


def message(body: str = BODY) -> Message[Any]:
    return Message({"user": "alice"}, body)


async def lines(outcome: Outcome, declared: Checkpoint | None = None) -> tuple[list[dict[str, Any]], Decision]:
    with capture_logs() as logged:
        left = await around([Audited(declared).stage], decides(outcome))(visit(node("a"), '{"id":"given"}'))
    return [dict(line["auditCheckpoint"]) for line in logged if line["event"] == "Audit checkpoint"], left.decision


def test_entities_are_written_as_the_platform_writes_them() -> None:
    about = audit_entity(message(), "order", "id", {"id": "1", "a": "b"})
    about = audit_entity(about, "cust", "no", {"no": 9})
    about = audit_entity(about, "order", "id", {"id": 2})
    assert about.headers["audit-entity"] == GOLDEN


def test_an_entity_has_its_key() -> None:
    with pytest.raises(ValueError, match="order has no field 'id'"):
        audit_entity(message(), "order", "id", {"number": 1})


async def test_a_checkpoint_writes_the_fields_it_names_and_does_not_travel() -> None:
    set_ = audit_checkpoint(message(), "process_entry", ["id", "customer.id", "missing"])
    written, left = await lines(Forward(set_))
    assert written == [
        {"role": "process_entry", "resultCode": 0, "resultStatus": "success", "resultMessage": "",
         "payload": {"id": 1, "customer": {"id": 7}}}
    ]  # fmt: skip
    assert isinstance(left, Forward)
    assert left.message.headers == {"user": "alice"}


async def test_at_the_exit_the_line_is_about_what_was_given() -> None:
    written, _ = await lines(Forward(audit_checkpoint(message(), "process_exit", ["id"])))
    assert written[0]["payload"] == {"id": "given"}


async def test_a_batch_writes_a_line_for_each_item() -> None:
    page = Page(
        [{"id": 1, "n": 2}, Message({}, '{"id":2}')], message=audit_checkpoint(message(), "process_entry", ["id"])
    )
    written, _ = await lines(page)
    assert [line["payload"] for line in written] == [{"id": 1}, {"id": 2}]


async def test_secrets_are_never_written_and_large_payloads_neither() -> None:
    written, _ = await lines(Forward(audit_checkpoint(message(), "process_step", ["api_key", "customer"])))
    assert written[0]["payload"] == {"api_key": "<redacted>", "customer": {"id": 7, "token": "<redacted>"}}
    large = message(json.dumps({"id": "x" * 70_000}))
    written, _ = await lines(Forward(audit_checkpoint(large, "process_step", ["id"])))
    assert written[0]["payload"]["_truncated"]
    written, _ = await lines(Forward(audit_checkpoint(message("<xml/>"), "process_step", ["id"])))
    assert written[0]["payload"]["_invalidJson"]


async def test_a_marker_has_no_payload_and_a_failure_is_told() -> None:
    written, _ = await lines(Trash("no stock", audit_checkpoint(message(), "process_step", [])))
    assert written == [
        {"role": "process_step", "resultCode": 1006, "resultStatus": "failed", "resultMessage": "no stock"}
    ]


@pytest.mark.parametrize("header", ["no json", '{"role":"process_entry"}', '{"role":"boss","fields":[]}'])
async def test_a_checkpoint_that_cannot_be_read_writes_nothing(header: str) -> None:
    written, left = await lines(Forward(message().with_headers({"audit-checkpoint": header})))
    assert written == []
    assert isinstance(left, Forward)
    assert "audit-checkpoint" not in left.message.headers


async def test_a_list_at_a_path_is_picked_entity_by_entity() -> None:
    body = json.dumps({"data": {"orders": [{"id": 1, "x": 2}, {"id": 3}]}})
    set_ = audit_checkpoint(message(body), "process_entry", ["id"], entity_path="$.data.orders")
    assert (await lines(Forward(set_)))[0][0]["payload"] == [{"id": 1}, {"id": 3}]


async def test_a_declared_checkpoint_is_written_whatever_becomes_of_the_message() -> None:
    step = Checkpoint("process_step", ("id",))
    passed = Forward(message())
    written, left = await lines(passed, step)
    assert [line["payload"] for line in written] == [{"id": 1}]
    assert left is passed
    for outcome, status in ((Trash("no"), "failed"), (Repeat(timedelta(1), "later"), "repeat")):
        written, left = await lines(outcome, step)
        assert [(line["resultStatus"], line["payload"]) for line in written] == [(status, {"id": "given"})]
        assert left is outcome
    written, _ = await lines(Forward(audit_checkpoint(message(), "process_exit", ["id"])), step)
    assert [line["role"] for line in written] == ["process_exit"]


class Declaring(CustomNode[Any, Any]):
    """Fails for some."""

    name = "declaring"
    checkpoint = Checkpoint("process_entry", ("number",))

    async def process(self, message: Message[Any]) -> Message[Any]:
        if message.data["number"] > 1:
            raise KeyError("too many")
        return message


@pytest.mark.parametrize(("number", "status"), [(1, "success"), (2, "failed")])
async def test_an_action_declares_its_checkpoint(number: int, status: str) -> None:
    with capture_logs() as logged:
        await run_action(Declaring, {"number": number})
    (line,) = [line["auditCheckpoint"] for line in logged if line["event"] == "Audit checkpoint"]
    assert (line["role"], line["resultStatus"], line["payload"]) == ("process_entry", status, {"number": number})
