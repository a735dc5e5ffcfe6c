"""What a batch remembers of the pages so far: their number, what circles are found by, and what earlier pages told."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic_core import to_json

from connectors.errors import PagingLoop
from connectors.message import Message

TRAIL_HEADER: Final = "cursor-trail"
"""Carries the trail beside the header `cursor`, and goes no further."""


@dataclass(frozen=True, slots=True)
class PageMark:
    """What a page is known again by: the place that it leads to, and its items."""

    following: str = ""
    items: str = ""

    @classmethod
    def of(cls, following: str, rows: Sequence[Any]) -> "PageMark":
        """Return the mark of a page. Pages without items are all alike, which means nothing."""
        return cls(_digest(following.encode()), digest_of(rows))


def digest_of(rows: Sequence[Any]) -> str:
    """Return what items are known again by; empty for none."""
    return _digest(to_json(rows)) if rows else ""


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Trail:
    """What is remembered of the pages so far, whatever their number."""

    page: int = 1
    """The number of the page that is asked for now."""
    last: PageMark = PageMark()
    """The page before."""
    mark: PageMark = PageMark()
    """An earlier page. It moves up whenever the number of pages has doubled (Brent's way), and so is met again in
    every circle of pages before the circle has been walked three times."""
    is_circle: bool = False
    """Whether the place that is asked for now has been asked for before, with others in between."""
    is_again: bool = False
    """Whether the place that is asked for now is the one that was asked for last."""
    is_varied: bool = False
    """Whether two pages one after the other had different items: the service does take the paging parameter."""
    is_lacking: bool = False
    """Whether it was said that a reply has no list where it should lie."""
    full: int = 0
    """A page with fewer items is the last one; 0: nobody knows yet."""
    total: int | None = None
    """The last length of the list that a page told."""
    restarts: int = 0

    @classmethod
    def read(cls, text: str) -> "Trail":
        """Return what a header says; one that is missing or unreadable says nothing."""
        try:
            return _TRAIL.validate_json(text)
        except ValueError:
            return cls()

    def write(self) -> str:
        """Return the text of the header."""
        return _TRAIL.dump_json(self).decode()

    def after(self, mark: PageMark) -> "Trail":
        """Return the trail of the next page."""
        is_power_of_two = self.page & (self.page - 1) == 0
        is_again = mark.following == self.last.following
        return replace(
            self,
            page=self.page + 1,
            last=mark,
            mark=mark if is_power_of_two else self.mark,
            is_again=is_again,
            is_circle=not is_again and mark.following == self.mark.following,
            is_varied=self.is_varied or bool(self.last.items and mark.items and self.last.items != mark.items),
        )


_TRAIL: Final = TypeAdapter(Trail)


def trail_of(message: Message[Any]) -> Trail:
    """Return the trail of the page that the message asks for. Raises `PagingLoop` when it has been asked for before."""
    trail = Trail.read(str(message.headers.get(TRAIL_HEADER) or ""))
    if trail.is_circle:
        raise PagingLoop(f"page {trail.page} is one that has been asked for before: the pages go round in a circle")
    return trail
