"""docs/log.md has every event that the code logs, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "log.md"
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
NAMED_ELSEWHERE = re.compile(r"(message|user_task|webhook)_[a-z_]+")
"""The events of modules that log what other lines of theirs name."""
OF_ACTIONS = ROOT / "connectors" / "logs.py"
"""Logs the text that an action gives."""


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for package in ("worker", "connectors", "applications"):
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path, ast.parse(path.read_text())


def loggers(module: ast.Module) -> set[str]:
    """Return the names that a module gives to its structlog loggers."""
    made = [line for line in module.body if isinstance(line, ast.Assign)]
    made = [line for line in made if ast.unparse(line.value).startswith("structlog.get_logger(")]
    return {target.id for line in made for target in line.targets if isinstance(target, ast.Name)}


def logged(module: ast.Module) -> Iterator[ast.expr]:
    """Yield the first argument of each call of a logger."""
    names = loggers(module)
    for node in ast.walk(module):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=level)) if name in names and level in LEVELS:
                yield node.args[0]


def strings(module: ast.Module) -> set[str]:
    return {node.value for node in ast.walk(module) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def events_of(module: ast.Module) -> set[str]:
    events = list(logged(module))
    named = {event.value for event in events if isinstance(event, ast.Constant) and isinstance(event.value, str)}
    if len({ast.dump(event) for event in events}) == len(named):
        return named
    elsewhere = {text for text in strings(module) if NAMED_ELSEWHERE.fullmatch(text)}
    assert elsewhere - named, "an event that is named nowhere"
    return named | elsewhere


def emitted() -> set[str]:
    return {event for path, module in modules() if path != OF_ACTIONS for event in events_of(module)}


def documented() -> list[str]:
    rows = re.findall(r"^\| (`.*?`) \|", PAGE.read_text(), re.MULTILINE)
    return [event for row in rows for event in re.findall(r"`([^`]+)`", row)]


def test_the_log_reference_has_every_event_and_no_other() -> None:
    assert len(emitted()) > 70
    assert set(documented()) == emitted()


def test_the_log_reference_has_each_event_once() -> None:
    assert len(set(documented())) == len(documented())


def test_every_logger_is_one_that_is_looked_at() -> None:
    """A logger made in another way, or another module's, would log events that nobody looks for."""
    for path, module in modules():
        made = [node for node in ast.walk(module) if isinstance(node, ast.Attribute) and node.attr == "get_logger"]
        assert len(made) == len(loggers(module)), path
