"""Messages that nobody can read, and stores that are away: a clear reason, and nothing lost."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeTopology, RunWorker
from support.queues import Queues, bodies, process_message
from support.topologies import NodeEntry, pass_on, sink
from support.waiting import eventually
from support.workers import InProcess

from worker.trash.entry import Entry

FIFTY_MEGABYTES = 50 * 1024 * 1024


async def in_trash(worker: InProcess) -> Entry:
    async def only() -> Entry | None:
        entries = await worker.worker.handler.trash.store.waiting()
        return entries[0] if entries else None

    return await eventually(only, seconds=30, what="an entry in the trash")


async def all_in_trash(worker: InProcess, count: int) -> Sequence[Entry]:
    async def all_() -> Sequence[Entry] | None:
        entries = await worker.worker.handler.trash.store.waiting()
        return entries if len(entries) == count else None

    return await eventually(all_, seconds=30, what=f"{count} entries in the trash")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"hello", "JSON is malformed"),
        (b"", "Input data was truncated"),
        (b'{"headers": {}, "body": "x"', "truncated"),
        (b"[1, 2]", "Expected `object`, got `array`"),
        (b'"text"', "Expected `object`, got `str`"),
        (b'{"headers": {}}', "missing required field `body`"),
        (b'{"headers": {}, "body": {"a": 1}}', "Expected `str`, got `object` - at `$.body`"),
        (b'{"headers": {}, "body": null}', "Expected `str`, got `null` - at `$.body`"),
        (b'{"headers": [], "body": "x"}', "at `$.headers`"),
        (b'{"headers": {}, "body": "\xff\xfe"}', "can't decode byte 0xff"),
        (
            b'{"headers": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b', "body": "x"}',
            "nested deeper than 64 levels",
        ),
        (b"x" * FIFTY_MEGABYTES, "is larger than WORKER_MAX_MESSAGE_BYTES"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
async def test_an_unreadable_message_is_in_the_trash_with_its_bytes_and_the_reason(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, raw: bytes, reason: str
) -> None:
    topology = make_topology(pass_on("start", "sink"), sink())
    worker = await run_worker(topology)
    await queues.publish_raw(topology.exchange("start"), raw)
    entry = await in_trash(worker)
    assert entry.raw == raw
    assert reason in (entry.reason or "")
    await queues.publish(topology.exchange("start"), process_message("next"))
    assert bodies(await queues.read(topology.queue("sink"), 1)) == ["next"]


@pytest.mark.parametrize("raw", [b"not json", b'{"body": "{}"}'], ids=["unreadable", "user task"])
async def test_equal_messages_of_a_foreign_publisher_are_all_kept(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, raw: bytes
) -> None:
    topology = make_topology(NodeEntry("ask", ("sink",), "worker.user"), sink())
    worker = await run_worker(topology)
    await queues.channel()
    publish = queues.publish_raw
    await asyncio.gather(*(publish(topology.exchange("ask"), raw, with_timestamp=False) for _ in range(100)))
    kept = await all_in_trash(worker, 100)
    await worker.command("trash", "reject", kept[0].id)
    await publish(topology.exchange("ask"), raw, with_timestamp=False)
    (_,) = {entry.id for entry in await all_in_trash(worker, 100)} - {entry.id for entry in kept}


async def test_a_message_without_headers_goes_on(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology = make_topology(pass_on("start", "sink"), sink())
    await run_worker(topology)
    await queues.publish_raw(topology.exchange("start"), b'{"body": "\\"x\\""}')
    assert bodies(await queues.read(topology.queue("sink"), 1)) == ["x"]


async def test_an_unreadable_message_cannot_be_approved(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology = make_topology(pass_on("start", "sink"), sink())
    worker = await run_worker(topology)
    await queues.publish_raw(topology.exchange("start"), b"hello")
    entry = await in_trash(worker)
    text = await worker.command("trash", "approve", entry.id, status=1)
    assert "could not be read and cannot be sent on" in text
    assert (await in_trash(worker)).id == entry.id


async def test_a_message_waits_in_the_broker_while_the_trash_is_away(
    make_topology: MakeTopology,
    run_worker: RunWorker,
    queues: Queues,
    log_lines: Sequence[Mapping[str, Any]],
    tmp_path: Path,
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    topology = make_topology(pass_on("start", "sink"), sink())
    worker = await run_worker(topology, trash_url=f"sqlite:///{blocked}/trash.sqlite")
    await queues.publish_raw(topology.exchange("start"), b"hello")
    await eventually(lambda: [line for line in log_lines if line["event"] == "trash_away"], what="a log line")
    assert await worker.in_work() == 1
    blocked.unlink()
    assert (await in_trash(worker)).raw == b"hello"


async def test_a_message_that_was_delivered_too_often_goes_to_the_trash(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology = make_topology(pass_on("start", "sink"), sink())
    await queues.declare(topology.exchange("start"), topology.queue("start"))
    await queues.publish(topology.exchange("start"), process_message("poison"))
    for _ in range(3):
        await queues.take_and_drop(topology.queue("start"))
    worker = await run_worker(topology, max_deliveries=4)
    entry = await in_trash(worker)
    assert entry.reason == "delivered 4 times and never finished: does it crash the worker?"
    assert json.loads(entry.body or "") == "poison"
