"""What the answers of other services mean."""

import json
from datetime import timedelta
from typing import Any

import pytest
from support.visits import node, visit

from connectors import Forward, Limited, Outcome, Page, Repeat, Stop, Trash
from worker.actions.remote import MISSING, verdict
from worker.protocol.message import Visit
from worker.protocol.topology import Role

AT = visit(node("next"))
AT_BATCH = visit(node("next", role=Role.BATCH))


def answered(code: object, body: str = "x", status: int = 200, at: Visit = AT, **headers: Any) -> Outcome:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return verdict(at, status, json.dumps({"headers": {"result-code": code, **named}, "body": body}).encode())


@pytest.mark.parametrize("code", ["0", 0, "1999", "2001"])
def test_success_and_unknown_codes_go_on(code: object) -> None:
    outcome = answered(code)
    assert isinstance(outcome, Forward)
    assert outcome.message.body == "x"


def test_each_code_has_its_outcome() -> None:
    repeat = answered("1001", repeat_interval="7", repeat_max_hops=3, result_message="busy")
    assert isinstance(repeat, Repeat)
    assert (repeat.after, repeat.max_hops, repeat.reason) == (timedelta(seconds=7), 3, "busy")
    forced = answered("1002", force_target_queue="a, b")
    assert isinstance(forced, Forward)
    assert forced.to == ("a", "b")
    assert isinstance(answered(1003), Stop)
    assert isinstance(answered("1004"), Limited)
    assert isinstance(answered("1006"), Trash)


def test_a_batch_gives_items_and_a_cursor() -> None:
    items = json.dumps([{"headers": None, "body": "1"}, {"headers": {"user": "bob"}, "body": "2"}])
    page = answered("1010", items, cursor="next", at=AT_BATCH)
    assert isinstance(page, Page)
    assert ([item.body for item in page.items], page.next_cursor) == (["1", "2"], "next")
    only_cursor = answered("1011", "anything", cursor=5, at=AT_BATCH)
    assert isinstance(only_cursor, Page)
    assert (tuple(only_cursor.items), only_cursor.next_cursor) == ((), "5")


NESTED = '{"a": ' * 100_000 + "1" + "}" * 100_000


@pytest.mark.parametrize(
    "body",
    ["{}", "nothing", '[{"headers": {}}]', "[1]", f'[{{"body": "x", "headers": {NESTED}}}]'],
    ids=lambda body: body[:20],
)
def test_a_batch_without_an_array_of_messages_goes_to_the_trash(body: str) -> None:
    outcome = answered("0", body, at=AT_BATCH)
    assert isinstance(outcome, Trash)
    assert "must be a JSON array of messages" in outcome.reason


@pytest.mark.parametrize("hops", ["", "three", None])
def test_a_repeat_without_whole_numbers_goes_to_the_trash(hops: object) -> None:
    outcome = answered("1001", repeat_interval="1", repeat_max_hops=hops)
    assert isinstance(outcome, Trash)
    assert "[repeat-max-hops]" in outcome.reason


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, "repeat-max-hops"),
        ({"repeat_interval": "1"}, "repeat-max-hops"),
        ({"repeat_max_hops": 3}, "repeat-interval"),
    ],
)
def test_a_repeat_without_its_headers_is_told_as_the_platforms_worker_tells_it(
    given: dict[str, object], missing: str
) -> None:
    outcome = answered("1001", **given)
    assert isinstance(outcome, Trash)
    assert outcome.reason == f"requested header [{missing}] does not exist"


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"<html>", b"[]", b'{"headers": {}}', b'{"body": "x"}', b"\xff", b'{"headers": 1}', NESTED.encode()),
        f'{{"headers": {{"result-code": "0", "own": {NESTED}}}, "body": "x"}}'.encode(),
    ],
    ids=lambda content: content[:20],
)
def test_an_answer_without_a_verdict_goes_to_the_trash(content: bytes) -> None:
    outcome = verdict(AT, 200, content)
    assert isinstance(outcome, Trash)
    assert outcome.reason == MISSING.format("result-code")


@pytest.mark.parametrize("status", [302, 400, 404, 500])
def test_a_refusal_goes_to_the_trash_with_its_status(status: int) -> None:
    outcome = answered("0", status=status, result_message="no")
    assert isinstance(outcome, Trash)
    assert outcome.reason == f"result status [{status}], message: no"
