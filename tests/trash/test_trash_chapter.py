"""The commands of docs/trash.md run, from the alert to the repaired order; and those of the pages beside it."""

import asyncio
import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeTopology, RunWorker
from support import prepared
from support.actions import Copy
from support.databases import MakeDatabase
from support.queues import Queues, process_message
from support.runs import until_run
from support.topologies import custom_node, sink
from support.waiting import eventually
from support.workers import InProcess

from connectors import CustomNode, Message, Trash
from worker.broker.delays import LOST
from worker.trash.entry import Entry, EntryState
from worker.trash.store import Search

DOCS = Path(__file__).parent.parent.parent / "docs"
SHOWN_ID = "1f3a2b4c"
SHOWN_RUN = "7f0c2b1e-5d2a-4c55-9a5e-0d8f3c1b2a90"


class PriceOrder(CustomNode[Any, Any]):
    """Needs a number as the order's total; fails with 503 until its service is back."""

    name = "price-order"
    is_away = False

    async def process(self, message: Message[Any]) -> Message[Any]:
        if self.is_away:
            raise Trash("503: try again later")
        if not isinstance(message.data["total"], int):
            raise Trash("total: must be a number")
        return message


def commands() -> dict[str, list[str]]:
    """Return the commands of the page by their heading."""
    sections = re.findall(r"\n## (.*?)\n(.*?)(?=\n## |\Z)", (DOCS / "trash.md").read_text(), re.DOTALL)
    found = {name: re.findall(r"^orchesty-worker .*$", text, re.MULTILINE) for name, text in sections}
    return {name: lines for name, lines in found.items() if lines}


async def run(worker: InProcess, line: str, entry: Entry, directory: Path) -> str:
    line = line.replace(SHOWN_ID, entry.id[:8]).replace(SHOWN_RUN, entry.correlation_id)
    return await run_as_shown(worker, line, directory)


async def run_as_shown(worker: InProcess, line: str, directory: Path, **environment: str) -> str:
    words = shlex.split(line)[1:]
    settings = worker.worker.settings
    assert settings.amqp_url is not None
    own = {
        "WORKER_AMQP_URL": settings.amqp_url.get_secret_value(),
        "WORKER_TRASH_URL": settings.trash_address,
        "WORKER_DATABASE_URL": settings.process_address,
        "EDITOR": """sed -i 's/"three"/3/'""",
        "PYTHONPATH": str(DOCS.parent),
        "COLUMNS": "200",
    }
    done = await asyncio.to_thread(prepared.run, words, {**os.environ, **own, **environment}, folder=directory)
    text = done.stdout + done.stderr
    assert done.returncode == 0, f"{line}\n{text}"
    return text


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mongodb"])
async def test_the_chapter_leads_from_the_alert_to_the_repaired_order(
    make_topology: MakeTopology,
    run_worker: RunWorker,
    make_database: MakeDatabase,
    queues: Queues,
    tmp_path: Path,
    kind: str,
) -> None:
    action = PriceOrder()
    topology = make_topology(custom_node("price-order", "price-order", "sink"), sink())
    worker = await run_worker(topology, action, trash_url=make_database(kind))
    store = worker.worker.handler.trash.store
    await queues.publish(topology.exchange("price-order"), process_message({"order": 17, "total": "three"}))
    (entry,) = await eventually(store.waiting, what="the order in the trash")

    repair, many, lost, retention, moving = commands().values()
    texts = [await run(worker, line, entry, tmp_path) for line in repair]
    assert all(entry.id[:8] in text for text in texts[:-1])
    assert "price-order" in texts[-1]
    assert '"total": "three"' in texts[3]
    (order,) = await queues.read(topology.queue("sink"), 1)
    assert json.loads(order.body) == {"order": 17, "total": 3}
    assert order.headers["correlation-id"] == entry.correlation_id

    action.is_away = True
    orders = [process_message({"order": number, "total": number}) for number in range(20)]
    await queues.publish(topology.exchange("price-order"), *orders)

    async def all_failed() -> bool:
        return len(await store.ids(Search(reason="503"))) == len(orders)

    await eventually(all_failed, what="the orders in the trash")
    action.is_away = False
    texts = [await run(worker, line, entry, tmp_path) for line in many]
    assert "20 entries would be approved" in texts[0]
    assert len(await queues.read(topology.queue("sink"), len(orders))) == len(orders)

    await queues.purge(LOST)  # what other tests have left
    for line in (*lost, *retention, *moving):
        await run(worker, line, entry, tmp_path)
    assert len((tmp_path / "trash.jsonl").read_text().splitlines()) == 21
    assert len(await store.ids(Search(states=frozenset({EntryState.APPROVED})))) == 21


async def test_the_commands_of_operations_and_alerts_find_an_order_that_waits(
    make_topology: MakeTopology, run_worker: RunWorker, queues: Queues, tmp_path: Path
) -> None:
    topology = make_topology(custom_node("price-order", "copy", "store"), sink("store"))
    worker = await run_worker(topology, Copy(), trash_url=f"sqlite:///{tmp_path}/trash.sqlite")
    message = process_message({"order": 17}, user="alice")
    await queues.publish(topology.exchange("price-order"), message)
    run = str(message.headers["correlation-id"])
    await until_run(topology.state_url, run, lambda one: one.ok == 1)

    pages = "".join((DOCS / name).read_text() for name in ("operations.md", "alerts.md"))
    lines = re.findall(r"^orchesty-worker .*$", pages, re.MULTILINE)
    own = {"TOPOLOGY_JSON": str(topology.path), "PYTHONPATH": os.pathsep.join(sys.path)}
    shown = {SHOWN_RUN[:8]: run[:8], "my_package.actions": "support.actions"}
    texts = {}
    for line in lines:
        wanted = line
        for there, here in shown.items():
            wanted = wanted.replace(there, here)
        texts[line.split()[1], line.split()[2]] = await run_as_shown(worker, wanted, tmp_path, **own)
    assert run[:8] in texts["processes", "list"]
    assert re.search(r"^ *store .* 1 *$", texts["processes", "show"], re.MULTILINE)
    assert re.search(r"store .* 1 +0 *$", texts["topology", "show"], re.MULTILINE)
    assert "process state" in texts["check", "--actions"]
