"""How late this process is for its turns: a busy machine wakes it late."""

LEAST_SECONDS = 0.01
MOST_SECONDS = 0.25
RISE, FALL = 0.25, 0.01
"""How quickly the slack follows what is later and earlier: about one in twenty turns is missed."""
ROOM = 1.25


class Punctuality:
    """The slack that this process needs; turns missed by more are renewed."""

    def __init__(self) -> None:
        self._late = LEAST_SECONDS

    def observe(self, late_seconds: float) -> None:
        """Note how late a turn was met."""
        late_seconds = min(late_seconds, MOST_SECONDS)
        self._late += (late_seconds - self._late) * (RISE if late_seconds > self._late else FALL)

    @property
    def slack_seconds(self) -> float:
        """What to ask for, in steps of a millisecond so that it does not change with every call."""
        return round(min(max(self._late * ROOM, LEAST_SECONDS), MOST_SECONDS), 3)
