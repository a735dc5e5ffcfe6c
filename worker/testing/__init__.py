"""Test actions and topologies without a broker: through the same code, with a clock that jumps.

`docs/testing.md` shows how.
"""

from applications.http.errors import ConnectionLost, NotConnected, TimedOut
from applications.http.request import Request
from applications.http.transport import Reply, Transport
from worker.testing.action import ActionResult, run_action
from worker.testing.byte_service import ByteService, RawRequest
from worker.testing.cassette import Cassette
from worker.testing.clock import FakeClock
from worker.testing.contract import ActionContract, BatchContract, ConnectorContract
from worker.testing.installs import installed
from worker.testing.memory import RunCounts
from worker.testing.node_fixtures import run_node_fixtures
from worker.testing.topology import ActionCall, EndlessRun, InMemoryTopology, load_trash
from worker.testing.transports import Exchange, UnexpectedRequest, answering, network

__all__ = [
    "ActionCall",
    "ActionContract",
    "ActionResult",
    "BatchContract",
    "ByteService",
    "Cassette",
    "ConnectionLost",
    "ConnectorContract",
    "EndlessRun",
    "Exchange",
    "FakeClock",
    "InMemoryTopology",
    "NotConnected",
    "RawRequest",
    "Reply",
    "Request",
    "RunCounts",
    "TimedOut",
    "Transport",
    "UnexpectedRequest",
    "answering",
    "installed",
    "load_trash",
    "network",
    "run_action",
    "run_node_fixtures",
]
