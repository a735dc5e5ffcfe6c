"""Ready ways of paging through an endpoint. Each notices when a page comes twice, or when there is no end.

    PageNumber    ?page=2                   ends with a page that is not full
    Offset        ?offset=200               ends with a page that is not full
    CursorParam   ?after=<from the reply>   ends when the reply names none
    NextUrl       the reply names the URL   ends when it names none
    LinkHeader    as NextUrl, in a header   (RFC 8288)

The cursor that travels in the message is the place of the next page: a number, what the reply named, or a URL. A few
figures that loops are found by travel beside it (`connectors.trail`). `connectors.listing` asks for the pages.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import structlog
from pydantic_core import to_json

from applications.http.response import Response, pick
from connectors.rules import Codes

log = structlog.get_logger()

MAX_PAGES: Final = 100_000

BEYOND: Final = "400 404"
"""What services answer to the number of a page behind the last one."""


class Ask(NamedTuple):
    """How a page is asked for: another path than the first page's, and parameters."""

    path: str | None = None
    params: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class PageReply:
    """A page that came, and what is known from those before it."""

    response: Response
    data: Any
    """The body as plain values; None where it is empty."""
    count: int
    """How many items it has."""
    full: int
    """A page with fewer items is the last one."""
    total: int | None = None
    """The last length of the list that a page told, in pages or items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """A way of paging. `at` is the place of a page, None for the first.

    In all of them `size_param` is the parameter that asks for `size`; None leaves it out. A batch that pages by one
    raises `PagingLoop` for pages that go round in a circle.
    """

    size: int = 100
    """How many items one page is asked for."""
    max_pages: int = MAX_PAGES
    """More pages than this are taken for a mistake."""
    may_repeat: bool = False
    """Whether two pages may hold the same items."""
    may_lack_items: bool = False
    """Whether a reply may leave the list out, which then is empty. Else a warning says so, once for each batch."""
    restart_on: Codes = ()
    """Statuses that mean that the cursor has expired: the batch begins again at the first page."""
    end_on: Codes = ()
    """Statuses that mean, from the second page on, that the page before was the last one. Rules that name them win."""

    @property
    def total_at(self) -> str | None:
        """Where a reply tells the length of the list."""
        return None

    @property
    def is_numbered(self) -> bool:
        """Whether the places of pages are counted here, whatever the replies say."""
        return False

    def ask(self, at: str | None) -> Ask:
        """Return how the page at this place is asked for."""
        raise NotImplementedError

    def following(self, at: str | None, page: PageReply) -> str | None:
        """Return the place of the page after this one; None at the end.

        Raises `ReplyUnreadable` for what can be no place.
        """
        raise NotImplementedError

    def promises(self, at: str | None, total: int) -> bool:
        """Whether a list of this length (`total`) has something at this place."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class PageNumber(Pages):
    """Pages are numbered: `?page=2&per_page=100`. Ends at `total_pages`, else with a page that is not full."""

    param: str = "page"
    """The parameter of the number."""
    size_param: str | None = "per_page"
    start: int = 1
    """The number of the first page."""
    total_pages: str | None = None
    """Where the reply says how many pages there are, such as `meta.pages`."""
    end_on: Codes = BEYOND

    @property
    def total_at(self) -> str | None:
        """Where a reply tells the number of pages."""
        return self.total_pages

    @property
    def is_numbered(self) -> bool:
        """True."""
        return True

    def ask(self, at: str | None) -> Ask:
        """Return number and size."""
        return Ask(None, {self.param: at or self.start, **_size(self.size_param, self.size)})

    def following(self, at: str | None, page: PageReply) -> str | None:
        """Return the next number."""
        number = int(at or self.start)
        if page.total is not None and self.promises(str(number), page.total):
            return str(number + 1) if self.promises(str(number + 1), page.total) else None
        return str(number + 1) if _goes_on(page) else None

    def promises(self, at: str | None, total: int) -> bool:
        """Whether so many pages (`total`) reach this number."""
        return int(at or self.start) < total + self.start


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset(Pages):
    """Pages begin at an item's number: `?offset=200&limit=100`. Ends at `total`, else with a page that is not full."""

    param: str = "offset"
    """The parameter of the first item's number, which counts from 0."""
    size_param: str | None = "limit"
    total: str | None = None
    """Where the reply says how many items there are, such as `meta.total`."""
    end_on: Codes = BEYOND

    @property
    def total_at(self) -> str | None:
        """Where a reply tells the number of items."""
        return self.total

    @property
    def is_numbered(self) -> bool:
        """True."""
        return True

    def ask(self, at: str | None) -> Ask:
        """Return offset and size."""
        return Ask(None, {self.param: at or 0, **_size(self.size_param, self.size)})

    def following(self, at: str | None, page: PageReply) -> str | None:
        """Return the next offset. An empty page is the end, with a warning if more was promised."""
        after = int(at or 0) + page.count
        if page.total is None or page.total < after:
            return str(after) if _goes_on(page) else None
        if after < page.total and not page.count:
            log.warning("batch_short_of_total", reply=str(page.response), items=after, total=page.total)
        return str(after) if after < page.total and page.count else None

    def promises(self, at: str | None, total: int) -> bool:
        """Whether so many items (`total`) reach this offset."""
        return int(at or 0) < total


@dataclass(frozen=True, slots=True, kw_only=True)
class CursorParam(Pages):
    """The reply names the cursor of the next page. Ends when it names none."""

    next: str
    """Where the reply names it, such as `meta.after`. A cursor of several values is sent as JSON."""
    param: str = "cursor"
    """The parameter that it goes into."""
    size_param: str | None = None

    def ask(self, at: str | None) -> Ask:
        """Return the cursor."""
        return Ask(None, {**({self.param: at} if at else {}), **_size(self.size_param, self.size)})

    def following(self, at: str | None, page: PageReply) -> str | None:
        """Return the cursor that the reply names."""
        return cursor_of(page.response, self.next, pick(page.data, self.next))


@dataclass(frozen=True, slots=True, kw_only=True)
class NextUrl(Pages):
    """The reply names the URL of the next page. Ends when it names none; raises `Trash` for one at another host."""

    next: str = "next"
    """Where the reply names it, such as `links.next`: a text, or an object with `href` (JSON:API, HAL)."""
    size_param: str | None = None

    def ask(self, at: str | None) -> Ask:
        """Return the URL."""
        return Ask(at, _size(self.size_param, self.size) if at is None else {})

    def following(self, at: str | None, page: PageReply) -> str | None:
        """Return the URL. Raises `ReplyUnreadable` for what is no text."""
        found = pick(page.data, self.next)
        if isinstance(found, Mapping):
            found = found.get("href", found)
        if found and not isinstance(found, str):
            raise page.response.unreadable(f"{self.next} is {kind_of(found)}, not the URL of the next page")
        return _resolved(page.response, found)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkHeader(Pages):
    """The reply's `Link` header names the URL of the next page (RFC 8288). Ends and raises as `NextUrl` does."""

    relation: str = "next"
    """The relation type of the link to the next page."""
    size_param: str | None = None

    def ask(self, at: str | None) -> Ask:
        """Return the URL."""
        return Ask(at, _size(self.size_param, self.size) if at is None else {})

    def following(self, at: str | None, page: PageReply) -> str | None:
        """Return the URL."""
        return _resolved(page.response, page.response.link(self.relation))


def _size(name: str | None, size: int) -> Mapping[str, Any]:
    return {name: size} if name else {}


def _goes_on(page: PageReply) -> bool:
    """Whether there may be more: the page is full, or the reply names a next page in its `Link` header."""
    return page.count >= page.full or bool(page.count and page.response.link("next"))


def _resolved(response: Response, url: str | None) -> str | None:
    """Return the whole URL; one that the reply names may be relative to the reply's own."""
    return response.resolve(url) if url else None


def cursor_of(response: Response, place: str, found: Any) -> str | None:
    """Return a cursor as text; None when there is none. Raises `ReplyUnreadable` for what can be no cursor."""
    if found is True:
        raise response.unreadable(f"{place} is true, not the cursor of the next page")
    if not found:
        return None
    return found if isinstance(found, str) else to_json(found).decode()


def kind_of(value: Any) -> str:
    """Return what a plain value is, in words."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case str():
            return "a text"
        case Mapping():
            return "an object"
        case list():
            return "a list"
    return "a number"
