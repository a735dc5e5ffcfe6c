"""A stage that tests name in the settings."""

from worker import Decided, Visit, Way

WORD = "no stage"


async def traced(visit: Visit, call_next: Way) -> Decided:
    """Only look."""
    return await call_next(visit)
