"""What a run looks like: a live table on a terminal, a line now and then elsewhere."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from examples.demo.board import KINDS, Board

FRAME_SECONDS = 0.1
LINE_SECONDS = 3.0
STYLES = {"arrived": "", "done": "green", "repeated": "yellow", "limited": "magenta", "trashed": "red"}


@dataclass(frozen=True, slots=True)
class Screen:
    """Shows a board; `countries` is how many there are, `news` the latest in one line."""

    console: Console
    board: Board
    countries: int
    news: Callable[[], str]

    async def watch(self, is_over: Callable[[], bool]) -> None:
        """Show the run until it is over."""
        if self.console.is_terminal and not self.console.is_dumb_terminal:
            await self._watch_live(is_over)
        else:
            await self._print_lines(is_over)

    async def _watch_live(self, is_over: Callable[[], bool]) -> None:
        columns = TextColumn("countries"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        progress = Progress(*columns, auto_refresh=False)
        bar = progress.add_task("", total=self.countries)
        with Live(console=self.console, auto_refresh=False) as live:
            async for is_last in frames(is_over):
                self.board.look()
                progress.update(bar, completed=self._fetched)
                live.update(
                    Group("", self._table(is_last=is_last), "", progress, Text(self.news(), "dim")), refresh=True
                )

    async def _print_lines(self, is_over: Callable[[], bool]) -> None:
        next_line = LINE_SECONDS
        async for is_last in frames(is_over):
            self.board.look()
            if is_last or self.board.seconds >= next_line:
                next_line += LINE_SECONDS
                self.console.print(self._line(), highlight=False, soft_wrap=True)
        self.console.print(self._table(is_last=True))

    @property
    def _fetched(self) -> int:
        return self.board.count("fetch-country", "done")

    def _table(self, *, is_last: bool) -> Table:
        speed = self.board.average_speed if is_last else self.board.speed
        table = Table("node", box=None, header_style="bold", pad_edge=False)
        for kind in (*KINDS, "messages/s"):
            table.add_column(kind, justify="right", style=STYLES.get(kind))
        for name in self.board.names:
            counts = [str(self.board.count(name, kind) or "·") for kind in KINDS]
            table.add_row(name, *counts, f"{speed(name):.1f}")
        return table

    def _line(self) -> str:
        counts = ", ".join(f"{self.board.total(kind)} {kind}" for kind in KINDS)
        return f"{self.board.seconds:4.0f} s  {self._fetched} of {self.countries} countries; {counts}; {self.news()}"


def print_facts(console: Console, facts: Mapping[str, str]) -> None:
    """Print names and what there is to say of them."""
    table = Table.grid("name", "fact", padding=(0, 2))
    for name, fact in facts.items():
        table.add_row(f"  {name}", fact)
    console.print(table)


async def until(is_over: Callable[[], bool]) -> None:
    """Return when it is over, with nothing to draw meanwhile."""
    async for _ in frames(is_over):
        pass


async def frames(is_over: Callable[[], bool]) -> AsyncIterator[bool]:
    """Yield at each moment to draw a picture, and True for the last one, when it is over."""
    while not is_over():
        yield False
        await asyncio.sleep(FRAME_SECONDS)
    yield True
