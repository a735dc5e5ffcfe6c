"""Reservations in the process: for a worker that is the only one."""

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from worker.limits.fairness import Share
from worker.limits.limit import KeyedLimit
from worker.limits.reservations import (
    AHEAD_SECONDS,
    EAGERNESS,
    HALVING_SECONDS,
    IDLE_SECONDS,
    PATIENCE_SECONDS,
    SLACK_SECONDS,
    SLOWEST,
    LimitState,
    Turn,
    TurnRequest,
    Wait,
)
from worker.limits.windows import earliest, idle_since, spaced, wait_behind


@dataclass(slots=True)
class _Window:
    """The calls of one key in its window, and what was learned about it."""

    limit: KeyedLimit
    times: list[float] = field(default_factory=list)
    closed_until: float = 0
    share: float = 1
    shared_at: float = 0


@dataclass(slots=True)
class _Line:
    """Messages of one user at one application: places given out, and up to which they have gone."""

    last: int = 0
    gone: int = 0
    until: float = 0
    """When the latest of those that wait will have asked again, if they still do."""

    @property
    def waiting(self) -> int:
        """Its messages that still wait."""
        return self.last - self.gone


class MemoryReservations:
    """One process's own view. `clock` gives seconds, `recovery_seconds` how long a halved amount takes to come back."""

    def __init__(self, clock: Callable[[], float], *, guard_seconds: float, recovery_seconds: float = 600) -> None:
        self._guard_seconds = guard_seconds
        self._clock = clock
        self._recovery_seconds = recovery_seconds or 1
        self._windows: dict[tuple[str, int], _Window] = {}
        self._lines: dict[str, _Line] = {}
        self._shares: defaultdict[str, Share] = defaultdict(Share)
        self._turns: dict[str, float] = {}
        self._is_learning = recovery_seconds > 0
        self._tidied = 0.0

    async def ask(self, request: TurnRequest) -> Turn | Wait:
        """Reserve a turn, or say how long it will take."""
        if request.is_renewal:
            await self.give_back(request)
        now = self._clock()
        self._tidy(now)
        self._forget_overdue(_shared(request), now)
        windows = [self._window(limit, now) for limit in request.limits]
        line = self._lines.get(request.line) or _Line()
        place = request.place if request.place <= line.last else 0
        before = max(0, (place - 1 if place else line.last) - line.gone)
        turn = self._earliest(windows, now)
        foreseen = max(self._foreseen(window, request.line, now, before) for window in windows)
        idle = max(0.0, min(now - self._idle_since(window, now) for window in windows))
        may_go = request.is_renewal or idle > IDLE_SECONDS or foreseen <= AHEAD_SECONDS + EAGERNESS * idle
        if may_go and turn <= now + AHEAD_SECONDS:
            if place:
                line.gone = min(line.last, max(line.gone + 1, place if idle > IDLE_SECONDS else 0))
            self._reserve(request, windows, line, turn)
            self._keep(request.line, line)
            return Turn(turn, line.waiting)
        if not place:
            line.last += 1
            place = line.last
        seconds = max(turn - now, foreseen)
        line.until = max(line.until, now + seconds + PATIENCE_SECONDS)
        self._keep(request.line, line)
        for key in _shared(request):
            own = [limit for limit in request.limits if limit.user]
            self._shares[key].join(request.line, line.waiting, now + seconds + PATIENCE_SECONDS, own)
        return Wait(seconds, place, line.waiting)

    async def seen(self, request: TurnRequest, at: float) -> None:
        """Take note that the service has seen the call."""
        self._move(request, at - SLACK_SECONDS)

    async def give_back(self, request: TurnRequest) -> None:
        """Free a turn that was not used."""
        self._move(request, None)

    async def leave(self, line: str) -> None:
        """Take a message out of its line that will not ask again."""
        if (waiting := self._lines.get(line)) is not None:
            waiting.gone += 1
            self._keep(line, waiting)

    async def learn(self, limits: Sequence[KeyedLimit], *, seconds: float, slow_down: bool) -> None:
        """Let no call go for this long; with `slow_down` halve the amount, to recover slowly."""
        now = self._clock()
        for limit in limits:
            window = self._window(limit, now)
            window.closed_until = max(window.closed_until, now + seconds)
            is_due = window.share == 1 or now - window.shared_at > HALVING_SECONDS
            if slow_down and self._is_learning and is_due:
                window.share, window.shared_at = max(self._share(window, now) / 2, SLOWEST), now

    async def states(self, key: str | None = None) -> Sequence[LimitState]:
        """Return the limits that were used lately, all or those of a key."""
        now = self._clock()
        self._tidy(now, is_forced=True)
        return [self._state(window, now) for name, window in self._windows.items() if key in (None, name[0])]

    async def reset(self, key: str) -> int:
        """Forget calls, places and what was learned of a key; return how many limits had it."""
        found = [name for name in self._windows if name[0] == key]
        for name in found:
            del self._windows[name]
        for line in (key, *(self._shares.pop(key).flows if key in self._shares else ())):
            self._lines.pop(line, None)
        return len(found)

    async def close(self) -> None:
        """Nothing is open."""

    def _window(self, limit: KeyedLimit, now: float) -> _Window:
        window = self._windows.get((limit.key, limit.seconds))
        if window is None:
            window = self._windows[limit.key, limit.seconds] = _Window(limit)
        window.limit = limit
        del window.times[: bisect_right(window.times, now - self._width(limit) - IDLE_SECONDS)]
        return window

    def _counting(self, window: _Window, now: float) -> list[float]:
        """Return the calls that count now, and those with a turn."""
        return window.times[bisect_right(window.times, now - self._width(window.limit)) :]

    def _width(self, limit: KeyedLimit) -> float:
        return limit.seconds + self._guard_seconds + SLACK_SECONDS

    def _amount(self, window: _Window, now: float) -> int:
        return max(1, int(window.limit.amount * self._share(window, now)))

    def _share(self, window: _Window, now: float) -> float:
        return min(1.0, window.share + (now - window.shared_at) / self._recovery_seconds)

    def _earliest(self, windows: Sequence[_Window], now: float) -> float:
        turn = max(now, *(window.closed_until for window in windows))
        while (moved := max(self._fit(window, turn, now) for window in windows)) > turn:
            turn = moved
        return turn

    def _fit(self, window: _Window, turn: float, now: float) -> float:
        amount, width = self._amount(window, now), self._width(window.limit)
        return spaced(window.times, amount, width, earliest(window.times, amount, width, turn))

    def _foreseen(self, window: _Window, line: str, now: float, before: int) -> float:
        limit, calls = window.limit, float(before)
        width, cycle = self._width(limit), limit.seconds + self._guard_seconds
        if not limit.user:
            calls = self._shares[limit.key].calls_before(line, before, self._amount(window, now) / cycle)
        opens = max(now, window.closed_until)
        wait = wait_behind(self._counting(window, opens), self._amount(window, now), width, cycle, opens, calls)
        return wait + opens - now

    def _idle_since(self, window: _Window, now: float) -> float:
        return max(window.closed_until, idle_since(window.times, self._amount(window, now), self._width(window.limit)))

    def _reserve(self, request: TurnRequest, windows: Sequence[_Window], line: _Line, turn: float) -> None:
        for window in windows:
            insort(window.times, turn)
        self._turns[request.member] = turn
        for key in _shared(request):
            self._shares[key].step(request.line, line.waiting)

    def _move(self, request: TurnRequest, to: float | None) -> None:
        """Take a turn out of the windows, or put it to another time."""
        turn = self._turns.pop(request.member, None)
        if turn is None:
            return
        if to is not None:
            self._turns[request.member] = to
        for limit in request.limits:
            window = self._windows.get((limit.key, limit.seconds))
            index = bisect_left(window.times, turn) if window else 0
            if window and index < len(window.times) and window.times[index] == turn:
                del window.times[index]
                if to is not None:
                    insort(window.times, to)

    def _state(self, window: _Window, now: float) -> LimitState:
        limit = window.limit
        amount = self._amount(window, now)
        opens = max(now, window.closed_until)
        free = earliest(window.times, amount, self._width(limit), opens)
        return LimitState(limit, len(self._counting(window, now)), self._waiting(limit), free - now, amount)

    def _waiting(self, limit: KeyedLimit) -> int:
        share = self._shares.get(limit.key)
        lines = [limit.key] if limit.user else share.flows if share else ()
        return sum(line.waiting for name in lines if (line := self._lines.get(name)))

    def _tidy(self, now: float, *, is_forced: bool = False) -> None:
        """Forget once a second what is past."""
        if now - self._tidied < 1 and not is_forced:
            return
        self._tidied = now
        self._forget_overdue(tuple(self._shares), now)
        for name in [name for name, line in self._lines.items() if line.until < now]:
            del self._lines[name]
        for place, window in tuple(self._windows.items()):
            self._window(window.limit, now)
            is_open = window.closed_until < now and self._share(window, now) == 1
            if is_open and not window.times and not self._waiting(window.limit):
                del self._windows[place]
        longest = max([self._width(window.limit) for window in self._windows.values()], default=0)
        self._turns = {member: turn for member, turn in self._turns.items() if turn > now - longest - IDLE_SECONDS}

    def _forget_overdue(self, keys: Iterable[str], now: float) -> None:
        """Forget lines of which nothing was heard, and what is left of limits that nobody waits for."""
        for key in keys:
            for line in self._shares[key].tidy(now):
                self._lines.pop(line, None)
            if not self._shares[key].flows:
                del self._shares[key]

    def _keep(self, name: str, line: _Line) -> None:
        """Remember a line as long as messages of it wait."""
        if line.waiting > 0:
            self._lines[name] = line
        else:
            self._lines.pop(name, None)


def _shared(request: TurnRequest) -> set[str]:
    return {limit.key for limit in request.limits if not limit.user}
