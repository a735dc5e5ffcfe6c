"""Names of the message headers and what is removed from them when.

The rules are those of the platform's own worker; `tests/conformance` replays its recorded traffic.
"""

from collections.abc import Mapping
from typing import Any, Final, NoReturn

Headers = dict[str, Any]
"""Headers in the making."""

CORRELATION_ID: Final = "correlation-id"
PREVIOUS_CORRELATION_ID: Final = "previous-correlation-id"
"""The run that started this one."""
SEQUENCE_ID: Final = "sequence-id"
PROCESS_ID: Final = "process-id"
PARENT_ID: Final = "parent-id"
PREVIOUS_NODE_ID: Final = "previous-node-id"
NODE_ID: Final = "node-id"
NODE_NAME: Final = "node-name"
TOPOLOGY_ID: Final = "topology-id"
TOPOLOGY_NAME: Final = "topology-name"
WORKER_FOLLOWERS: Final = "worker-followers"
SYSTEM_EVENT: Final = "system-event"
USER: Final = "user"
SDK: Final = "sdk"
"""The registered name of the service whose installs are used."""
SOURCE: Final = "source"
CONTENT_TYPE: Final = "content-type"
PROCESS_STARTED: Final = "process-started"
APPLICATION: Final = "application"
CURSOR: Final = "cursor"
CURSOR_TRAIL: Final = "cursor-trail"
AUDIT_CHECKPOINT: Final = "audit-checkpoint"
AUDIT_ENTITY: Final = "audit-entity"
AUDIT_ENTITY_IDS: Final = "audit-entity-ids"
AUDIT_ENTITY_FIELDS: Final = "audit-entity-fields"
STEP: Final = "worker-step"
"""Standalone: who this message is, in the count of its run (`worker/protocol/identity.py`)."""
RESULT_CODE: Final = "result-code"
RESULT_MESSAGE: Final = "result-message"
RESULT_DETAIL: Final = "result-detail"
FORCE_TARGET_QUEUE: Final = "force-target-queue"
USER_TASK_STATE: Final = "user-task-state"
REPEAT_INTERVAL: Final = "repeat-interval"
REPEAT_MAX_HOPS: Final = "repeat-max-hops"
REPEAT_HOPS: Final = "repeat-hops"
REPEAT_QUEUE: Final = "repeat-queue"
LIMITER_KEY: Final = "limiter-key"
LIMITER_KEY_BASE: Final = "limiter-key-base"
LIMIT_RETURN_EXCHANGE: Final = "limit-return-exchange"
LIMIT_RETURN_ROUTING_KEY: Final = "limit-return-routing-key"
LIMIT_PASSED: Final = "limit-message-from-limiter"
LIMIT_PLACE: Final = "limit-place"
"""Our own: the place in the line of a message that is parked for a limit."""

RESULT: Final = frozenset({RESULT_CODE, RESULT_MESSAGE, RESULT_DETAIL})
VERDICT: Final = RESULT | {FORCE_TARGET_QUEUE, USER_TASK_STATE}
"""Removed before an action is called."""

PARKING: Final = frozenset(
    {
        REPEAT_HOPS,
        REPEAT_INTERVAL,
        REPEAT_QUEUE,
        REPEAT_MAX_HOPS,
        LIMIT_RETURN_EXCHANGE,
        LIMIT_RETURN_ROUTING_KEY,
        LIMIT_PASSED,
        LIMIT_PLACE,
    }
)
TRANSIENT: Final = VERDICT | PARKING
"""Removed before a message leaves for a follower or the trash."""

NOT_INHERITED: Final = frozenset({CURSOR, CURSOR_TRAIL, AUDIT_CHECKPOINT})
"""What the items of a batch do not take over from the message they came from."""

COUNTED: Final = (
    CORRELATION_ID,
    PROCESS_ID,
    PARENT_ID,
    TOPOLOGY_ID,
    USER,
    SYSTEM_EVENT,
    SOURCE,
    PROCESS_STARTED,
    AUDIT_ENTITY_IDS,
    "applications",
    NODE_ID,
    NODE_NAME,
)
"""What the counter reads, and which node reports."""

SYSTEM_TOPOLOGIES: Final = frozenset({"system-events", "system-email-notifications", "system-cloud-notifications"})


def _refuse(*_: object, **__: object) -> NoReturn:
    raise TypeError("received headers do not change: `with_headers` makes a message with others, `having` a visit")


class Received(dict[str, Any]):
    """Headers as a node has received them: they can be read, and copied, but not changed, nor can what is in them.

    A `dict` all the same, because nothing else is read and encoded as fast. Make it by `received`.
    """

    __slots__ = ()

    def text(self, name: str) -> str:
        """Return a header in its text form, in which values are compared; empty when it is missing."""
        value = self.get(name)
        return value if type(value) is str else text(value)

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        """Copy and pickle as a plain `dict`, which can be changed."""
        return dict, (dict(self),)

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse


class ReceivedList(list[Any]):
    """A list in received headers."""

    __slots__ = ()

    def __reduce__(self) -> tuple[type[list[Any]], tuple[list[Any]]]:
        """Copy and pickle as a plain `list`, which can be changed."""
        return list, (list(self),)

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse


_UNCHANGING = frozenset({str, int, float, bool, type(None), Received, ReceivedList})


def received(headers: Mapping[str, Any]) -> Received:
    """Return the headers as they cannot be changed, at no level: most are text, and are looked at once."""
    if _UNCHANGING.issuperset(map(type, headers.values())):
        return Received(headers)
    return Received({name: _unchanging(value) for name, value in headers.items()})


def _unchanging(value: Any) -> Any:
    if isinstance(value, Mapping):
        return Received({name: _unchanging(inner) for name, inner in value.items()})
    return ReceivedList(map(_unchanging, value)) if isinstance(value, list | tuple) else value


def without(headers: Mapping[str, Any], names: frozenset[str]) -> Headers:
    """Return the headers but these."""
    if names.isdisjoint(headers):  # as for most messages, which a copy costs less
        return dict(headers)
    return {name: value for name, value in headers.items() if name not in names}


def text(value: object) -> str:
    """Return the text form of a header value, in which values are compared: 1001 equals "1001".

    A list has commas between its values, as in the platform's SDK.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join("" if part is None else str(part) for part in value)
    return str(value)
