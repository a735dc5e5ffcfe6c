"""What each outcome means on the wire."""

import json
import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from support.odd import nested
from support.visits import PROCESS_ID, TIMESTAMP, node, repeater, visit

from connectors import Exponential, Forward, Limited, Message, Page, Repeat, Stop, Trash
from worker.limits.gate import Held
from worker.modes.platform import PlatformCounter, PlatformParking
from worker.modes.standalone import BrokerParking
from worker.pipeline import same_cursor as pages
from worker.pipeline.decisions import Decision, Settlement, UserTask
from worker.pipeline.settle import Settler
from worker.protocol.message import DEEPEST_HEADERS, LARGEST_PUBLISHED, Visit, decode
from worker.protocol.transport import Publication


def settle(at: Visit, decision: Decision, largest: int = LARGEST_PUBLISHED) -> Settlement:
    return Settler(PlatformParking(), PlatformCounter(), largest).settle(at, decision)


def sent(publication: Publication | None) -> tuple[dict[str, Any], str]:
    assert publication is not None
    content = json.loads(publication.body)
    return content["headers"], content["body"]


def reported(settlement: Settlement) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(sent(settlement.report)[1])
    return report


def forwarded(at: Visit, **headers: Any) -> Forward:
    return Forward(Message({**at.headers, **headers}, at.body))


def test_one_follower_gets_the_message_with_the_same_process_id() -> None:
    at = visit(node("next"))
    settlement = settle(at, forwarded(at))
    headers, body = sent(settlement.publications[0])
    assert settlement.publications[0].exchange == "node.id-next.hx"
    assert headers["process-id"] == PROCESS_ID
    assert headers["previous-node-id"] == "n1"
    assert body == '{"n":1}'
    assert reported(settlement) == {"success": True, "following": 1, "body": "", "headers": None}


def test_verdict_and_parking_headers_do_not_travel_to_followers() -> None:
    at = visit(node("next"), repeat_hops="2", limit_message_from_limiter="1")
    stale = {"result-code": "0", "result-message": "ok", "force-target-queue": "x", "user-task-state": "accept"}
    headers, _ = sent(settle(at, forwarded(at, **stale, own="kept")).publications[0])
    assert not headers.keys() & (stale.keys() | {"repeat-hops", "limit-message-from-limiter"})
    assert headers["own"] == "kept"


def test_copies_for_several_followers_have_ids_of_their_own_that_a_replay_repeats() -> None:
    at = visit(node("a", "b"))
    first, again = (settle(at, forwarded(at)).publications for _ in range(2))
    ids = [sent(publication)[0]["process-id"] for publication in first]
    assert len({UUID(own) for own in ids}) == 2
    assert PROCESS_ID not in ids
    assert [sent(publication)[0]["parent-id"] for publication in first] == [PROCESS_ID] * 2
    assert [sent(publication)[0]["process-id"] for publication in again] == ids


@pytest.mark.parametrize("reference", ["id-b", "b", "pipes.sample.b"])
def test_a_forced_follower_is_found_by_id_name_and_old_form(reference: str) -> None:
    at = visit(node("a", "b"))
    settlement = settle(at, Forward(Message(at.headers, at.body), (reference,)))
    assert [publication.exchange for publication in settlement.publications] == ["node.id-b.hx"]


def test_an_unknown_forced_follower_sends_the_message_to_the_trash() -> None:
    at = visit(node("a"))
    settlement = settle(at, Forward(Message(at.headers, at.body), ("nope",)))
    assert settlement.keep is not None
    assert settlement.keep.reason == "unknown follower of id [nope]"
    assert reported(settlement)["success"] is False


def test_items_of_a_batch_inherit_headers_and_overlay_their_own() -> None:
    at = visit(node("next"), cursor="2", audit_entity="order", audit_entity_ids="17")
    items = [Message({"user": "bob", "audit-entity": "invoice"}, "first"), {"plain": "value"}]
    settlement = settle(at, Page(items))
    first, second = (sent(publication) for publication in settlement.publications)
    assert (first[0]["user"], first[0]["audit-entity"], first[1]) == ("bob", "invoice", "first")
    assert (second[0]["user"], second[1]) == ("alice", '{"plain":"value"}')
    assert (second[0]["audit-entity"], second[0]["audit-entity-ids"]) == ("order", "17")
    assert "cursor" not in first[0]
    assert first[0]["process-id"] != second[0]["process-id"] != PROCESS_ID
    assert reported(settlement)["following"] == 2


def test_ids_of_items_differ_from_page_to_page() -> None:
    pages = (visit(node("next"), cursor=cursor) for cursor in ("1", "2"))
    ids = {sent(settle(at, Page(["item"])).publications[0])[0]["process-id"] for at in pages}
    assert len(ids) == 2


def test_the_next_page_goes_back_to_the_node_with_the_original_body_and_time() -> None:
    at = visit(node("next"))
    cursor = settle(at, Page(["item"], next_cursor="7")).next_page
    assert cursor is not None
    headers, body = sent(cursor)
    assert (cursor.exchange, cursor.timestamp) == ("node.n1.hx", TIMESTAMP)
    assert (headers["cursor"], headers["process-id"], body) == ("7", PROCESS_ID, at.body)
    assert "previous-node-id" not in headers


def test_a_page_without_items_only_moves_the_cursor_and_its_trail_goes_no_further() -> None:
    at = visit(node("next"), cursor="1", cursor_trail="old")
    only = settle(at, Page([], "2", trail="new")).next_page
    assert only is not None
    headers, _ = sent(only)
    assert (headers["result-code"], headers["cursor"], headers["cursor-trail"]) == ("1011", "2", "new")
    settlement = settle(at, Page([1], "2"))
    (item,), following = settlement.publications, settlement.next_page
    assert following is not None
    assert sent(following)[0]["result-code"] == "1010"
    assert not sent(item)[0].keys() & {"cursor", "cursor-trail"}


def test_a_repeat_is_parked_with_the_original_body_and_not_counted() -> None:
    at = visit(node("next"))
    settlement = settle(at, Repeat(timedelta(seconds=7), "busy", max_hops=3))
    headers, body = sent(settlement.publications[0])
    assert (settlement.publications[0].routing_key, settlement.publications[0].timestamp) == (
        "pipes.repeater",
        TIMESTAMP,
    )
    assert (
        headers.items()
        >= {
            "repeat-hops": "2",
            "repeat-interval": "7",
            "repeat-max-hops": "3",
            "repeat-queue": "node.n1.1",
            "limit-return-exchange": "node.n1.hx",
            "limit-return-routing-key": "1",
            "result-code": "1001",
            "result-message": "busy",
        }.items()
    )
    assert body == at.body
    assert settlement.report is None


def test_three_hops_call_the_action_three_times() -> None:
    hops = [settle(visit(node(), repeat_hops=at), Repeat(timedelta(seconds=1), "x", 3)).keep for at in (1, 2, 3)]
    assert [keep is not None for keep in hops] == [False, False, True]
    assert hops[2] is not None
    assert hops[2].reason == "max repeat limit reached, x"


def test_the_nodes_own_repeater_wins_over_the_action() -> None:
    at = visit(node(repeater=repeater(interval_seconds=60, max_hops=5)))
    headers, _ = sent(settle(at, Repeat(timedelta(seconds=1), "busy", max_hops=3)).publications[0])
    assert (headers["repeat-interval"], headers["repeat-max-hops"]) == ("60", "5")


def test_a_growing_delay_is_counted_from_the_hops_of_the_message() -> None:
    for hops, most in ((1, 10), (3, 40), (9, 60)):
        at = visit(node(), repeat_hops=hops)
        delay = Exponential(first=timedelta(seconds=10), longest=timedelta(seconds=60))
        headers, _ = sent(settle(at, Repeat(delay, "busy", max_hops=20)).publications[0])
        assert 1 <= int(headers["repeat-interval"]) <= most


def test_a_repeat_longer_than_the_delay_tiers_goes_to_the_trash() -> None:
    settler = Settler(BrokerParking(), PlatformCounter())
    keep = settler.settle(visit(node()), Repeat(timedelta(days=60))).keep
    assert keep is not None
    assert "longer than the longest possible" in (keep.reason or "")


def test_unreadable_hops_go_to_the_trash() -> None:
    keep = settle(visit(node(), repeat_hops="many"), Repeat(timedelta(seconds=1))).keep
    assert keep is not None
    assert "header [repeat-hops] is not a whole number: 'many'" in (keep.reason or "")


def test_an_exceeded_limit_goes_back_to_the_limiter_without_a_verdict() -> None:
    at = visit(node("next"))
    reply = Message({**at.headers, "result-code": "1004", "application": "shop"}, "changed")
    publication = settle(at, Limited(message=reply)).publications[0]
    headers, body = sent(publication)
    assert (publication.routing_key, body) == ("pipes.limiter", "changed")
    assert not headers.keys() & {"result-code", "application"}
    assert headers["limit-return-exchange"] == "node.n1.hx"


def test_a_held_message_names_its_application_for_the_limiter() -> None:
    headers, _ = sent(settle(visit(node("next")), Held("shop")).publications[0])
    assert headers["application"] == "shop"
    assert "limit-message-from-limiter" not in headers


def test_a_stop_counts_as_success_and_publishes_nothing() -> None:
    settlement = settle(visit(node("next")), Stop("enough"))
    assert settlement.publications == ()
    assert reported(settlement) == {"success": True, "following": 0, "body": "", "headers": None}


def test_the_trash_gets_reason_and_clean_headers() -> None:
    at = visit(node("next"), repeat_hops="2", own="kept")
    keep = settle(at, Trash("no stock")).keep
    assert keep is not None
    assert keep.headers["result-message"] == keep.reason == "no stock"
    assert keep.headers["own"] == "kept"
    assert "repeat-hops" not in keep.headers


def test_the_base_of_a_limiter_key_replaces_the_key() -> None:
    at = visit(node("next"), limiter_key="own;1;1", limiter_key_base="base;1;1")
    headers, _ = sent(settle(at, forwarded(at)).publications[0])
    assert headers["limiter-key"] == "base;1;1"
    assert "limiter-key-base" not in headers


def test_a_stored_user_task_has_no_state_yet() -> None:
    keep = settle(visit(node("next"), user_task_state="accept"), UserTask()).keep
    assert keep is not None
    assert "user-task-state" not in keep.headers


def test_a_user_task_is_kept_and_not_counted() -> None:
    settlement = settle(visit(node("next")), UserTask())
    assert settlement.keep is not None
    assert settlement.keep.reason is None
    assert settlement.report is None


def test_a_report_falls_back_on_the_consumed_headers_that_a_reply_dropped() -> None:
    at = visit(node("next"))
    headers, _ = sent(settle(at, Forward(Message({}, "x"))).report)
    assert headers["process-id"] == PROCESS_ID


@pytest.mark.parametrize(
    "message",
    [
        Message({"own": object()}, "x"),
        Message({}, "\ud800"),
        Message({"own": nested(DEEPEST_HEADERS)}, "x"),
        Message({"own": nested(5000)}, "x"),
        Message({"own": [float("nan")]}, "x"),
    ],
    ids=["object", "surrogate", "nested", "nested deeper than any interpreter reads", "no number"],
)
def test_what_json_cannot_hold_goes_to_the_trash_before_anything_is_published(message: Message[Any]) -> None:
    settlement = settle(visit(node("next")), Forward(message))
    assert settlement.publications == ()
    assert settlement.keep is not None
    assert "the outcome cannot be sent" in (settlement.keep.reason or "")


def test_headers_may_be_nested_as_deep_as_every_worker_reads() -> None:
    deepest = nested(DEEPEST_HEADERS - 1)
    settlement = settle(visit(node("next")), Forward(Message({"own": deepest}, "x")))
    assert decode(settlement.publications[0].body, 10_000).headers == {"own": deepest, "previous-node-id": "n1"}


@pytest.mark.parametrize(
    "decision",
    [
        Forward(Message({}, "x" * 5000)),
        Forward(Message({"own": "x" * 5000}, "")),
        Page(["small", "x" * 5000]),
        Page(["small"], "2", message=Message({"own": "x" * 5000}, "")),
        Repeat(timedelta(seconds=1), message=Message({"own": "x" * 5000}, "")),
        Limited(message=Message({}, "x" * 5000)),
    ],
)
def test_what_the_broker_would_not_take_goes_to_the_trash_with_its_size(decision: Decision) -> None:
    settlement = settle(visit(node("next")), decision, largest=4096)
    assert settlement.publications == ()
    assert settlement.next_page is None
    assert settlement.keep is not None
    assert re.search(r"of 5\d\d\d bytes is larger than WORKER_MAX_MESSAGE_BYTES=4096", settlement.keep.reason or "")
    assert settle(visit(node("next")), decision, largest=10_000).keep is None


def test_a_report_arrives_however_large_the_headers_are_that_it_counts_by() -> None:
    at = visit(node(), correlation_id="run", user="x" * 5000)
    headers, _ = sent(settle(at, Stop(), largest=4096).report)
    assert headers["correlation-id"] == "run"
    assert "user" not in headers


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 1e400])
def test_a_number_that_json_does_not_know_is_not_sent(number: float) -> None:
    keep = settle(visit(node("next")), Page([{"price": number}])).keep
    assert keep is not None
    assert "ValueError: JSON has no" in (keep.reason or "")
    assert settle(visit(node("next")), Page([{"price": "NaN", "Infinity": 1.0}])).keep is None


class Steep:
    """A delay that nobody can wait for."""

    def after(self, hop: int, _: object) -> timedelta:
        return timedelta(days=1) * 10**hop


def test_a_delay_that_cannot_be_computed_goes_to_the_trash() -> None:
    delay: Any = Steep()
    keep = settle(visit(node(), repeat_hops=20), Repeat(delay, max_hops=100)).keep
    assert keep is not None
    assert "the outcome cannot be sent: OverflowError" in (keep.reason or "")


@pytest.mark.parametrize("own", [object(), nested(DEEPEST_HEADERS), {("a", 1): 2}], ids=["object", "nested", "keys"])
def test_what_no_store_can_hold_is_trashed_with_the_headers_that_came(own: Any) -> None:
    at = visit(node("next"))
    keep = settle(at, Trash("no stock", Message({"own": own}, "x"))).keep
    assert keep is not None
    assert (keep.reason or "").startswith("no stock; the outcome cannot be sent: ")
    assert keep.headers == {**at.headers, "result-message": keep.reason}


def test_a_reason_that_is_no_text_is_kept_readable() -> None:
    keep = settle(visit(node("next")), Trash("no file \udcff")).keep
    assert keep is not None
    assert keep.reason == keep.headers["result-message"] == "no file \\udcff"


def test_where_a_batch_stands_and_what_it_audits_is_no_matter_of_its_followers() -> None:
    at = visit(node("next"), cursor="2", audit_checkpoint="own")
    items = [Message({"cursor": "9", "audit-checkpoint": "x", "own": "kept"}, "first"), "second"]
    first, second = (sent(publication)[0] for publication in settle(at, Page(items)).publications)
    assert not (first.keys() | second.keys()) & {"cursor", "audit-checkpoint"}
    assert first["own"] == "kept"


@pytest.mark.parametrize(("seconds", "interval"), [(0.2, "1"), (1, "1"), (1.01, "2")])
def test_a_repeat_never_comes_earlier_than_asked_for(seconds: float, interval: str) -> None:
    settlement = settle(visit(node()), Repeat(timedelta(seconds=seconds)))
    assert sent(settlement.publications[0])[0]["repeat-interval"] == interval
    assert settlement.parked is not None
    assert settlement.parked.seconds == seconds


def test_what_the_platforms_limiter_holds_is_not_waited_for_here() -> None:
    assert settle(visit(node()), Held("shop")).parked is None


def test_a_limit_without_a_time_is_over_after_a_minute() -> None:
    parked = settle(visit(node()), Limited()).parked
    assert parked is not None
    assert parked.seconds == 60


@pytest.mark.parametrize(
    ("after", "seconds"),
    [
        (None, 60),
        (timedelta(), 60),
        (timedelta(microseconds=1), 1),
        (timedelta(seconds=-5), 1),
        (timedelta(hours=1), 3600),
    ],
)
def test_a_message_at_a_limit_comes_back_after_a_second_at_least(after: timedelta | None, seconds: float) -> None:
    parked = settle(visit(node()), Limited(after=after)).parked
    assert parked is not None
    assert parked.seconds == seconds


def same_cursor(at: Visit, count: int, page: Page) -> tuple[list[str], Visit]:
    """Ask so many times for a page with the same cursor; return the ids of the items, and the last page."""
    ids = []
    for _ in range(count):
        settlement = settle(at, page)
        ids += [sent(item)[0]["process-id"] for item in settlement.publications]
        headers, _ = sent(settlement.next_page)
        at = visit(node("next"), **{name.replace("-", "_"): value for name, value in headers.items()})
    return ids, at


@pytest.mark.parametrize("items", [[], ["x"]])
def test_a_batch_that_names_the_same_cursor_for_ever_goes_to_the_trash(
    items: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MOST_PAGES", 5)
    ids, at = same_cursor(visit(node("next")), 5, Page(items, "next"))
    assert len(set(ids)) == len(ids)
    settlement = settle(at, Page(items, "next"))
    assert settlement.keep is not None
    assert settlement.keep.reason is not None
    assert "has named the cursor 'next' 5 times one after the other" in settlement.keep.reason
    assert not settlement.publications
    headers, _ = sent(settle(at, Page(items, "other")).next_page)
    assert "cursor-trail" not in headers
    assert sent(settle(at, Page(items, "next", trail="own")).next_page)[0]["cursor-trail"] == "own"
    assert settle(at, Page(["last"])).next_page is None


def test_a_page_that_comes_again_with_the_same_cursor_has_the_same_ids() -> None:
    _, at = same_cursor(visit(node("next")), 3, Page(["x"], "next"))
    first, again = (settle(at, Page(["x"], "next")).publications for _ in range(2))
    assert first == again


def entities(**fields: list[dict[str, str]]) -> str:
    return json.dumps({entity: {"key": "id", "fields": found} for entity, found in fields.items()})


@pytest.mark.parametrize(
    ("own", "told"),
    [
        (None, {"order": ["17"]}),
        (entities(order=[{"id": "17"}]), {"order": ["17"]}),
        (entities(order=[{"id": "18"}]), {"order": ["17", "18"]}),
        (entities(order=[{"id": "17"}, {"id": "18"}], line=[{"id": "1"}]), {"order": ["17", "18"], "line": ["1"]}),
        (entities(line=[{"id": "1"}]), {"order": ["17"], "line": ["1"]}),
    ],
)
def test_an_item_inherits_the_entities_of_its_parent(own: str | None, told: dict[str, list[str]]) -> None:
    at = visit(node("next"), audit_entity=entities(order=[{"id": "17"}]))
    for headers in ({}, dict(at.headers)):
        item = Message(headers | ({"audit-entity": own} if own else {}), "1")
        found = json.loads(sent(settle(at, Page([item])).publications[0])[0]["audit-entity"])
        assert {entity: [one["id"] for one in said["fields"]] for entity, said in found.items()} == told


@pytest.mark.parametrize("own", ["{", "[]", "7", '{"order": 1}', '{"order": {}}', 7])
def test_entities_of_an_item_that_are_unreadable_stay_as_they_are(own: object) -> None:
    at = visit(node("next"), audit_entity=entities(order=[{"id": "17"}]))
    settlement = settle(at, Page([Message({"audit-entity": own}, "1")]))
    assert sent(settlement.publications[0])[0]["audit-entity"] == own
