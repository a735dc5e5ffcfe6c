"""Frames on their way out."""

import asyncio

import aiormq


class Outbox(asyncio.Queue[aiormq.abc.ChannelFrame]):
    """The queue of frames that aiormq writes to the connection, with a short way for those that the worker packs.

    The frames of one turn of the event loop are written together, and before what aiormq puts here next: the order of
    calls is the order on the wire. Nothing bounds it: each frame belongs to a message in work or to a publish that
    waits for its confirm, and both are bounded. With a bound, aiormq would drop its answer to a channel that the broker
    closes; the broker waits for it, and closes the connection when the channel's number comes again.
    """

    def __init__(self) -> None:
        super().__init__()
        self._frames: list[bytes] = []
        self._loop = asyncio.get_running_loop()

    def write(self, frames: bytes) -> None:
        """Send these frames soon."""
        if not self._frames:
            self._loop.call_soon(self.flush)
        self._frames.append(frames)

    def flush(self) -> None:
        """Put the frames behind those that wait to be written."""
        if self._frames:
            frames, self._frames = self._frames, []
            super().put_nowait(aiormq.abc.ChannelFrame(b"".join(frames), should_close=False))

    def put_nowait(self, item: aiormq.abc.ChannelFrame) -> None:
        """Take a frame of aiormq."""
        self.flush()
        super().put_nowait(item)
