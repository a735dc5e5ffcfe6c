"""How a worker process notices that its supervisor has ended, however that came about."""

import asyncio
import os
from collections.abc import Callable

import structlog

log = structlog.get_logger()


def on_supervisor_lost(lifeline: int, stop: Callable[[], None]) -> asyncio.Event:
    """Call `stop` and set the event when the pipe ends: its other end is the supervisor's, which never writes.

    No program that an action starts gets the pipe.
    """
    lost = asyncio.Event()
    loop = asyncio.get_running_loop()
    os.set_inheritable(lifeline, False)

    def look() -> None:
        if not os.read(lifeline, 1024):
            loop.remove_reader(lifeline)
            log.warning("supervisor_lost", consequence="the worker stops")
            lost.set()
            stop()

    loop.add_reader(lifeline, look)
    return lost
