"""A clock for the parts that take one as an argument."""

import asyncio


class Clock:
    """Goes on when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now

    async def pause(self, seconds: float) -> None:
        """Let time pass; others may work."""
        self.now += seconds
        await asyncio.sleep(0)
