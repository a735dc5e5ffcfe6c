"""Actions of the tests; a worker in a process of its own loads them with `--actions support.actions`."""

import asyncio
import re
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from connectors import Connector, CustomNode, Message, Repeat

AnyMessage = Message[Any]
log = structlog.get_logger()


class Copy(CustomNode[Any, Any]):
    """Passes the message on."""

    name = "copy"

    async def process(self, message: AnyMessage) -> AnyMessage:
        """Return the message."""
        return message


class CopyConnector(Connector[Any, Any]):
    """Passes the message on as a connector does, without a service."""

    name = "copy"

    async def process(self, message: AnyMessage) -> AnyMessage:
        """Return the message."""
        return message


class Sleep(CustomNode[Any, Any]):
    """Takes the time that the body names: `{"seconds": 1.5}`."""

    name = "sleep"

    async def process(self, message: AnyMessage) -> AnyMessage:
        """Return the message after the time."""
        await asyncio.sleep(message.data["seconds"])
        return message


class SleepStubbornly(CustomNode[Any, Any]):
    """As `Sleep`, but does not listen to a cancel."""

    name = "sleep-stubbornly"

    async def process(self, message: AnyMessage) -> AnyMessage:
        """Return the message after the time."""
        sleeping = asyncio.ensure_future(asyncio.sleep(message.data["seconds"]))
        while not sleeping.done():
            try:
                await asyncio.shield(sleeping)
            except asyncio.CancelledError:
                continue
        return message


class BlockTheThread(CustomNode[Any, Any]):
    """Holds up all that runs in its process, as no action may."""

    name = "block-the-thread"

    async def process(self, message: AnyMessage) -> AnyMessage:
        """Return the message after ten minutes in which nothing else happens."""
        log.info("held up")
        for _ in range(6000):
            time.sleep(0.1)  # noqa: ASYNC251 - that is the fault
        return message


class HoldTheInterpreter(CustomNode[Any, Any]):
    """As `BlockTheThread`, in one call that lets no other thread run."""

    name = "hold-the-interpreter"

    async def process(self, message: AnyMessage) -> AnyMessage:
        """Return the message after hours."""
        log.info("held up")
        return message.with_data(bool(re.fullmatch(r"(a+)+", "a" * 50 + "b")))


class HangWhenTold(CustomNode[Any, Any]):
    """Passes the message on, unless its body says how to stand for ever."""

    name = "hang-when-told"

    async def process(self, message: AnyMessage) -> AnyMessage:
        """Return the message, or never."""
        match message.data:
            case "in a loop":
                while True:
                    pass
            case "in a call":
                threading.Lock().acquire() and threading.Event().wait()
            case "in one call that holds the interpreter":
                re.fullmatch(r"(a+)+", "a" * 50 + "b")
        return message


class LeaveAThread(CustomNode[Any, Any]):
    """Leaves a thread behind that the process waits for at its end."""

    name = "leave-a-thread"

    async def process(self, message: AnyMessage) -> AnyMessage:
        """Return the message; the thread goes on."""
        threading.Thread(target=time.sleep, args=[600]).start()
        return message


class Chatter(CustomNode[Any, Any]):
    """Logs as many long lines as the body says, and prints them."""

    name = "chatter"

    async def process(self, message: AnyMessage) -> AnyMessage:
        """Return the message."""
        for number in range(message.data["lines"]):
            log.warning("chatter", number=number, text="x" * 500)
            print(number, file=sys.stderr)
        return message


class ReadInput(CustomNode[Any, Any]):
    """Starts a program that reads its standard input to the end."""

    name = "read-input"

    async def process(self, message: AnyMessage) -> AnyMessage:
        """Return what the program has read."""
        program = await asyncio.create_subprocess_exec("cat", stdout=asyncio.subprocess.PIPE)
        read, _ = await program.communicate()
        return message.with_data({"read": read.decode(), "input": _standard_input()})


class RepeatOnce(CustomNode[Any, Any]):
    """Asks for a repeat after the seconds that the body names, and passes on what comes back."""

    name = "repeat-once"

    async def process(self, message: AnyMessage) -> AnyMessage:
        """Return the message the second time."""
        if "repeat-hops" not in message.headers:
            raise Repeat(timedelta(seconds=message.data["seconds"]), "once")
        return message


def _standard_input() -> str:
    return Path("/proc/self/fd/0").readlink().name
