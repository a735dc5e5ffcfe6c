"""The last net: an error that nothing else has caught costs one message, not the process.

The message's bytes go into the trash as they came. Nothing here reads them, so nothing can fail on what they hold.
"""

from collections.abc import Awaitable, Callable

import structlog

from worker.actions.errors import describe
from worker.actions.outcomes import is_ours
from worker.errors import HandBack
from worker.protocol.message import Visit, current_visit, encode
from worker.protocol.topology import Node
from worker.protocol.transport import Delivery
from worker.trash.keeping import Keeper
from worker.trash.making import unreadable_entry

log = structlog.get_logger()

Failed = Callable[[Visit], Awaitable[None]]


class Net:
    """Catches what is left. One for all nodes of the process."""

    def __init__(self, trash: Keeper, failed: Failed) -> None:
        """`failed` tells the run of a message that it has failed."""
        self._trash = trash
        self._failed = failed

    async def catch(self, error: BaseException, node: Node, delivery: Delivery, visit: Visit | None) -> bool:
        """Keep the bytes of the delivery, and return True when the trash has them; False for what is no error.

        `visit` is the message, if it could be read. Raises `HandBack` when the worker stops before.
        """
        if isinstance(error, HandBack) or is_ours(error):
            return False
        current_visit.set(None)  # log lines would read its headers
        reason = _reason(error, delivery)
        _tell(error, node, reason)
        delivery.is_settling = True
        if visit is not None and not delivery.raw:
            delivery.raw = _bytes_of(visit)
        await self._trash.keep_bytes(unreadable_entry(node, delivery, reason))
        if visit is not None:
            await self._end(visit)
        return True

    async def _end(self, visit: Visit) -> None:
        try:
            await self._failed(visit)
        except HandBack:
            raise
        except BaseException as error:
            if is_ours(error):
                raise
            log.warning("failure_not_counted", nodeId=visit.node.id, consequence="its run does not end")


def _reason(error: BaseException, delivery: Delivery) -> str:
    try:
        text = describe(error)
    except BaseException as other:
        text = f"{type(error).__name__}, which cannot be described: {type(other).__name__}"
    done = "; what it sends on may have been sent" if delivery.is_settling else ""
    return f"a bug of the worker: {text}{done}"


def _tell(error: BaseException, node: Node, reason: str) -> None:
    facts = {"nodeId": node.id, "nodeName": node.name, "reason": reason, "consequence": "its bytes go to the trash"}
    try:
        log.error("message_failed", exc_info=error, **facts)
    except BaseException:
        log.error("message_failed", **facts)  # noqa: TRY400 - without it


def _bytes_of(visit: Visit) -> bytes:
    """Return a message that came by a call of the platform, as a queue would have brought it."""
    try:
        return encode(visit.headers, visit.body)
    except Exception:
        return repr((dict(visit.headers), visit.body)).encode(errors="backslashreplace")
