"""Files on their way to and from a service: read and written in pieces, beside the event loop."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import Final

PIECE_BYTES: Final = 1 << 20


class FileChunks:
    """The content of a file in pieces; may be read again, for a request that is sent twice."""

    def __init__(self, path: Path) -> None:
        """Raises `OSError` at once when the file cannot be read."""
        self.path = path
        self.size = path.stat().st_size

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the pieces."""
        with await asyncio.to_thread(self.path.open, "rb") as file:
            while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                yield piece


async def write_file(path: Path, chunks: AsyncIterable[bytes]) -> int:
    """Write the chunks to a file and return its size; a file that did not become whole is removed."""
    unfinished = path.with_name(f"{path.name}.part")
    try:
        size = await _write(unfinished, chunks)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return size


async def _write(path: Path, chunks: AsyncIterable[bytes]) -> int:
    size, waiting = 0, bytearray()
    with await asyncio.to_thread(path.open, "wb") as file:
        async for chunk in chunks:
            waiting += chunk
            size += len(chunk)
            if len(waiting) >= PIECE_BYTES:
                await asyncio.to_thread(file.write, waiting)
                waiting = bytearray()
        await asyncio.to_thread(file.write, waiting)
    return size
