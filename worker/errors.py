"""Errors of the worker, by what happens next.

WorkerError
├── StartupError             the process ends with exit code 2; the text names the cure
│   ├── SettingsError
│   ├── TopologyError
│   ├── ActionsError
│   └── SkeletonError        `orchesty-worker new` cannot write what it is asked for
├── BrokerError              the worker reconnects
│   ├── ChannelLost
│   └── PublishRefused       the message waits in the broker
│       ├── QueueFull        the same, and it is no fault
│       └── Unpublishable    to the trash, with the reason
├── StoreError               a database is away; the message waits in the broker
├── LimitsAway               the store of limits is away; the message waits in the broker
│   └── LimitRefused         the same for a limit that these processes cannot keep; they can keep others
├── HandBack                 the broker delivers the message again, to another worker
│   └── HeldTooLong          to this worker, which goes on holding the line
├── UnreadableMessage        to the trash, with the raw bytes
└── ActionUnreachable        wait and try again, within WORKER_MAX_FAILURES

EndsTest is none of them, nor an `Exception`: nothing catches it.
"""

from collections.abc import Mapping
from typing import Any


class WorkerError(Exception):
    """Root of all errors of the worker."""


class StartupError(WorkerError):
    """The worker cannot start; the text says what to change."""


class SettingsError(StartupError):
    """A setting is missing or wrong."""


class TopologyError(StartupError):
    """The topology file is missing or wrong."""


class ActionsError(StartupError):
    """An action is missing, defined twice, or its module cannot be imported."""


class ConfigurationError(ActionsError):
    """A node's configuration does not fit its action."""


class SkeletonError(StartupError):
    """A skeleton cannot be written; no file was changed."""


class BrokerError(WorkerError):
    """Something went wrong between the worker and the broker."""


class ChannelLost(BrokerError):
    """The channel closed before the broker confirmed."""


class PublishRefused(BrokerError):
    """The broker did not take a message: its exchange is missing or closed to us, no queue is bound, or it said no."""


class QueueFull(PublishRefused):
    """The broker did not confirm: a queue takes no more for now, or its leader is away."""


class Unpublishable(PublishRefused):
    """The broker takes the message at no time, because of itself: it is too large."""


class StoreError(WorkerError):
    """A database of the worker is away, or refuses: that of the trash, process state, installs, or any other."""


class LimitsAway(WorkerError):
    """Redis, which keeps the limits, is away or refuses."""


class LimitRefused(LimitsAway):
    """These processes cannot keep this limit; they can keep others."""


class HandBack(WorkerError):
    """The worker stops before it has done anything with the message."""


class HeldTooLong(HandBack):
    """The message has waited in place as long as the broker leaves it unacknowledged."""


class UnreadableMessage(WorkerError):
    """The delivery is not a process message."""


class ActionUnreachable(WorkerError):
    """The action did not answer: no connection, a status above 500, or a timeout."""

    def __init__(self, cause: str, service: str = "") -> None:
        """`service`: what the platform says of a service that does not answer; empty for an action of this process."""
        super().__init__(cause)
        self.service = service


class EndsTest(BaseException):
    """Only `worker.testing` raises it: it fails the test, and becomes no outcome of the action."""


LONGEST_TEXT = 16_000
"""Characters of a reason: it is a header too, and somebody has to read it."""


def text_of(error: BaseException) -> str:
    """Return what an error says, also where saying it fails."""
    try:
        return readable(str(error))
    except BaseException as other:
        return f"no text: its __str__ raised {type(other).__name__}"


def readable(text: str) -> str:
    """Return a text of bounded length that every store and log takes: lone surrogates are escaped."""
    whole = text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}... ({len(text)} characters)"
    return whole.encode(errors="backslashreplace").decode()


def told(problem: Mapping[str, Any]) -> str:
    """Return what pydantic found wrong with a document, and where: `at $.nodes[0].id: Field required`."""
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"])
    is_object = problem["type"] in {"model_type", "dict_type"}
    return f"at ${place}: {'Input should be an object' if is_object else problem['msg']}"
