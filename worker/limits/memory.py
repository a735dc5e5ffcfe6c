"""Reservations in the process: for a worker that is the only one."""

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from worker.limits.limit import Limit
from worker.limits.reservations import AHEAD_SECONDS, PATIENCE_SECONDS, SLACK_SECONDS, LimitState, Request, Turn, Wait
from worker.limits.windows import earliest, spaced, wait_behind

SLOWEST = 1 / 64
"""The smallest share of an amount that halving comes to."""


HALVING_SECONDS = 10
"""An amount is not halved again before: calls that were under way are refused together."""


@dataclass(slots=True)
class _Window:
    """The calls of one key in its window, and what was learned about it."""

    limit: Limit
    times: list[float] = field(default_factory=list)
    closed_until: float = 0
    share: float = 1
    shared_at: float = 0


@dataclass(slots=True)
class _Line:
    """Messages of one user at one application: places given out, and up to which they have gone."""

    last: int = 0
    gone: int = 0
    turns: list[float] = field(default_factory=list)


class MemoryReservations:
    """One process's own view. `clock` gives seconds, `recovery_seconds` how long a halved amount takes to come back."""

    def __init__(self, clock: Callable[[], float], *, guard_seconds: float, recovery_seconds: float = 600) -> None:
        self._guard_seconds = guard_seconds
        self._slack, self._slack_until = 0.0, 0.0
        self._clock = clock
        self._recovery_seconds = recovery_seconds or 1
        self._windows: dict[tuple[str, int], _Window] = {}
        self._lines: defaultdict[str, _Line] = defaultdict(_Line)
        self._active: defaultdict[str, dict[str, float]] = defaultdict(dict)
        self._turns: dict[str, float] = {}
        self._is_learning = recovery_seconds > 0
        self._tidied = 0.0

    async def ask(self, request: Request) -> Turn | Wait:
        """Reserve a turn, or say how long it will take."""
        if request.is_renewal:
            await self.give_back(request)
        now = self._clock()
        self._tidy(now)
        if request.slack_seconds >= self._slack or now > self._slack_until:
            self._slack, self._slack_until = request.slack_seconds, now + SLACK_SECONDS
        windows = [self._window(limit, now) for limit in request.limits]
        line = self._lines[request.line]
        del line.turns[: bisect_left(line.turns, now)]
        place = request.place if request.place <= line.last else 0
        before = max(0, (place - 1 if place else line.last) - line.gone)
        others = {limit.key: self._others(limit, request.line, now) for limit in request.limits}
        free, turn = self._earliest(windows, now), self._earliest(windows, now, is_spaced=True)
        foreseen = max(self._foreseen(window, now, before, others[window.limit.key]) for window in windows)
        is_fair = all(self._is_fair(window, line, others[window.limit.key], now) for window in windows)
        is_next = foreseen <= AHEAD_SECONDS and is_fair
        if turn <= now + AHEAD_SECONDS and (free <= now or is_next or request.is_renewal):
            self._reserve(request, windows, line, place, turn)
            return Turn(turn, self._slack, line.last - line.gone)
        if not place:
            line.last += 1
            place = line.last
        seconds = max(turn - now, foreseen, 0)
        for limit in request.limits:
            if not limit.user:
                self._active[limit.key][request.line] = now + seconds + PATIENCE_SECONDS
        return Wait(seconds, place, line.last - line.gone)

    async def give_back(self, request: Request) -> None:
        """Free a turn that was not used."""
        turn = self._turns.pop(request.member, None)
        if turn is None:
            return
        found = [self._windows.get((limit.key, limit.seconds)) for limit in request.limits]
        for times in (*(window.times for window in found if window), self._lines[request.line].turns):
            index = bisect_left(times, turn)
            if index < len(times) and times[index] == turn:
                del times[index]

    async def learn(self, limits: Sequence[Limit], *, seconds: float, slow_down: bool) -> None:
        """Let no call go for this long; with `slow_down` halve the amount, to recover slowly."""
        now = self._clock()
        for limit in limits:
            window = self._window(limit, now)
            window.closed_until = max(window.closed_until, now + seconds)
            is_due = window.share == 1 or now - window.shared_at > HALVING_SECONDS
            if slow_down and self._is_learning and is_due:
                window.share, window.shared_at = max(self._share(window, now) / 2, SLOWEST), now

    async def states(self) -> Sequence[LimitState]:
        """Return the limits that were used lately."""
        now = self._clock()
        self._tidy(now, is_forced=True)
        return [self._state(window, now) for window in self._windows.values()]

    async def reset(self, key: str) -> int:
        """Forget calls, places and what was learned of a key; return how many limits had it."""
        found = [name for name in self._windows if name[0] == key]
        for name in found:
            del self._windows[name]
        self._lines.pop(key, None)
        self._active.pop(key, None)
        return len(found)

    async def close(self) -> None:
        """Nothing is open."""

    def _window(self, limit: Limit, now: float) -> _Window:
        window = self._windows.get((limit.key, limit.seconds))
        if window is None:
            window = self._windows[limit.key, limit.seconds] = _Window(limit)
        window.limit = limit
        del window.times[: bisect_right(window.times, now - self._width(limit))]
        return window

    def _width(self, limit: Limit) -> float:
        return limit.seconds + self._guard_seconds + self._slack

    def _amount(self, window: _Window, now: float) -> int:
        return max(1, int(window.limit.amount * self._share(window, now)))

    def _share(self, window: _Window, now: float) -> float:
        return min(1.0, window.share + (now - window.shared_at) / self._recovery_seconds)

    def _others(self, limit: Limit, own: str, now: float) -> int:
        """Count the other lines that wait for a limit of all users."""
        if limit.user:
            return 0
        return sum(until > now for line, until in self._active[limit.key].items() if line != own)

    def _earliest(self, windows: Sequence[_Window], now: float, *, is_spaced: bool = False) -> float:
        turn = max(now, *(window.closed_until for window in windows))
        while True:
            moved = max(self._fit(window, turn, now, is_spaced=is_spaced) for window in windows)
            if moved <= turn:
                return turn
            turn = moved

    def _fit(self, window: _Window, turn: float, now: float, *, is_spaced: bool) -> float:
        amount, width = self._amount(window, now), self._width(window.limit)
        turn = earliest(window.times, amount, width, turn)
        return spaced(window.times, amount, width, turn) if is_spaced else turn

    def _foreseen(self, window: _Window, now: float, before: int, others: int) -> float:
        calls = before * (others + 1)
        wait = wait_behind(window.times, self._amount(window, now), self._width(window.limit), now, calls)
        return max(wait, window.closed_until - now)

    def _is_fair(self, window: _Window, line: _Line, others: int, now: float) -> bool:
        """Whether the line has no more than its share of the turns that are given out."""
        share = self._amount(window, now) / self._width(window.limit) / (others + 1)
        return not others or len(line.turns) <= share * AHEAD_SECONDS

    def _reserve(self, request: Request, windows: Sequence[_Window], line: _Line, place: int, turn: float) -> None:
        for times in (*(window.times for window in windows), line.turns):
            insort(times, turn)
        self._turns[request.member] = turn
        line.gone = max(line.gone, place)
        if line.gone >= line.last:
            for limit in request.limits:
                self._active[limit.key].pop(request.line, None)

    def _state(self, window: _Window, now: float) -> LimitState:
        limit = window.limit
        lines = [limit.key] if limit.user else self._active[limit.key]
        waiting = sum(line.last - line.gone for name in lines if (line := self._lines.get(name)))
        amount = self._amount(window, now)
        free = earliest(window.times, amount, self._width(limit), now)
        return LimitState(limit, len(window.times), waiting, max(free, window.closed_until) - now, amount)

    def _tidy(self, now: float, *, is_forced: bool = False) -> None:
        """Forget once a second what is past."""
        if now - self._tidied < 1 and not is_forced:
            return
        self._tidied = now
        for name, window in tuple(self._windows.items()):
            self._window(window.limit, now)
            if not window.times and window.closed_until < now and self._share(window, now) == 1:
                del self._windows[name]
        self._turns = {member: turn for member, turn in self._turns.items() if turn > now - PATIENCE_SECONDS}
        for lines in self._active.values():
            for line in [line for line, until in lines.items() if until <= now]:
                del lines[line]
        for line, state in tuple(self._lines.items()):
            if state.gone >= state.last and (not state.turns or state.turns[-1] < now):
                del self._lines[line]
