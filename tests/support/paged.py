"""Actions of a worker in a process of its own: a batch that pages, a declaration and a function."""

from typing import Any

from connectors import Batch, Message, Page, PageNumber, custom_node


class Rows(Batch[dict[str, Any], Any]):
    """Pages through the URL that the body names, for a user of its own per row."""

    name = "rows"

    async def page(self, message: Message[dict[str, Any]], cursor: str | None) -> Page:
        """Ask for a page."""
        page = await self.read_page(message, cursor, PageNumber(size=20), message.data["url"])
        items = [_item(message, row) for row in page.items]
        return Page(items, page.next_cursor, trail=page.trail)


def _item(message: Message[Any], row: Any) -> Message[Any]:
    own = message.with_data(row).with_user(f"user-{row['id'] % 3}")
    return own.with_limit("shop", 100, 1).with_limit("shop", 500, 1, for_all_users=True)


@custom_node("double")
def double(row: dict[str, int]) -> dict[str, int]:
    """Doubles."""
    return {"id": row["id"], "twice": row["id"] * 2}
