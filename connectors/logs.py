"""Lines that an action writes: to the worker's log and, when asked, to the platform's user interface.

    self.log.info("order sent", number=17)
    self.log.warning("the shop is closed", for_ui=True, opens="8:00")

Functions import the same as `connectors.log`. Values whose name is that of a secret are hidden, and wherever they stand
the secrets of the installs that the action uses.
"""

import re
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import structlog

from applications.redaction import HIDDEN
from connectors.secrets import is_secret_name

EXCHANGE: Final = {
    "request_headers": "reqHeaders",
    "request_body": "reqBody",
    "response_headers": "resHeaders",
    "response_body": "resBody",
}
"""Facts about one exchange with a service, and their names at the platform. They go to the user interface only."""

_SPACE = re.compile(r"\s\s+")

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class UiLine:
    """A line for the platform's user interface."""

    level: str
    """`debug`, `info`, `warning` or `error`."""
    text: str
    exchange: Mapping[str, Any]
    """What was sent and replied, by the platform's names."""
    error: BaseException | None


ui_lines: ContextVar[Callable[[UiLine], object] | None] = ContextVar("ui_lines", default=None)
"""What takes the lines for the user interface; None: nobody shows them. May be called from other threads.

A context variable because `log` is one for all modules, while each worker of a process shows its own actions' lines."""


class ActionLog:
    """Writes lines about the message in work; its ids are added.

    The text is one phrase, the facts are named values of any kind. With `for_ui` the line is also shown in the
    platform's user interface, whatever `WORKER_LOG_LEVEL` says; there it may have `request_headers`, `request_body`,
    `response_headers` and `response_body`. `exc_info` is an error, or True for the one that is being handled.
    """

    def debug(self, text: str, *, for_ui: bool = False, exc_info: BaseException | bool = False, **facts: Any) -> None:
        """Write what helps to find mistakes; not in the worker's log unless `WORKER_LOG_LEVEL=debug`."""
        _write("debug", text, facts, for_ui=for_ui, exc_info=exc_info)

    def info(self, text: str, *, for_ui: bool = False, exc_info: BaseException | bool = False, **facts: Any) -> None:
        """Write what has happened."""
        _write("info", text, facts, for_ui=for_ui, exc_info=exc_info)

    def warning(self, text: str, *, for_ui: bool = False, exc_info: BaseException | bool = False, **facts: Any) -> None:
        """Write what somebody should look at when there is time."""
        _write("warning", text, facts, for_ui=for_ui, exc_info=exc_info)

    def error(self, text: str, *, for_ui: bool = False, exc_info: BaseException | bool = False, **facts: Any) -> None:
        """Write what went wrong."""
        _write("error", text, facts, for_ui=for_ui, exc_info=exc_info)

    def exception(self, text: str, *, for_ui: bool = False, **facts: Any) -> None:
        """Write what went wrong, with the error that is being handled."""
        _write("error", text, facts, for_ui=for_ui, exc_info=True)


log: Final = ActionLog()
"""Writes lines of an action: `log.info("order dispatched", number=17)`. In a class it is `self.log` as well."""


def _write(level: str, text: str, facts: dict[str, Any], *, for_ui: bool, exc_info: BaseException | bool) -> None:
    error = sys.exception() if exc_info is True else exc_info or None
    exchange = {there: _shown(here, facts.pop(here)) for here, there in EXCHANGE.items() if here in facts}
    shown = {name: _shown(name, value) for name, value in facts.items()}
    taken = ui_lines.get() if for_ui else None
    if taken is not None:
        taken(UiLine(level, _phrase(text, shown), exchange, error))
    marks = ({"for_ui": True} if for_ui else {}) | ({"exc_info": error} if error else {})
    getattr(_log, level)(text, **shown, **marks)


def _phrase(text: str, facts: Mapping[str, Any]) -> str:
    """Return the text with its facts, as people read it."""
    told = ", ".join(f"{name}={value}" for name, value in facts.items())
    return _SPACE.sub(" ", f"{text}: {told}" if told else text)


def _shown(name: str, value: Any) -> Any:
    if is_secret_name(name):
        return HIDDEN
    if isinstance(value, Mapping):
        return {key: _shown(str(key), entry) for key, entry in value.items()}
    return [_shown("", entry) for entry in value] if isinstance(value, list | tuple) else value
