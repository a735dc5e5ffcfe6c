"""What a message says to `comparator`, and what of an item counts."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from connectors.outcome import Trash

DIGEST_BYTES = 16
MOST_ID_BYTES = 1024

Name = Annotated[str, Field(min_length=1)]
Seconds = Annotated[float, Field(ge=0, le=10 * 365 * 86_400)]


class CompareConfiguration(BaseModel):
    """How the items are compared; null is the same as nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)

    id_field: Name
    """Where an item has its id: a field, or a path such as `product.id`."""
    master_key: Name
    """Under which name the items are kept."""
    excluded_fields: Sequence[Name] | None = None
    """Paths that do not count."""
    stop_on_empty_array: bool | None = None
    ttl: Seconds | None = None
    """For how many seconds the items are kept after a change; 0: for ever."""
    deleted: bool | None = None
    """Whether the result names what is missing."""
    is_last: bool | None = None
    total_count: Annotated[int, Field(ge=0)] | None = None
    """How many items the run has in all its messages; 0: unknown."""
    pass_as_list_of_existing_items: bool | None = None
    skip_comparison: bool | None = None
    lock: bool | None = None
    require_confirmation: bool | None = None
    confirmation_ttl: Annotated[int, Field(gt=0, le=10 * 365 * 86_400)] | None = None
    """For how many seconds a result can be confirmed."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.pass_as_list_of_existing_items and self.deleted:
            raise ValueError("a list cannot name what was deleted: set passAsListOfExistingItems or deleted, not both")
        return self

    @property
    def kept(self) -> timedelta | None:
        """How long the items are kept."""
        return timedelta(seconds=self.ttl) if self.ttl else None

    @property
    def confirmable(self) -> timedelta:
        """How long a result can be confirmed."""
        return timedelta(seconds=self.confirmation_ttl or 86_400)

    @property
    def has_end(self) -> bool:
        """Whether the messages of a run say which one is the last."""
        return self.is_last is not None or bool(self.total_count)


class CompareRequest(BaseModel):
    """The body of a message for `comparator`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: list[dict[str, Any]]
    configuration: CompareConfiguration


class InvalidateRequest(BaseModel):
    """The body of a message for `invalidate`."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel)

    master_key: Name
    external_id: str | int | None = None


def by_id(items: Sequence[Mapping[str, Any]], id_field: str) -> dict[str, Mapping[str, Any]]:
    """Return the items by their ids; of several with one id, the last. Raises `Trash` for an item without one."""
    return {item_id(item, id_field, f"items[{index}]"): item for index, item in enumerate(items)}


def item_id(item: Any, id_field: str, place: str) -> str:
    """Return an item's id as text. Raises `Trash` if it has none."""
    value = item.get(id_field) if isinstance(item, Mapping) else None
    if value is None:
        value = _found(item, id_field.split("."))
    if isinstance(value, float) and math.isfinite(value):
        value = int(value) if value.is_integer() else repr(value)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise Trash(f"{place} has no text or number in {id_field!r}: set `idField` to where each item has its id")
    text = str(value)
    if len(text.encode()) > MOST_ID_BYTES:
        raise Trash(f"the id of {place} is longer than {MOST_ID_BYTES} bytes: set `idField` to a shorter one")
    return text


def digest(item: Mapping[str, Any], excluded: Sequence[str]) -> bytes:
    """Return what an item is compared by: the order of its fields does not count."""
    for path in excluded:
        item = _without(item, path.split("."))
    text = json.dumps(item, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).digest()


def _found(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _without(value: Any, path: Sequence[str]) -> Any:
    """Return a copy without the field at the path; steps into a list are positions."""
    name, rest = path[0], path[1:]
    if isinstance(value, list) and name.isdecimal() and int(name) < len(value):
        at = int(name)
        return [*value[:at], *([_without(value[at], rest)] if rest else []), *value[at + 1 :]]
    if not isinstance(value, Mapping) or name not in value:
        return value
    if rest:
        return {**value, name: _without(value[name], rest)}
    return {own: kept for own, kept in value.items() if own != name}
