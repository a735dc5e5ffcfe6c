"""How a worker process notices that its supervisor has ended, however that came about."""

import asyncio
import os
import sys
from collections.abc import Callable

import structlog

log = structlog.get_logger()


def on_supervisor_lost(stop: Callable[[], None]) -> asyncio.Event:
    """Call `stop` and set the event when standard input ends: its other end is the supervisor's, which never writes."""
    lost = asyncio.Event()
    loop, lifeline = asyncio.get_running_loop(), sys.stdin.fileno()

    def look() -> None:
        if not os.read(lifeline, 1024):
            loop.remove_reader(lifeline)
            log.warning("supervisor_lost", consequence="the worker stops")
            lost.set()
            stop()

    loop.add_reader(lifeline, look)
    return lost
