"""`run` and `start` with a file of the editor, on a broker."""

from pathlib import Path
from uuid import uuid4

from support.drawings import circle, sketch, square, stored
from support.queues import Queues
from support.shell import Shell, Step
from support.waiting import eventually
from support.workers import Probed

ACTIONS = """
from connectors import Message, custom_node


@custom_node("copy")
async def copy(message: Message[object]) -> Message[object]:
    return message
"""


async def test_a_file_of_the_editor_is_run_as_it_is(tmp_path: Path, broker_url: str, queues: Queues) -> None:
    name, probed = f"editor-{uuid4().hex[:12]}", Probed()
    content = sketch(circle("n1"), square("n2", "custom", "copy"), flows=[("n1", "n2")])
    stored(tmp_path, f"{name}.tplg.json", content)
    stored(tmp_path, "copying.py", ACTIONS)
    environment = {
        "WORKER_AMQP_URL": broker_url,
        "WORKER_HTTP_PORT": str(probed.port),
        "WORKER_HTTP_HOST": "127.0.0.1",
        "TOPOLOGY_JSON": f"{name}.tplg.json",
        "PYTHONPATH": ".",
    }
    shell = Shell(tmp_path, environment)
    try:
        await shell.do(Step("orchesty-worker run --actions copying > run.log 2>&1   # in a terminal of its own"))
        await eventually(lambda: probed.has_status(200, "/readyz"), seconds=30, what="a ready worker")
        await shell.do(Step("orchesty-worker start start --data '{\"id\": 17}' --wait"))
    finally:
        await shell.end()
        for node in ("n1", "n2"):
            await queues.delete(f"node.{name}:{node}.hx", f"node.{name}:{node}.1")
    assert (tmp_path / "run.log").read_text().count("editor_file_taken") == 1
    assert "start (n1): the name start" in (tmp_path / "run.log").read_text()
    assert "2 of 2 messages done, 0 failed" in shell.said
