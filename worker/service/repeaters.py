"""The repeater that people set for a node in the editor, for an action that is called over HTTP.

It stands in the node's document. Whoever calls an action does not read it: the answer has to name it.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from applications.errors import ApplicationError
from connectors import Repeat
from worker.modes.repeaters import repeater_of
from worker.protocol.topology import Repeater

if TYPE_CHECKING:
    from worker.documents.client import DocumentClient

log = structlog.get_logger()

ANSWER_SECONDS: Final = 1.0
"""For the document; then the action's own numbers hold."""


class NodeRepeaters:
    """Knows what people set for nodes."""

    def __init__(self, documents: "DocumentClient") -> None:
        self._documents = documents

    async def applied(self, repeat: Repeat, node_id: str) -> Repeat:
        """Return the repeat with the numbers of its node; what an action decides about a message itself stays."""
        own = await self._of(node_id) if repeat.message is None else None
        return replace(repeat, after=timedelta(seconds=own.interval_seconds), max_hops=own.max_hops) if own else repeat

    async def _of(self, node_id: str) -> Repeater | None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                document = await self._documents.node(node_id.lower())
            configs = document.get("systemConfigs") if document else None
            return repeater_of(configs) if isinstance(configs, str) else None
        except (ApplicationError, TimeoutError, msgspec.DecodeError) as error:
            cause = str(error) or f"no answer within {ANSWER_SECONDS:g} s"
            log.warning("node_repeater_unknown", nodeId=node_id, cause=cause, consequence="the action's numbers hold")
            return None
