"""The items of a page: the list that lies at a place in the reply, and nothing that is none."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from applications.http.response import Response, pick
from connectors.paging import kind_of

_ERRORS: Final = ("error", "errors", "fault", "Fault", "exception")
"""Members by which a reply of a good status says that it is none."""
_ROOT: Final = frozenset({"", "$"})


def is_empty(response: Response) -> bool:
    """Whether there is nothing in the reply to read."""
    return not response.content.strip()


def items_of(response: Response, data: Any, at: str) -> Sequence[Any] | None:
    """Return the list that lies `at` this place; an empty one for null, None where there is no such place.

    XML does not tell a list of one from the item itself: there one item is a list. Raises `ReplyUnreadable` for
    anything else that is no list, and for a reply without the place that speaks of an error.
    """
    found = pick(data, at)
    if isinstance(found, list):
        return found
    if found is not None:
        if response.is_xml and at not in _ROOT:
            return [found]
        raise response.unreadable(f"{_place(at)} lies {kind_of(found)}, not a list of items{_cure(response, found)}")
    if _is_there(data, at, is_xml=response.is_xml):
        return []
    if said := next((name for name in _ERRORS if isinstance(data, Mapping) and data.get(name)), None):
        raise response.unreadable(f"{_place(at)} lies nothing, and the reply has {said!r}: {response.problem or said}")
    return None


def _place(at: str) -> str:
    return "at its root" if at in _ROOT else f"at {at!r}"


def _cure(response: Response, found: Any) -> str:
    if response.is_xml:
        return "; name the element that occurs once for each item"
    if not isinstance(found, Mapping):
        return ""
    lists = [name for name, value in found.items() if isinstance(value, list)]
    return f"; a list lies at {lists[0]!r}" if len(lists) == 1 else ""


def _is_there(data: Any, at: str, *, is_xml: bool) -> bool:
    """Whether the place is there, with nothing in it. An empty list in XML is the absence of its element."""
    if at in _ROOT:
        return True
    above, _, name = at.removeprefix("$.").rpartition(".")
    parent = pick(data, above)
    if isinstance(parent, Mapping):
        has_elements = any(not key.startswith(("@", "#")) for key in parent)
        return name in parent or (is_xml and not has_elements)
    return is_xml and parent is None and _is_there(data, above, is_xml=True)
