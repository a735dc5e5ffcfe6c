"""An action may go to another folder; the worker's files stay where they are."""

import os
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeTopology, RunWorker
from support.queues import Queues, process_message
from support.topologies import custom_node
from support.trashed import trashed

from connectors import CustomNode, Message, Trash


async def test_files_are_those_of_the_folder_at_the_start(
    make_topology: MakeTopology,
    run_worker: RunWorker,
    queues: Queues,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Leave(CustomNode[Any, Any]):
        name = "leave"

        async def process(self, message: Message[Any]) -> Message[Any]:
            os.chdir(tmp_path / "elsewhere")
            raise Trash("gone")

    (tmp_path / "elsewhere").mkdir()
    topology = make_topology(custom_node("work", "leave", deduplicate={"seconds": 60}))
    monkeypatch.chdir(tmp_path)
    worker = await run_worker(topology, Leave(), trash_url="sqlite:///own/trash.sqlite", database_url="sqlite:///a.db")
    for _ in range(2):
        await queues.publish(topology.exchange("work"), process_message("x"))
    assert (await trashed(worker)).reason == "gone"
    assert (tmp_path / "own" / "trash.sqlite").exists()
    assert not list((tmp_path / "elsewhere").iterdir())
