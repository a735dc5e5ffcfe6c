"""Log lines, seen from outside: a process writes them, the test reads them."""

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import logging, structlog
from connectors.secrets import current_secrets, keep_own
from support.visits import node, visit
from worker.logs import configure_logs
from worker.settings.settings import load_settings
from worker.protocol.message import current_visit
configure_logs(load_settings(log_format={form!r}))
keep_own(["own canary"])
current_visit.set(visit(node("next")))
log = structlog.get_logger()
log.info("message_trashed", reason="no stock", url="amqp://user:secret@broker/%2F")
log.debug("hidden")
logging.getLogger("other").warning("from amqp://user:secret@broker")
try:
    password = "hunter2"
    1 / 0
except ZeroDivisionError:
    log.exception("failed")
current_secrets.set({{"shop": ["canary \\"7"]}})
log.info("nested", facts={{"at": ["amqp://user:a\\"b@broker", "ftp://host:21"]}}, own="own canary", more="canary \\"7")
try:
    raise ValueError("no canary \\"7 at amqp://user:hunter3@broker")
except ValueError:
    log.exception("failed again")
try:
    raise ValueError("\\x1b[2Jerased\\x9b")
except ValueError:
    log.exception("\\x1b]0;title\\x07", reason="well\\nforged=1\\u202e")
"""


def lines(form: str) -> str:
    command = [sys.executable, "-c", SCRIPT.format(form=form)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stderr


def test_json_lines_carry_the_platforms_names_of_the_message() -> None:
    first, second, third, fourth, fifth, _ = (json.loads(line) for line in lines("json").splitlines())
    assert first["event"] == "message_trashed"
    assert first["correlationId"].startswith("2222")
    assert first["processId"].startswith("1111")
    assert (first["nodeId"], first["nodeName"], first["topologyId"], first["userId"]) == ("n1", "action", "t1", "alice")
    assert second["event"] == "from amqp://user:***@broker"
    assert third["exception"][0]["exc_type"] == "ZeroDivisionError"
    assert fourth["facts"]["at"] == ["amqp://user:***@broker", "ftp://host:21"]
    assert (fourth["own"], fourth["more"]) == ("[hidden]", "[hidden]")
    assert fifth["exception"][0]["exc_value"] == "no [hidden] at amqp://user:***@broker"


def test_neither_passwords_nor_variables_are_shown() -> None:
    for form in ("json", "console"):
        text = lines(form)
        assert "secret" not in text
        assert "canary" not in text
        assert "hunter3" not in text
        assert "hunter2" not in text.replace('password = "hunter2"', "")


def test_no_line_holds_what_a_terminal_obeys_and_none_is_forged() -> None:
    for form in ("json", "console"):
        shown = lines(form)
        assert all(line.isprintable() for line in shown.split("\n"))
        assert "erased" in shown
        assert not any(line.startswith("forged") for line in shown.split("\n"))
