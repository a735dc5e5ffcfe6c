"""Batches that name again and again the cursor that they were called with.

That may be right: the source gives what is next, whatever it is asked. It may also be a batch that never ends. Each
page of them says in the header `cursor-trail` how many came before, so the end comes, and their items have ids of their
own.
"""

import re
from typing import Final

from connectors import Page
from worker.protocol import headers as h
from worker.protocol.message import Visit

MOST_PAGES: Final = 100_000
"""As many as ready paging asks for, unless it is told otherwise."""
_TRAIL: Final = re.compile("same ([0-9]{1,9})")


class EndlessPages(ValueError):
    """A batch does not come to an end."""


def place_of(visit: Visit) -> str:
    """Return which page this is: its cursor, with the number of those before that had the same."""
    times = _times(visit)
    cursor = visit.headers.text(h.CURSOR)
    return f"{cursor}\x1f{times}" if times else cursor


def trail_of(visit: Visit, page: Page) -> str | None:
    """Return what the next page is to say; None if there is nothing to say. Raises `EndlessPages`."""
    if page.trail or h.CURSOR not in visit.headers or str(page.next_cursor) != visit.headers.text(h.CURSOR):
        return page.trail or None
    times = _times(visit) + 1
    if times >= MOST_PAGES:
        raise EndlessPages(
            f"the batch has named the cursor {page.next_cursor!r} {times} times one after the other: "
            "return a page without next_cursor at the end"
        )
    return f"same {times}"


def is_same_cursor(visit: Visit) -> bool:
    """Whether the page has the cursor of the one before."""
    return _times(visit) > 0


def _times(visit: Visit) -> int:
    found = _TRAIL.fullmatch(visit.headers.text(h.CURSOR_TRAIL))
    return int(found[1]) if found else 0
