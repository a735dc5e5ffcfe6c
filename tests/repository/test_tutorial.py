"""docs/tutorial.md, done as it says from an empty folder; and the tests that docs/testing.md shows."""

import re
from pathlib import Path

from support.queues import Queues
from support.shell import Shell, Step, steps
from support.waiting import eventually
from support.workers import Probed

from deploy.ports import free_ports

DOCS = Path(__file__).parent.parent.parent / "docs"
NODES = ("tutorial-start", "tutorial-get-order", "tutorial-done")

FAILING = """orchesty-worker start start --data '{"id": 18}' --wait"""


async def test_the_tutorial_leads_from_an_empty_folder_to_a_running_connector(
    tmp_path: Path, broker_url: str, queues: Queues
) -> None:
    (port,) = free_ports(1)
    probed = Probed()
    shell = Shell(tmp_path, {"WORKER_HTTP_PORT": str(probed.port), "WORKER_HTTP_HOST": "127.0.0.1"}, FAILING)
    broker = "amqp://guest:guest@localhost:5672/%2F"
    try:
        for step in steps(DOCS / "tutorial.md", {"8800": str(port), broker: broker_url}):
            await shell.do(step)
            if step.text.startswith("orchesty-worker run"):
                await eventually(lambda: probed.has_status(200, "/readyz"), seconds=30, what="a ready worker")
    finally:
        await shell.end()
        for node in NODES:
            await queues.delete(f"node.{node}.hx", f"node.{node}.1")
    assert '"currency": "EUR"' in shell.said
    assert "3 of 3 messages done, 0 failed" in shell.said
    assert "2 of 2 messages done, 1 failed" in shell.said
    assert re.search(r"answered\s+404", shell.said)
    assert "[hidden]" in shell.said
    assert "my-secret-key" not in shell.said


async def test_the_tests_that_the_page_on_testing_shows_pass(tmp_path: Path) -> None:
    snippets = re.findall(r"```python\n(.*?)```", (DOCS / "testing.md").read_text(), re.DOTALL)
    (tmp_path / "test_page.py").write_text("\n".join(snippets))
    shell = Shell(tmp_path, {})
    await shell.do(Step("pytest -q -p no:cacheprovider -W ignore test_page.py"))
    assert re.search(r"\b\d\d passed", shell.said), shell.said
