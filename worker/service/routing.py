"""Which handler answers a method and path. Paths are as in the platform's SDK: case and a last slash do not matter."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from worker.service.http import Reply, Request, decoded


class Places(dict[str, str]):
    """What stands at the places of a path, decoded."""

    @property
    def sdk(self) -> str:
        """The service that the path names; empty in those of 4.x."""
        return self.get("sdk", "")


Handler = Callable[[Request, Places], Awaitable[Reply]]

ANY = "*"


@dataclass(frozen=True, slots=True)
class Route:
    """One route."""

    method: str
    """`*`: all of them."""
    pattern: str
    handler: Handler
    seconds: float
    """How long an answer may take."""
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """The routes of a path, with what stands at their places."""

    routes: tuple[tuple[Route, Places], ...]

    def of(self, method: str) -> tuple[Route, Places] | None:
        """Return the first one with this method; `HEAD` is answered by `GET`."""
        wanted = "GET" if method == "HEAD" else method
        return next((found for found in self.routes if found[0].method in {wanted, ANY}), None)

    @property
    def methods(self) -> str:
        """The methods, for the header `Allow`."""
        names = {route.method for route, _ in self.routes}
        return ", ".join(sorted(names | ({"HEAD"} if "GET" in names else set())))


class Router:
    """Finds routes; of several that fit the first one counts."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._by_length: defaultdict[int, list[tuple[Route, list[str]]]] = defaultdict(list)
        for route in self.routes:
            segments = _segments(route.pattern)
            self._by_length[len(segments)].append((route, segments))

    def find(self, path: str) -> Found:
        """Return the routes of a path, none for one that nobody answers.

        Raises `UnreadablePath` where something stands at a place that means no text.
        """
        given = _segments(path)
        candidates = self._by_length.get(len(given), ())
        matches = ((route, _match(pattern, given)) for route, pattern in candidates)
        return Found(tuple((route, _decoded(raw)) for route, raw in matches if raw is not None))


def _segments(path: str) -> list[str]:
    return path.removeprefix("/").removesuffix("/").split("/")


def _decoded(raw: Mapping[str, str]) -> Places:
    return Places({name: decoded(segment) for name, segment in raw.items()})


def _match(pattern: list[str], given: list[str]) -> dict[str, str] | None:
    raw: dict[str, str] = {}
    for wanted, segment in zip(pattern, given, strict=True):
        if wanted.startswith("{"):
            if not segment:
                return None
            raw[wanted[1:-1]] = segment
        elif wanted.lower() != segment.lower():
            return None
    return raw
