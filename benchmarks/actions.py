"""Actions of the measurements."""

import json
import os
import time
from operator import itemgetter
from typing import Any

from connectors import Batch, Connector, CustomNode, Message, Page


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
        await self.service.get(os.environ["SLOW_URL"])
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
        await self.service.get(f"{os.environ['BENCH_SERVICE']}/{message.headers['user']}/{message.data}")
        return message


if offset := os.environ.get("BENCH_CLOCK_OFFSET"):
    _now, _now_ns, _seconds = time.time, time.time_ns, int(offset)
    time.time = lambda: _now() + _seconds
    time.time_ns = lambda: _now_ns() + _seconds * 10**9
