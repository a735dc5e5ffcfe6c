"""Log lines: one event with facts as keys, the ids of the message bound once, secrets hidden."""

import logging
import os
import re
import sys
import warnings
from io import StringIO
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from connectors.secrets import without_secrets
from worker.protocol import headers as h
from worker.protocol.message import current_visit
from worker.settings.settings import Settings
from worker.visible import printable, printable_lines

NOISY = ("aiosqlite", "alembic", "httpx", "httpcore", "aiohttp.access", "pymongo", "asyncssh", "aioftp", "zeep")
"""Libraries of which only errors are logged: their lines hold URLs with their queries, and bodies."""

_PASSWORD_IN_URL = re.compile(r'(?<=://)([^:/@\s"]*):(?:[^@/\s"\\]|\\.)+@')
"""In a line that may be JSON: no value ends in another."""


_json_tracebacks = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)  # variables may hold secrets
)


def configure_logs(settings: Settings) -> None:
    """Send structlog's and the standard library's records to stderr in the chosen format."""
    is_terminal = sys.stderr.isatty()
    is_console = settings.log_format == "console" or (settings.log_format == "auto" and is_terminal)
    has_colors = is_terminal and not os.environ.get("NO_COLOR")  # https://no-color.org
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        add_visit,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: list[Processor] = (
        [show_all_characters, structlog.dev.ConsoleRenderer(colors=has_colors, exception_formatter=_plain_traceback)]
        if is_console
        else [_json_tracebacks, structlog.processors.JSONRenderer()]
    )
    level = getattr(logging, settings.log_level.upper())
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer, hide_secrets],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for silent in ("aio_pika", "aiormq"):
        logging.getLogger(silent).setLevel(logging.CRITICAL)  # the worker says the same in its own words
    # aio_pika closes a connection that failed when it is collected, which may happen in a thread without event loop.
    warnings.filterwarnings("ignore", "coroutine 'Connection.close' was never awaited", RuntimeWarning)
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(max(level, logging.ERROR))


def add_visit(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Add the ids of the message in work, in the platform's spelling."""
    visit = current_visit.get()
    if visit is None:
        return event
    node = visit.node
    ids = {
        "correlationId": visit.headers.text(h.CORRELATION_ID),
        "processId": visit.headers.text(h.PROCESS_ID),
        "parentId": visit.headers.text(h.PARENT_ID),
        "nodeId": node.id,
        "nodeName": node.name,
        "topologyId": node.topology_id,
        "topologyName": node.topology_name,
        "userId": visit.headers.text(h.USER),
    }
    return {**ids, **event}


def show_all_characters(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Escape what a terminal would obey, and line breaks: reasons and names come from outside."""
    return {name: printable(value) if isinstance(value, str) else value for name, value in event.items()}


def _plain_traceback(out: TextIO, error: ExcInfo) -> None:
    text = StringIO()
    structlog.dev.plain_traceback(text, error)
    out.write(printable_lines(text.getvalue()))


def hide_secrets(_: WrappedLogger, __: str, line: Any) -> str:
    """Replace passwords in URLs, and secrets of the installs that the action in work uses.

    In the whole line, so that no value is too deep and no traceback is left out.
    """
    text = str(line)
    return without_secrets(_PASSWORD_IN_URL.sub(r"\1:***@", text) if "://" in text else text)
