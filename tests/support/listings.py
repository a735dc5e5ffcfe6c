"""Batches of a shop that page in a ready way, and their walk from page to page."""

from typing import Any

from applications import Application
from connectors import Endpoints, Page
from connectors.paging import Pages
from connectors.trail import TRAIL_HEADER
from support.calls import Bench


class Shop(Application):
    key = "shop"
    base_url = "http://shop.invalid"


shop = Endpoints(Shop)


def listing(pages: Pages, at: str = "$", **more: Any) -> Any:
    return shop.list("rows", "/{list}", Any, Any, pages=pages, at=at, **more)


async def walk(at: Bench, action: Any, most: int = 20) -> tuple[list[Any], Any, list[str | None]]:
    """Follow the cursor as the broker does; return items, the last outcome and the cursors."""
    items: list[Any] = []
    cursors: list[str | None] = []
    headers: dict[str, str] = {}
    for _ in range(most):
        outcome: Any = await at.call(action, {"list": "rows"}, **headers)
        if not isinstance(outcome, Page):
            return items, outcome, cursors
        items += outcome.items
        cursors.append(outcome.next_cursor)
        if outcome.next_cursor is None:
            return items, outcome, cursors
        headers = {"cursor": outcome.next_cursor, TRAIL_HEADER: outcome.trail}
    raise AssertionError(f"no end: {cursors}")
