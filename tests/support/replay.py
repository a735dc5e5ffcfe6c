"""Replays a recording: the worker in this process, with ears at everything that it says to the outside.

What is heard is written down in the form of the recording, so that a test can compare the two.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import RawTestServer
from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.exceptions import ChannelLockedResource
from pamqp.commands import Basic

from deploy.ports import free_ports
from support.queues import Queues
from support.waiting import eventually
from worker import Settings, Worker, load_settings
from worker.protocol.message import now_ms
from worker.trash.opening import open_trash

Traffic = dict[str, Any]
"""A recording, or what was heard in the same form."""

RECORDED_IDS = "5f00000000000000000000"
"""How the ids of all recorded topologies and nodes begin."""

RECORDED_SERVICE = "http://127.0.0.1:8692"
API_KEY = "peer-api-key"
KEY_HEADER = "Orchesty-Api-Key"
STATUS_CALL = "/topologies/system-events/nodes/start/run-by-name"
PIPES = {"pipes.multi-counter": "counter", "pipes.repeater": "published", "pipes.limiter": "published"}
HEARD = ("worker_request", "published", "counter", "events", "starting_point_requests")
NOW = "the time of publishing"
NOTHING_RECORDED: Traffic = {"status": 500, "headers": {}, "body_raw": ""}
QUIET_SECONDS = 0.3
"""When all is there and nothing more has come for so long, nothing will."""
LONGEST_SECONDS = 15
OUR_EVENTS = "tests.conformance"
"""Of one connection only: whoever has it may use the platform's queues, whose names are the same for all."""
CLAIM_SECONDS = 60


class Replay:
    """One recording, with ids of its own so that no two replays meet on the broker."""

    def __init__(self, path: Path, queues: Queues) -> None:
        self._ids = secrets.token_hex(len(RECORDED_IDS) // 2)
        self.recording: Traffic = json.loads(path.read_text(encoding="utf-8").replace(RECORDED_IDS, self._ids))
        self.heard: Traffic = {kind: [] for kind in (*HEARD, "mongo", "extra")}
        self.left_in_queue: int | None = None
        """Messages in the node's queue when the worker has gone: what it did not acknowledge."""
        self._queues = queues
        self._node, *self._others = (node["id"] for node in self.recording["topology"]["nodes"])
        self._script = iter(self.recording["worker_response"])
        self._arrived = asyncio.Event()
        self._started_ms = now_ms()

    async def run(self, broker_url: str, directory: Path, expected: Traffic) -> None:
        """Give the input to a worker; return when as much as expected was heard, and then nothing more."""
        async with RawTestServer(self._serve) as service, self._listening():
            settings = self._settings(broker_url, directory, f"{service.host}:{service.port}")
            async with working(settings) as worker:
                await self._send()
                await self._call(settings.http_port)
                await self._wait(sum(len(expected[kind]) for kind in HEARD))
                await eventually(lambda: self._has_kept(worker, len(expected["mongo"])))
            self.left_in_queue = await self._queues.length(objects_of(self._node)[1])
        store = open_trash(settings.trash_address)
        self.heard["mongo"] = [{"document": entry.document()} for entry in await store.waiting()]
        await store.close()

    def _settings(self, broker_url: str, directory: Path, service: str) -> Settings:
        topology = json.dumps(self.recording["topology"]).replace(RECORDED_SERVICE, f"http://{service}")
        path = directory / "topology.json"
        path.write_text(topology, encoding="utf-8")
        return load_settings(
            topology=path,
            amqp_url=broker_url,
            mode="platform",
            nodes=self._node,
            http_host="127.0.0.1",
            http_port=free_ports(1)[0],
            trash_url=f"sqlite:///{directory / 'trash.sqlite'}",
            starting_point_dsn=service,
            orchesty_api_key=API_KEY,
        )

    async def _serve(self, request: web.BaseRequest) -> web.Response:
        """Be the recorded service with the action, and the platform's starting point."""
        seen = {"method": request.method, "path": request.path, "body": parsed(await request.text())}
        if request.path == STATUS_CALL:
            self._note("starting_point_requests", seen | {"headers": [[KEY_HEADER, request.headers.get(KEY_HEADER)]]})
            return web.json_response({})
        self._note("worker_request", seen)
        answer = next(self._script, NOTHING_RECORDED)
        return web.Response(status=answer["status"], headers=answer["headers"], text=answer["body_raw"])

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        """Listen at the platform's queues, the followers' and the events; tidy up at the end."""
        channel = await eventually(self._claim, seconds=CLAIM_SECONDS, what="our turn at the platform's queues")
        for name, kind in PIPES.items():
            await channel.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})
            await channel.queue_purge(name)  # a quorum queue gives a consumer 2,000 messages unacknowledged, no more
            await channel.basic_consume(name, self._ear(kind))
        for node_id in self._others:
            await self._queues.declare(*objects_of(node_id))
            await channel.basic_consume(objects_of(node_id)[1], self._ear("published"))
        await channel.exchange_declare("orchesty.events", exchange_type="topic", durable=True)
        await channel.queue_bind(OUR_EVENTS, "orchesty.events", routing_key="#")
        await channel.basic_consume(OUR_EVENTS, self._ear("events"))
        try:
            yield
        finally:
            for node_id in (self._node, *self._others):
                await self._queues.delete(*objects_of(node_id))

    async def _claim(self) -> AbstractChannel | None:
        """Take our turn, which lasts as long as the connection; None while it is another run's of these tests."""
        channel = await self._queues.channel()
        try:
            await channel.queue_declare(OUR_EVENTS, exclusive=True)
        except ChannelLockedResource:
            return None
        return channel

    def _ear(self, kind: str) -> Callable[[DeliveredMessage], Coroutine[Any, Any, None]]:
        async def hear(message: DeliveredMessage) -> None:
            text = message.body.decode()
            if self._ids in (message.exchange or "") + text:
                await message.channel.basic_ack(message.delivery_tag or 0)
                self._note(kind, self._noted(message, text))
            # Another test's message is not acknowledged: it goes back when the connection is closed.

        return hear

    def _noted(self, message: DeliveredMessage, text: str) -> Traffic:
        sent = message.header.properties
        headers = {name: value for name, value in (sent.headers or {}).items() if not name.startswith("x-")}
        stamp = headers.get("published-timestamp")
        if isinstance(stamp, int) and self._started_ms <= stamp <= now_ms():
            headers["published-timestamp"] = NOW
        return {
            "exchange": message.exchange,
            "routing_key": message.routing_key,
            "properties": {"content_type": sent.content_type, "delivery_mode": sent.delivery_mode},
            "headers": headers,
            "body": parsed(text),
        }

    def _note(self, kind: str, item: Traffic) -> None:
        self.heard[kind].append(item)
        self._arrived.set()

    async def _send(self) -> None:
        """Publish the input to the node, which the worker must have declared."""
        channel = await self._queues.channel()
        for message in self.recording["input"]:
            properties = Basic.Properties(headers=message["headers"], **message["properties"])
            target = {"exchange": message["exchange"], "routing_key": message["routing_key"]}
            await channel.basic_publish(message["body_raw"].encode(), properties=properties, **target)
        # The broker refuses when something of it is there with other properties.
        await self._queues.declare(*objects_of(self._node))

    async def _call(self, port: int) -> None:
        """Call the worker as the platform's limiter does."""
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            for call in self.recording.get("extra", ()):
                key = {KEY_HEADER: call["api_key"]}
                async with client.post("/api/process", json=call["request"], headers=key) as answer:
                    body = await (answer.json() if answer.content_length else answer.text())
                    self.heard["extra"].append({"status": answer.status, "body": body})

    async def _wait(self, count: int) -> None:
        """Return when so much was heard and then nothing for a while, or when that takes too long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_SECONDS):
                while True:
                    is_complete = sum(len(self.heard[kind]) for kind in HEARD) >= count
                    async with asyncio.timeout(QUIET_SECONDS if is_complete else None):
                        await self._arrived.wait()
                    self._arrived.clear()

    def _has_kept(self, worker: Worker, count: int) -> bool:
        return worker.counts[self._node, "trashed"] + worker.counts[self._node, "kept"] >= count


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[Worker]:
    """Run a worker which consumes, and stop it at the end."""
    worker = Worker(settings)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(), name="worker")
        await eventually(lambda: worker.is_ready, what="a ready worker")
        yield worker
        worker.stop()


def objects_of(node_id: str) -> tuple[str, str]:
    """Return the names of a node's exchange and queue."""
    return f"node.{node_id}.hx", f"node.{node_id}.1"


def parsed(text: str) -> Any:
    """Return what a JSON text says, or the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
