"""A service that notes when each call arrives; prints its port, then the calls with their paths at SIGTERM.

It does nothing else, in a process of its own, so that what it notes is what a service would see. Its argument says how
many seconds it takes for an answer.
"""

import asyncio
import signal
import sys
import time
from typing import cast

import uvloop

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
CALLS: list[tuple[int, bytes]] = []
ANSWERS_AFTER = float(sys.argv[1]) if len(sys.argv) > 1 else 0


class Call(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's derives from nothing
        self._read = b""

    def data_received(self, data: bytes) -> None:
        """Note the call and answer."""
        arrived = time.monotonic_ns()
        self._read += data
        while b"\r\n\r\n" in self._read:
            request, _, self._read = self._read.partition(b"\r\n\r\n")
            CALLS.append((arrived, request.split(b" ", 2)[1]))
            asyncio.get_running_loop().call_later(ANSWERS_AFTER, self._transport.write, ANSWER)


async def main() -> None:
    """Serve until SIGTERM."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    server = await loop.create_server(Call, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await stopped.wait()
    sys.stdout.writelines(f"{arrived} {path.decode()}\n" for arrived, path in CALLS)


if __name__ == "__main__":
    uvloop.run(main())
