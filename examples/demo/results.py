"""What has come of a run, and whether that is what had to come of it."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path

from examples.demo.account import INSTALLS, USER, shows
from examples.demo.actions import ROWS, Row
from examples.demo.board import Board
from examples.demo.records import Record
from examples.demo.service import AWAY, BUSY, LIMIT_CALLS, LIMIT_SECONDS, WorldService

TALLY = Path("var/demo/tally.json")


class Results:
    """The lines of the result, held against the records that the service gives out."""

    def __init__(self, records: Mapping[str, Record]) -> None:
        self.countries = len(records)
        self._divided = frozenset(code for code, record in records.items() if record["parts"])

    def rows(self) -> Sequence[Row]:
        """Return what has been written so far."""
        lines = ROWS.read_bytes().splitlines() if ROWS.exists() else []
        return [Row.model_validate_json(line) for line in lines]

    def latest(self) -> str:
        """Return the country that was written last, in words."""
        rows = self.rows()
        return describe(rows[-1]) if rows else "nothing written yet"

    def are_complete(self, board: Board, *, missing: int) -> bool:
        """Whether all countries are written or left out, but for so many that must be written and are missing."""
        rows = len(self._divided) - missing
        is_written = all(board.count(name, "done") >= rows for name in ("write-row", "tally-row"))
        is_filtered = board.count("only-divided", "done") >= self.countries - missing
        return is_written and is_filtered and not any(map(board.unfinished, board.names))

    def problems(self, board: Board, service: WorldService) -> Iterator[str]:
        """Yield what is not as it must be at the end."""
        written = Counter(row.code for row in self.rows())
        if lost := sorted(self._divided - written.keys()):
            yield f"not written: {', '.join(lost)}"
        if surplus := sorted((written - Counter(self._divided)).elements()):
            yield f"written twice, or though they must be left out: {', '.join(surplus)}"
        if (others := left_out(board)) != self.countries - len(self._divided):
            yield f"{others} countries were left out, not {self.countries - len(self._divided)}"
        put_off, repeated = service.answers[BUSY] + service.answers[AWAY], board.count("fetch-country", "repeated")
        if put_off != repeated:
            yield f"the service put off {put_off} requests, but {repeated} messages were repeated"
        if refused := service.answers[HTTPStatus.UNAUTHORIZED]:
            yield f"{refused} calls came without the token of {USER}"
        if shows(service.token):
            yield f"the token of {USER} can be read in {INSTALLS}"
        for name in board.names:
            if unfinished := board.unfinished(name):
                yield f"{unfinished} messages arrived at {name} and have no outcome"

    def facts(self, board: Board, service: WorldService) -> Mapping[str, str]:
        """Return the run in figures."""
        done, seconds = board.total("done"), board.seconds
        busy, away, calls = service.answers[BUSY], service.answers[AWAY], service.busiest()
        kinds = ", ".join(f"{kind} in {noted['countries']}" for kind, noted in list(service.tally().items())[:4])
        return {
            "countries": f"{self.countries}: {len(self.rows())} written, {left_out(board)} left out",
            "messages": f"{done} done at {len(board.names)} nodes in {seconds:.1f} s, {done / seconds:.0f} a second",
            "repeated": f"{board.total('repeated')} times, after {busy} answers 429 and {away} answers 503",
            "limited": f"{board.total('limited')} times; at most {calls} of {LIMIT_CALLS} calls in {LIMIT_SECONDS} s",
            "trashed": f"{board.total('trashed')}, repaired and approved",
            "regions": f"{sum(row.parts for row in self.rows())}, mostly called {kinds}",
        }

    def save_tally(self, service: WorldService) -> None:
        """Write what the service has noted."""
        TALLY.write_text(json.dumps(service.tally(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def left_out(board: Board) -> int:
    """Return how many countries the filter has stopped."""
    return board.count("only-divided", "done") - board.count("country-to-row", "arrived")


def describe(row: Row) -> str:
    """Return a row in words."""
    return f"{row.flag} {row.country}, {row.parts} x {row.kind}, {row.currency or 'no own currency'}"
