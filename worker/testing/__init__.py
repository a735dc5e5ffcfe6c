"""Test actions and topologies without a broker: through the same code, with a clock that jumps.

`docs/testing.md` shows how.
"""

from applications.http.wire import network
from worker.testing.action import ActionResult, run_action
from worker.testing.cassette import Cassette
from worker.testing.clock import FakeClock
from worker.testing.contract import ActionContract, BatchContract, ConnectorContract, answering
from worker.testing.installs import installed
from worker.testing.memory import RunCounts
from worker.testing.topology import ActionCall, EndlessRun, InMemoryTopology, load_trash
from worker.testing.transports import Exchange, UnexpectedRequest

__all__ = [
    "ActionCall",
    "ActionContract",
    "ActionResult",
    "BatchContract",
    "Cassette",
    "ConnectorContract",
    "EndlessRun",
    "Exchange",
    "FakeClock",
    "InMemoryTopology",
    "RunCounts",
    "UnexpectedRequest",
    "answering",
    "installed",
    "load_trash",
    "network",
    "run_action",
]
