"""From an outcome to what has to be done for it: messages to publish, an entry to keep, a verdict to count.

Nothing is done here. That keeps the rules of the protocol in functions that a test can call, and lets everything
that can go wrong with an outcome (an unknown follower, a header that JSON cannot hold) go wrong before anything has
been published.
"""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from connectors import Forward, Limited, Message, Page, Repeat, Stop, Trash
from connectors.audit import with_entities_of
from connectors.delay import SHORTEST
from connectors.message import json_text
from worker.errors import readable, text_of
from worker.limits.gate import Held
from worker.modes.services import Counter, Parking
from worker.pipeline.decisions import (
    Decided,
    Decision,
    Keep,
    Parked,
    Settlement,
    UserTask,
    Way,
)
from worker.pipeline.same_cursor import EndlessPages, is_same_cursor, place_of, trail_of
from worker.protocol import headers as h
from worker.protocol.identity import SentMessage, child_id, sent_steps
from worker.protocol.message import LARGEST_PUBLISHED, Visit, check_size, encode, encode_report
from worker.protocol.topology import ROUTING_KEY, Follower, Node, Repeater
from worker.protocol.transport import Publication

DEFAULT_LIMIT_PAUSE = timedelta(seconds=60)
"""How long a message stays away when its service's limit is used up and nobody knows until when."""


LONGEST_COUNTED = 1024
"""Characters of a header in a report that would be too large otherwise."""


class UnknownFollower(ValueError):
    """The action names a follower that the node does not have."""


class Settler:
    """Knows the rules for each kind of decision; `parking` is where messages wait."""

    def __init__(
        self,
        parking: Parking,
        counter: Counter | None,
        largest: int = LARGEST_PUBLISHED,
        repeaters: Mapping[str, Repeater] = MappingProxyType({}),
    ) -> None:
        """Without a counter nothing is reported; `largest` is how many bytes a message may have that is published.

        `repeaters` may change at any time: by node id, they win over those of the topology file.
        """
        self._repeaters = repeaters
        self._parking = parking
        self._counter = counter
        self._largest = largest

    async def stage(self, visit: Visit, call_next: Way) -> Decided:
        """Work out what the decision means."""
        decided = await call_next(visit)
        settlement = self.settle(decided.visit, decided.decision)
        return Decided(decided.visit, decided.decision, settlement)

    def settle(self, visit: Visit, decision: Decision) -> Settlement:
        """Return what is to be done. A decision that cannot be carried out puts the message into the trash."""
        try:
            return self._with_report(visit, self._checked(self._settle(visit, decision)))
        except (UnknownFollower, EndlessPages) as error:
            trash = Trash(str(error), getattr(decision, "message", None))
        except Exception as error:
            why = f"the outcome cannot be sent: {type(error).__name__}: {text_of(error)}"
            trash = Trash(f"{decision.reason}; {why}" if isinstance(decision, Trash) else why)
        return self._with_report(visit, self._settle(visit, trash))

    def failed(self, visit: Visit) -> Settlement:
        """Return what is to be reported of a message that somebody else has put into the trash."""
        return self._with_report(visit, Settlement(is_success=False))

    def _checked(self, settlement: Settlement) -> Settlement:
        """Return it. Raises `TooLarge`."""
        largest = self._largest
        for publication in settlement.publications:
            if len(publication.body) > largest:  # asked here: most are not
                check_size(publication.body, largest)
        if settlement.next_page is not None:
            check_size(settlement.next_page.body, self._largest)
        return settlement

    def _with_report(self, visit: Visit, settlement: Settlement) -> Settlement:
        if self._counter is not None and settlement.is_success is not None:
            known = visit.headers if settlement.headers is None else {**visit.headers, **settlement.headers}
            headers: h.Headers = {name: known[name] for name in h.COUNTED if name in known}
            following = len(settlement.publications) + (settlement.next_page is not None)
            body = encode_report(headers, success=settlement.is_success, following=following)
            if len(body) > self._largest:  # it has to arrive, with the ids at least
                headers = {name: value for name, value in headers.items() if len(h.text(value)) <= LONGEST_COUNTED}
                body = encode_report(headers, success=settlement.is_success, following=following)
            settlement.report = self._counter.report(visit, body)
        return settlement

    def _settle(self, visit: Visit, decision: Decision) -> Settlement:
        match decision:
            case Forward():
                return _forward(visit, decision)
            case Page():
                return _page(visit, decision)
            case Repeat():
                return self._repeat(visit, decision)
            case Limited():
                return self._limited(visit, decision)
            case Held():
                return self._held(visit, decision)
            case Stop():
                return Settlement(is_success=True, headers=_headers(visit, decision.message))
            case Trash():
                return _trash(visit, decision)
            case UserTask():
                return Settlement(keep=Keep(h.without(visit.headers, h.TRANSIENT), None))
        return Settlement()

    def _repeat(self, visit: Visit, repeat: Repeat) -> Settlement:
        node = visit.node
        if own := self._repeaters.get(node.id) or node.repeater:
            repeat = replace(repeat, after=timedelta(seconds=own.interval_seconds), max_hops=own.max_hops)
        headers = dict(_headers(visit, repeat.message))
        hops = _whole(h.REPEAT_HOPS, headers.get(h.REPEAT_HOPS, visit.headers.get(h.REPEAT_HOPS, 1))) + 1
        if hops > repeat.max_hops:
            return _trash(visit, Trash(f"max repeat limit reached, {repeat.reason}", repeat.message))
        if repeat.message is None:
            headers |= {h.RESULT_CODE: "1001", h.RESULT_MESSAGE: readable(repeat.reason)}
        after = repeat.after
        seconds = (after if isinstance(after, timedelta) else after.after(hops - 1, random.uniform)).total_seconds()
        headers |= _way_back(node) | {
            h.REPEAT_HOPS: str(hops),
            h.REPEAT_INTERVAL: str(math.ceil(seconds)),
            h.REPEAT_MAX_HOPS: str(repeat.max_hops),
            h.REPEAT_QUEUE: node.queue,
        }
        body = encode(headers, visit.body)
        publication = self._parking.repeat(node, body, seconds, visit.timestamp)
        return Settlement((publication,), parked=Parked(headers, visit.body, seconds))

    def _limited(self, visit: Visit, limited: Limited) -> Settlement:
        headers = h.without(_headers(visit, limited.message), h.RESULT | {h.APPLICATION})
        body = limited.message.body if limited.message else visit.body
        seconds = max(limited.after or DEFAULT_LIMIT_PAUSE, SHORTEST).total_seconds()
        return self._at_limit(visit, headers | _way_back(visit.node), body, seconds)

    def _held(self, visit: Visit, held: Held) -> Settlement:
        headers = {**visit.headers, **_way_back(visit.node), h.APPLICATION: held.application}
        if held.place:
            headers[h.LIMIT_PLACE] = str(held.place)
        return self._at_limit(visit, headers, visit.body, held.after_seconds)

    def _at_limit(self, visit: Visit, headers: h.Headers, body: str, seconds: float) -> Settlement:
        publication = self._parking.limit(visit.node, encode(headers, body), seconds, visit.timestamp)
        return Settlement((publication,), parked=Parked(headers, body, seconds) if seconds else None)


def _headers(visit: Visit, message: Message[Any] | None) -> Mapping[str, Any]:
    if message is None:
        return visit.headers
    step = visit.headers.get(h.STEP)
    is_known = step is None or message.headers.get(h.STEP) == step
    return message.headers if is_known else {**message.headers, h.STEP: step}  # an action's reply may lack it


def _way_back(node: Node) -> h.Headers:
    return {h.LIMIT_RETURN_EXCHANGE: node.exchange, h.LIMIT_RETURN_ROUTING_KEY: ROUTING_KEY}


def _whole(name: str, value: object) -> int:
    try:
        return int(h.text(value))
    except ValueError:
        raise ValueError(f"header [{name}] is not a whole number: {value!r}") from None


def _trash(visit: Visit, trash: Trash) -> Settlement:
    reason = readable(trash.reason)
    sent = _headers(visit, trash.message)
    headers = h.without(sent, h.TRANSIENT) | {h.RESULT_MESSAGE: reason}
    encode(headers, visit.body)  # what raises here, no store takes either
    return Settlement(keep=Keep(headers, reason), is_success=False, headers=sent)


def _forward(visit: Visit, forward: Forward) -> Settlement:
    message, node = forward.message, visit.node
    followers = _receivers(node, forward.to)
    sent = _steps(visit, message.headers, [follower.id for follower in followers])
    base = h.without(message.headers, h.TRANSIENT)
    base[h.PREVIOUS_NODE_ID] = node.id
    if len(followers) == 1:
        bodies = [encode(_stepped(base, sent, 0), message.body)]
    else:
        copies = [_child(visit, base, follower, 0) for follower in followers]
        bodies = [encode(_stepped(copy, sent, at), message.body) for at, copy in enumerate(copies)]
    publications = [
        Publication(follower.exchange, ROUTING_KEY, body) for follower, body in zip(followers, bodies, strict=True)
    ]
    return Settlement(publications, is_success=True, headers=message.headers, sent=sent)


def _page(visit: Visit, page: Page) -> Settlement:
    node, headers = visit.node, _headers(visit, page.message)
    followers = _receivers(node, page.to)
    base = h.without(headers, h.TRANSIENT | h.NOT_INHERITED)
    base[h.PREVIOUS_NODE_ID] = node.id
    publications: list[Publication] = []
    sent: list[SentMessage] = []
    receivers = [follower.id for follower in followers]
    for index, (item, body) in enumerate(own_messages(page.items, headers)):
        own = {**base, **own_headers(item, headers)}
        steps = _steps(visit, own, receivers, index)
        copies = [_stepped(_child(visit, own, follower, index), steps, at) for at, follower in enumerate(followers)]
        publications += [
            Publication(follower.exchange, ROUTING_KEY, encode(copy, body))
            for follower, copy in zip(followers, copies, strict=True)
        ]
        sent += steps
    settlement = Settlement(publications, is_success=True, headers=headers, sent=sent, confirmed=page.confirmed)
    if page.next_cursor is not None:
        steps = sent_steps(visit.headers.text(h.STEP), [node.id], f"{h.CURSOR}={page.next_cursor}")
        settlement.next_page = _next_page(visit, page, steps)
        sent += steps
    return settlement


def _next_page(visit: Visit, page: Page, steps: Sequence[SentMessage]) -> Publication:
    headers = {**_headers(visit, page.message), h.CURSOR: page.next_cursor}
    if page.message is None:
        headers[h.RESULT_CODE] = "1010" if page.items else "1011"
    if (trail := trail_of(visit, page)) is not None:
        headers[h.CURSOR_TRAIL] = trail
    elif is_same_cursor(visit):
        headers.pop(h.CURSOR_TRAIL, None)
    stepped = _stepped(headers, steps, 0)
    return Publication(visit.node.exchange, ROUTING_KEY, encode(stepped, visit.body), visit.timestamp)


def own_messages(items: Sequence[Any], parent: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield each item's headers, as far as they travel and with what they add to those of the parent, and its body."""
    for item in items:
        if isinstance(item, Message):
            own = h.without(item.headers, h.TRANSIENT | {h.CURSOR, h.AUDIT_CHECKPOINT})
            yield (with_entities_of(parent, own) if h.AUDIT_ENTITY in own else own), item.body
        else:
            yield {}, json_text(item)


def own_headers(item: Mapping[str, Any], parent: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an item's own headers, which are those that its parent does not have."""
    return {name: value for name, value in item.items() if parent.get(name) != value}


def _receivers(node: Node, references: tuple[str, ...] | None) -> Sequence[Follower]:
    if references is None:
        return node.followers
    found = {reference: node.follower(reference) for reference in references}
    for reference, follower in found.items():
        if follower is None:
            raise UnknownFollower(f"unknown follower of id [{reference}]")
    return [follower for follower in found.values() if follower]


def _steps(visit: Visit, headers: Mapping[str, Any], node_ids: Sequence[str], index: int = 0) -> Sequence[SentMessage]:
    """Return who the copies are; nobody where the action lets them begin a run of their own."""
    is_same_run = headers.get(h.CORRELATION_ID) == visit.headers.get(h.CORRELATION_ID)
    return sent_steps(visit.headers.text(h.STEP), node_ids, index) if is_same_run else ()


def _stepped(headers: h.Headers, steps: Sequence[SentMessage], at: int) -> h.Headers:
    """Return the headers of the copy, which say who it is where the run is counted here."""
    if steps:
        headers[h.STEP] = steps[at].step
    else:
        headers.pop(h.STEP, None)
    return headers


def _child(visit: Visit, headers: Mapping[str, Any], follower: Follower, index: int) -> h.Headers:
    parent = visit.headers.text(h.PROCESS_ID)
    own_id = child_id(parent, visit.node.id, follower.id, place_of(visit), index)
    return {**headers, h.PARENT_ID: parent, h.PROCESS_ID: own_id}
