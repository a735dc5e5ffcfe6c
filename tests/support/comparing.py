"""The nodes that compare, called as the worker calls them."""

from typing import Any
from uuid import uuid4

from connectors import Outcome
from connectors.action import Action
from connectors.nodes.comparator import Comparator, Confirm, Invalidate
from connectors.nodes.splitting import Split
from connectors.storage import Storage
from support.nodes import outcome_of


class Compared:
    """A master key of its own, in a storage."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.master = f"master-{uuid4().hex}"

    async def compare(
        self,
        items: list[Any],
        *,
        run: str | None = None,
        process: str | None = None,
        started: object = "",
        **configuration: Any,
    ) -> Outcome:
        """Return what `comparator` makes of items; of a run and a message of their own, if none is named."""
        wanted = {"idField": "id", "masterKey": self.master, **configuration}
        headers: dict[str, Any] = {"correlation_id": run or uuid4().hex, "process_id": process or uuid4().hex}
        headers |= {"process_started": started} if started else {}
        return await self.call(Comparator(), {"items": items, "configuration": wanted}, **headers)

    async def changes(self, items: list[Any], **options: Any) -> tuple[list[Any], list[Any], list[str]]:
        """Return what was created, updated and deleted."""
        told = (await self.compare(items, **options)).message.data  # type: ignore[union-attr]
        return told["created"], told["updated"], sorted(told["deleted"])

    async def confirm(self, **headers: Any) -> Outcome:
        """Return what `confirm` makes of a message with these headers."""
        return await self.call(Confirm(), {"any": "thing"}, **headers)

    async def invalidate(self, **values: Any) -> Outcome:
        """Forget all or one item."""
        return await self.call(Invalidate(), {"masterKey": self.master, **values})

    async def split(self, data: Any, **headers: Any) -> Outcome:
        """Return what `split` makes of a result."""
        return await self.call(Split(), data, **headers)

    async def call(self, action: Action[Any, Any], data: Any, **headers: Any) -> Outcome:
        """Call an action."""
        action.storage = self.storage
        return await outcome_of(action, {}, data, **headers)
