"""The repeater settings that people make in the platform's editor.

They stand in the documents of the nodes, not in the topology file, and hold for nodes that run already. So the
documents are read again and again; while that fails, the latest ones hold.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

import msgspec
import structlog

from worker.errors import StoreError
from worker.prometheus import Family
from worker.protocol.topology import Node, Repeater

log = structlog.get_logger()

READ_SECONDS = 10.0
"""Between two looks at the documents."""
ANSWER_SECONDS: Final = 10
FIRST_SECONDS: Final = 2
"""How long a worker that starts waits for them."""


class RepeaterEntry(msgspec.Struct):
    """What the editor writes of the repeater."""

    enabled: bool = False
    interval: int = 0
    """Seconds."""
    hops: int = 0


class SystemConfigs(msgspec.Struct):
    """What the editor writes of a node. The rest of it stands in the topology file as well."""

    repeater: RepeaterEntry | None = None


_read_configs = msgspec.json.Decoder(SystemConfigs, strict=False).decode  # numbers may be texts


def repeater_of(text: str) -> Repeater | None:
    """Return the repeater in what the editor writes of a node, if it is switched on and can be kept to.

    Raises `msgspec.DecodeError` for what is no settings of a node.
    """
    entry = (_read_configs(text) if text else SystemConfigs()).repeater
    is_usable = entry is not None and entry.enabled and entry.interval >= 0 and entry.hops >= 1
    return Repeater(entry.interval, entry.hops) if entry is not None and is_usable else None


class NodeDocuments(Protocol):
    """Where the documents of nodes are."""

    async def configs(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Return the settings of these nodes, JSON texts by id, as far as there are any. Raises `StoreError`."""

    async def close(self) -> None:
        """Close the connections."""


class EditorRepeaters:
    """Keeps up with what people set for these nodes, while `run` runs."""

    def __init__(self, documents: NodeDocuments, nodes: Sequence[Node]) -> None:
        self.by_node: dict[str, Repeater] = {}
        """Those that people have switched on, by node id."""
        self._documents = documents
        self._nodes = nodes
        self._texts: Mapping[str, str] = {}
        self._is_away = False

    async def begin(self) -> None:
        """Read for the first time; give up after two seconds."""
        await self._read(FIRST_SECONDS)

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            await self._read(ANSWER_SECONDS)
            await asyncio.sleep(READ_SECONDS)

    async def finish(self) -> None:
        """Do nothing."""

    def families(self) -> Iterator[Family]:
        """Return nothing."""
        yield from ()

    async def close(self) -> None:
        """Close the connections."""
        await self._documents.close()

    async def _read(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                texts = await self._documents.configs([node.id for node in self._nodes])
        except (StoreError, OSError) as error:
            if not self._is_away:
                cause = str(error) or f"no answer within {seconds} s"
                log.warning("editor_settings_away", cause=cause, consequence="the latest ones hold")
            self._is_away = True
            return
        self._is_away = False
        for node in self._nodes:
            if (text := texts.get(node.id, "")) != self._texts.get(node.id, ""):
                self._take(node, text)
        self._texts = texts

    def _take(self, node: Node, text: str) -> None:
        before = self.by_node.pop(node.id, None)
        try:
            now = repeater_of(text)
        except msgspec.DecodeError as error:
            log.warning("editor_settings_unreadable", nodeId=node.id, nodeName=node.name, problem=str(error))
            return
        if now is not None:
            self.by_node[node.id] = now
        if now != before:
            shown = {"interval": now.interval_seconds, "hops": now.max_hops} if now else None
            log.info("editor_settings_changed", nodeId=node.id, nodeName=node.name, repeater=shown)
