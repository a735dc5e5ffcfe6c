"""Actions of the measurements."""

import json
import os
import time
from datetime import timedelta
from operator import itemgetter
from typing import Any

from applications import Application, Limit
from connectors import Batch, Connector, CustomNode, Message, Page, Repeat, Trash


class Relay(CustomNode[Any, Any]):
    """Passes the message on as it is."""

    name = "relay"

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Return the message."""
        return message


class Compute(CustomNode[Any, Any]):
    """Works for about 5 ms, as a large mapping does."""

    name = "compute"

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Return the message after the work."""
        rows = [{"number": number, "name": f"row {number}", "price": number / 7} for number in range(2_000)]
        json.loads(json.dumps(sorted(rows, key=itemgetter("price"), reverse=True)))
        return message


class Slow(Connector[Any, Any]):
    """Asks a service that takes its time."""

    name = "slow"

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Return the message after the answer."""
        await self.get(os.environ["SLOW_URL"])
        return message


class Split(Batch[Any, Any]):
    """Makes many messages of one."""

    name = "split"

    async def page(self, message: Message[Any], cursor: str | None) -> Page:
        """Return as many items as the body says."""
        return Page([{"number": number} for number in range(int(message.data["items"]))])


class Limited(Connector[Any, Any]):
    """Calls the service that notes its calls."""

    name = "limited"

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Call it for the tenant and number of the message."""
        await self.get(f"{os.environ['BENCH_SERVICE']}/{message.headers['user']}/{message.data}")
        return message


class Free(Connector[Any, Any]):
    """Calls nobody."""

    name = "free"

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Return the message."""
        return message


class Wide(Application):
    """A service whose limits nobody reaches."""

    key = "vast"
    limit = Limit(seconds=1, amount=10**6)
    group_limit = Limit(seconds=1, amount=10**7)


class Vast(Free):
    """The same, for that service."""

    name = "vast"
    application = Wide


if offset := os.environ.get("BENCH_CLOCK_OFFSET"):
    _now, _now_ns, _seconds = time.time, time.time_ns, int(offset)
    time.time = lambda: _now() + _seconds
    time.time_ns = lambda: _now_ns() + _seconds * 10**9


class Hundred(Batch[Any, Any]):
    """A hundred items, on four pages."""

    name = "hundred"

    async def page(self, message: Message[Any], cursor: str | None) -> Page:
        """Return 25 items, each with the number of the process."""
        first = int(cursor or 0)
        items = [message.with_data(message.data) for _ in range(25)]
        return Page(items, next_cursor=str(first + 25) if first < 75 else None)


class Leaf(CustomNode[Any, Any]):
    """The end of a process. Some messages are repeated once, and a few fail."""

    name = "leaf"

    async def process(self, message: Message[Any]) -> Message[Any]:
        """Return the message."""
        number = message.data["number"]
        if number % 20 == 1 and "repeat-hops" not in message.headers:
            raise Repeat(timedelta(seconds=1), "once")
        if number % 100 == 3:
            raise Trash("every hundredth fails")
        return message
