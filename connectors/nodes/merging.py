"""`merge`: make one message of those that belong together."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from connectors.action import CustomNode
from connectors.clock import now_ms
from connectors.configured import Configuration, Configured
from connectors.message import Message
from connectors.nodes.expression import Languages
from connectors.nodes.splitting import SPLIT_COUNT, SPLIT_HEADERS, SPLIT_ID, SPLIT_INDEX, SPLIT_OUTER
from connectors.outcome import Outcome, Page, Repeat, Stop, Trash
from connectors.storage import Joined, Part, Standing, Terms

MERGE_KEY = "merge-key"
MERGE_COUNT = "merge-count"
MERGE_WANTED = "merge-wanted"
"""What a merged message was made of: the key, how many parts have come and how many should have."""

MILLISECOND = timedelta(milliseconds=1)
KEPT_AFTER_THE_TIME = timedelta(days=30)
FORGOTTEN = timedelta(days=1)
LONGEST = 30 * 86_400
MOST_CHARACTERS = 32 * 1024 * 1024
MANY_HOPS = 1_000_000


class MergeConfiguration(Configuration):
    """Which messages belong together, how many there are, and what happens when not all of them come."""

    key: Languages | None = None
    count: Annotated[int, Field(ge=1)] | Languages | None = None
    timeout: float = Field(3600, gt=0, le=LONGEST)
    """Seconds from the first part."""
    on_timeout: Literal["trash", "forward"] = "trash"


class Merge(Configured[MergeConfiguration], CustomNode[Any, Any]):
    """Waits until all messages of a key are there and makes one of them: its body is the list of their bodies.

    Without configuration it puts together again what `split` took apart. Else: `{"key": {"jmespath": "order"},
    "count": 3, "timeout": 600, "on_timeout": "forward"}`. Parts are counted by their process id, so a message that is
    delivered twice counts once. The parts wait in the data storage, which several workers have to share.
    """

    name = "merge"
    configuration_type = MergeConfiguration

    async def process(self, message: Message[Any]) -> Outcome:
        """Return the merged message for the part that completes it.

        For the others raises `Stop`, for the first one `Repeat`, as it looks again, and for late ones `Trash`.
        """
        _ = message.data  # what is no JSON cannot be part of a list
        key, wanted = await self._key(message), await self._count(message)
        part = Part(str(message.headers.get("process-id", "")), _position(message), message.body)
        joined = await self.storage.join(_header(message, "node-id"), key, part, self._terms(wanted))
        match joined.standing:
            case Standing.COMPLETE:
                return _merged(message, key, joined, wanted)
            case Standing.TIMED_OUT if self.configuration.on_timeout == "forward":
                return _merged(message, key, joined, wanted)
            case Standing.TIMED_OUT:
                raise Trash(
                    f"{joined.count} of {wanted} parts of {key!r} came within {self.configuration.timeout:g} s; "
                    "approve this message when the others have come"
                )
            case Standing.LATE:
                raise Trash(f"came after the others of {key!r} had gone on")
            case Standing.FIRST:
                after = self._look_again_after(joined.deadline)
                raise Repeat(after, f"{joined.count} of {wanted} parts of {key!r}", max_hops=MANY_HOPS)
        raise Stop(f"part of {key!r}")

    def _terms(self, wanted: int) -> Terms:
        now, timeout = now_ms(), timedelta(seconds=self.configuration.timeout)
        return Terms(
            count=wanted,
            deadline=now + timeout // MILLISECOND,
            closes=self.configuration.on_timeout == "forward",
            expires=now + (timeout + KEPT_AFTER_THE_TIME) // MILLISECOND,
            forgotten=now + FORGOTTEN // MILLISECOND,
        )

    def _look_again_after(self, deadline: int) -> timedelta:
        """Return when the first part looks again: after as long as it has waited, for until then its run is open."""
        left = (deadline - now_ms()) * MILLISECOND
        waited = timedelta(seconds=self.configuration.timeout) - left
        return max(min(left, waited), timedelta(seconds=1))

    async def _key(self, message: Message[Any]) -> str:
        chosen = self.configuration.key
        if chosen is None:
            key = _header(message, SPLIT_ID)
            if not key:
                raise Trash(f"there is no header {SPLIT_ID}: set `key`, or put `split` before this node")
            return key
        value = await chosen.expression.of(message)
        if value is None or value == "" or isinstance(value, list | dict):
            raise chosen.expression.refuse(value, "a key (text or number)")
        return json.dumps(value)

    async def _count(self, message: Message[Any]) -> int:
        chosen = self.configuration.count
        if isinstance(chosen, int):
            return chosen
        value = _header(message, SPLIT_COUNT) if chosen is None else await chosen.expression.of(message)
        try:
            count = int(value)
        except (TypeError, ValueError):
            raise Trash(f"how many parts are there? {value!r} is not a number; set `count`") from None
        return count


def _merged(message: Message[Any], key: str, joined: Joined, wanted: int) -> Page:
    """Return the merged message, as the only item: its id is derived from the part that completed it."""
    if sum(len(part.body) for part in joined.parts) > MOST_CHARACTERS:
        raise Trash(f"the {joined.count} parts of {key!r} are longer than {MOST_CHARACTERS} characters together")
    body = f"[{','.join(part.body for part in joined.parts)}]"
    counts = {MERGE_KEY: key, MERGE_COUNT: str(joined.count), MERGE_WANTED: str(wanted)}
    carrier: Message[Any] = Message(_before_the_split(message), message.body)
    return Page([carrier.with_headers(counts).with_body(body)], message=carrier)


def _before_the_split(message: Message[Any]) -> Mapping[str, Any]:
    """Return the headers without those of the split that ends here; those of an outer split are back."""
    outer = message.headers.get(SPLIT_OUTER)
    own = {name: value for name, value in message.headers.items() if name not in SPLIT_HEADERS}
    return {**own, **json.loads(outer)} if outer else own


def _position(message: Message[Any]) -> int:
    text = _header(message, SPLIT_INDEX)
    return int(text) if text.isdecimal() else 0


def _header(message: Message[Any], name: str) -> str:
    value = message.headers.get(name)
    return "" if value is None else str(value)
