"""The way of a message through the files of the code: few of them, and little back and forth."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any

import aiormq
import pytest
from aiohttp import web, web_protocol
from conftest import MakeTopology, RunWorker
from support.queues import Queues, process_message
from support.services import serving
from support.topologies import connector, sink
from support.waiting import eventually

import worker
from applications import Application
from connectors import Connector, Message
from worker.runs import recorder as recording

ROOT = Path(worker.__file__).parent.parent
AUTHORS = ("connectors", "applications")
"""What belongs to actions counts as one place: an action's own way is its author's."""

MOST_FILES = 20
MOST_CHANGES = 54


class Shop(Application):
    """A service of which nothing has to be known."""

    key = "shop"


class Ask(Connector[Any, Any]):
    """Calls the service once."""

    name = "ask"
    application = Shop

    async def process(self, message: Message[Any]) -> Message[Any]:
        reply = await self.get(message.data["url"])
        return message.with_data(reply.json())


def is_beside(task: asyncio.Task[Any] | None) -> bool:
    """Whether aiormq has started this task to read or write the frames of a connection; or whether it is the service's.

    Both start it with code of their own.
    """
    code = getattr(task.get_coro(), "cr_code", None) if task is not None else None
    return code is not None and (
        Path(code.co_filename).parent == Path(aiormq.__file__).parent or code.co_filename == web_protocol.__file__
    )


class Recorder:
    """Notes the file of each function of ours that is called, in order.

    What reads and writes the frames of a connection does so for all messages on it, and the service that is called is
    in this process as well: they are no part of the way of this message, and stand in `beside`.
    """

    def __init__(self) -> None:
        self.places: list[str] = []
        self.beside: set[str] = set()
        self.functions: list[str] = []
        self._seen: list[FrameType] = []
        """Those of coroutines are called again whenever they go on; held, so that no other gets the same address."""

    @contextmanager
    def listening(self) -> Iterator[None]:
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event != "call" or not path.is_relative_to(ROOT) or any(frame is other for other in self._seen):
            return
        self._seen.append(frame)
        self.functions.append(frame.f_code.co_name)
        package, *rest = path.relative_to(ROOT).parts
        if package == "worker" and is_beside(asyncio.current_task()):
            self.beside.add("/".join(rest))
        elif package == "worker":
            self.places.append("/".join(rest))
        elif package in AUTHORS:
            self.places.append("connectors")

    @property
    def way(self) -> list[str]:
        """The files one after another, from the delivery to its acknowledgement."""
        at = self.places.index("broker/consumer.py")
        return [place for place, _ in groupby(self.places[at:])]


async def test_a_message_passes_few_files(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "REFRESH_SECONDS", 3600)  # what is done beside the message is not its way
    monkeypatch.setattr(recording, "MOMENT_SECONDS", 3600)
    topology = make_topology(connector("ask", "ask", "sink"), sink())

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"id": 1})

    async with serving(answer) as url:
        running = await run_worker(topology, Ask(), silence_seconds=60)
        for number in range(3):  # opens connections and fills caches
            await queues.publish(topology.exchange("ask"), process_message({"url": url, "number": number}))
        await queues.read(topology.queue("sink"), 3)
        await eventually(lambda: not running.worker.in_work, what="acknowledgements")
        recorder = Recorder()
        with recorder.listening():
            await queues.publish(topology.exchange("ask"), process_message({"url": url}))
            await eventually(lambda: "acknowledge" in recorder.functions, what="the acknowledgement")
    way = recorder.way
    files = set(way)
    print(f"{len(files)} files, {len(way) - 1} changes of file: {', '.join(way)}; beside: {recorder.beside}")
    assert recorder.beside == {"broker/reading.py", "actions/local.py"}, "what reads frames, and the maker of tasks"
    assert {"pipeline/handler.py", "connectors", "broker/publisher.py", "runs/recorder.py"} <= files
    assert len(files) <= MOST_FILES
    assert len(way) - 1 <= MOST_CHANGES
