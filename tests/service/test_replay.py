"""Recorded calls are replayed: what is the same passes, what differs is named."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from golden.comparing import difference
from golden.rules import RULES, Answered

ROOT = Path(__file__).parents[2]
JSON = [["Content-Type", "application/json; charset=utf-8"]]


def case(path: str, body: object, status: int, answer: object, method: str = "POST") -> dict[str, Any]:
    return {
        "name": "case",
        "worker_env": "prod",
        "request": {"method": method, "path": path, "headers": [], "body": None if body is None else json.dumps(body)},
        "response": {"status": status, "headers": JSON, "body": json.dumps(answer)},
        "worker_api_calls": [],
        "http_calls": [],
    }


DONE = {"result-code": "0", "result-message": "Processed successfully."}
ECHO = case("/custom-node/echo/process", {"body": "x"}, 200, {"body": "x", "headers": DONE})


def test_a_folder_is_replayed_with_a_line_for_each_case(tmp_path: Path) -> None:
    right, wrong = ECHO, case("/connector/list", None, 200, [], "GET")
    (tmp_path / "right.json").write_text(json.dumps(right))
    (tmp_path / "wrong.json").write_text(json.dumps(wrong))
    run = [sys.executable, "-m", "tests.golden", str(tmp_path)]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    first, second, last = done.stdout.splitlines()
    assert (first, last, done.returncode) == ("passed right", "1 passed, 1 failed", 1), done.stderr
    assert second.startswith("failed wrong: $:")


def answered(data: object, status: int = 200, content_type: str = "application/json") -> Answered:
    return Answered(status, content_type, json.dumps(data))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (answered({"body": "x", "headers": DONE}), ""),
        (answered({"body": "x", "headers": DONE}, 400), "status 400, not 200"),
        (answered({"body": "x", "headers": DONE}, content_type="text/plain"), "content type text/plain"),
        (answered({"body": "y", "headers": DONE}), "$.body: 'y', not 'x'"),
        (answered({"body": "x", "headers": {**DONE, "more": 1}}), "$.headers.more: 1 is too much"),
        (answered({"body": "x", "headers": {"result-code": "0"}}), "$.headers.result-message: missing"),
        (answered({"body": "x", "headers": {**DONE, "result-code": 0}}), "$.headers.result-code: 0, not '0'"),
    ],
)
def test_what_differs_is_named(other: Answered, said: str) -> None:
    found = difference(ECHO, other)
    assert found.startswith(said)
    assert bool(found) is bool(said)


@pytest.mark.parametrize(
    ("recorded", "ours", "is_same"),
    [
        ("Error occurred: no such appError: no such app\n    at f (x.js:1)", "Error occurred: no such app", True),
        ("Error occurred: Missing x.undefined", "Error occurred: Missing x.", True),
        ("Error occurred: Cannot read properties of null", "Error occurred: TypeError: nothing", True),
        ("Error occurred: no such app", "Error occurred: another text", False),
        ("Error occurred: no such app", "no such app", False),
        ("Error occurred: no such appError: no such app", "Error occurred: no such", False),
        ("Error occurred: no such appError: no such app", "Error occurred: ", False),
        ("Error occurred: Unexpected token < in JSON at position 0", "Error occurred: the body is not JSON", True),
        ("Error occurred: Unexpected token < in JSON at position 0", "Error occurred: no", False),
    ],
)
def test_stacks_and_the_words_of_another_language_do_not_count(recorded: str, ours: str, *, is_same: bool) -> None:
    wanted = case("/applications/x", None, 400, {"status": "Error", "message": recorded}, "GET")
    assert bool(difference(wanted, answered({"status": "Error", "message": ours}, 400))) is not is_same


@pytest.mark.parametrize("body", [None, 5, "x", [1], {"body": 5}, {"body": "[1]", "headers": [1]}, {"headers": 5}])
def test_a_request_may_be_anything(body: object) -> None:
    wanted = case("/custom-node/echo/process", body, 200, {"body": "x", "headers": DONE})
    assert difference(wanted, answered({"body": "x", "headers": DONE})) == ""
    assert difference(wanted, answered(5)).startswith("$:")


def test_json_that_ended_the_recorded_process_is_refused() -> None:
    wanted = {**ECHO, "response": {"status": None}}
    assert difference(wanted, answered({}, 400)) == ""
    assert difference(wanted, answered({})) == "status 200, where the recorded process ended"


def test_each_deliberate_difference_stands_on_the_page_with_its_reason() -> None:
    page = (ROOT / "docs" / "compatibility.md").read_text().partition("## Deliberate differences")[2]
    named = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert named == [rule.__name__ for rule in RULES]
