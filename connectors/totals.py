"""How long a list is, as far as its first pages tell."""

from typing import Any, Final

from applications.http.response import Response, pick
from connectors.paging import Pages, kind_of

_ROUND: Final = (5, 12, 16)
"""Services cut pages at multiples of these: at 10, 20, 25, 50, 100, 250, at 24, 48, 96, and at 32, 64, 128."""


def total_of(response: Response, data: Any, at: str | None) -> int | None:
    """Return the length that lies `at` this place; None when there is none, or a negative one, which means unknown.

    Raises `ReplyUnreadable` for what is no number.
    """
    found = pick(data, at) if at else None
    if found is None or found == "":
        return None
    number = _whole(found)
    if number is None:
        raise response.unreadable(f"at {at!r} lies {kind_of(found)}, not how long the list is")
    return number if number >= 0 else None


def _whole(found: Any) -> int | None:
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        return None
    try:
        number = float(found)
    except ValueError:
        return None
    return int(number) if number.is_integer() else None


def full_of(pages: Pages, at: str | None, count: int) -> int:
    """Return how many items a page has that is not the last one, as the first page shows.

    A service that gives fewer items than it was asked for cuts its pages, or has no more. A round number is taken for
    the first: one more page is asked for, and no list ends early.
    """
    is_cut = at is None and 0 < count < pages.size and any(count % part == 0 for part in _ROUND)
    return count if is_cut else pages.size
