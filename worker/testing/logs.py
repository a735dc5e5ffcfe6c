"""All that a worker would log, to look for secrets in it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from structlog.testing import capture_logs

from worker.logs import NOISY


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(NOISY) or record.levelno >= logging.ERROR:
            self.lines.append(f"{record.name} {record.getMessage()} {record.exc_info or ''}")


@contextmanager
def all_logs() -> Iterator[list[str]]:
    """Collect what a worker would log from debug up; complete when the context has ended."""
    root, handler = logging.getLogger(), _Lines()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with capture_logs() as events:
            yield handler.lines
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
    handler.lines += [repr(event) for event in events]
