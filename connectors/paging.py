"""Ready ways of paging through an endpoint. Each notices when a page comes twice, or when there is no end.

    PageNumber    ?page=2                   ends with a page that is not full
    Offset        ?offset=200               ends with a page that is not full
    CursorParam   ?after=<from the reply>   ends when the reply names none
    NextUrl       the reply names the URL   ends when it names none
    LinkHeader    as NextUrl, in a header   (RFC 8288)

The cursor that travels in the message is the place of the next page: a number, what the reply named, or a URL. A few
figures that loops are found by travel beside it (`Trail`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, NamedTuple
from urllib.parse import urljoin

from pydantic import TypeAdapter
from pydantic_core import to_json

from applications.http.response import Response, pick, read_list
from applications.http.wire import origin_of
from connectors.errors import PagingLoop
from connectors.message import Message
from connectors.outcome import Page, Trash
from connectors.rules import Codes, Rules, parse_codes
from connectors.service import CallOptions, Service

MAX_PAGES: Final = 100_000
MAX_RESTARTS: Final = 3

TRAIL_HEADER: Final = "cursor-trail"
"""Carries the trail beside the header `cursor`, and goes no further."""


class Ask(NamedTuple):
    """How a page is asked for: another path than the first page's, and parameters."""

    path: str | None = None
    params: Mapping[str, Any] = {}


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
    restart_on: Codes = ()
    """Statuses that mean that the cursor has expired: the batch begins again at the first page."""

    def ask(self, at: str | None) -> Ask:
        """Return how the page at this place is asked for."""
        raise NotImplementedError

    def following(self, at: str | None, response: Response, count: int) -> str | None:
        """Return the place of the page after this reply with `count` items; None at the end."""
        raise NotImplementedError


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

    def ask(self, at: str | None) -> Ask:
        """Return number and size."""
        return Ask(None, {self.param: at or self.start, **_size(self.size_param, self.size)})

    def following(self, at: str | None, response: Response, count: int) -> str | None:
        """Return the next number."""
        number = int(at or self.start)
        if self.total_pages is not None:
            last = int(pick(response.json(), self.total_pages) or 0) + self.start - 1
            return str(number + 1) if number < last else None
        return str(number + 1) if count >= self.size else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset(Pages):
    """Pages begin at an item's number: `?offset=200&limit=100`. Ends at `total`, else with a page that is not full."""

    param: str = "offset"
    """The parameter of the first item's number, which counts from 0."""
    size_param: str | None = "limit"
    total: str | None = None
    """Where the reply says how many items there are, such as `meta.total`."""

    def ask(self, at: str | None) -> Ask:
        """Return offset and size."""
        return Ask(None, {self.param: at or 0, **_size(self.size_param, self.size)})

    def following(self, at: str | None, response: Response, count: int) -> str | None:
        """Return the next offset."""
        after = int(at or 0) + count
        if self.total is not None:
            return str(after) if count and after < int(pick(response.json(), self.total) or 0) else None
        return str(after) if count >= self.size else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CursorParam(Pages):
    """The reply names the cursor of the next page. Ends when it names none."""

    next: str
    """Where the reply names it, such as `meta.after`."""
    param: str = "cursor"
    """The parameter that it goes into."""
    size_param: str | None = None

    def ask(self, at: str | None) -> Ask:
        """Return the cursor."""
        return Ask(None, {**({self.param: at} if at else {}), **_size(self.size_param, self.size)})

    def following(self, at: str | None, response: Response, count: int) -> str | None:
        """Return the cursor that the reply names."""
        found = pick(response.json(), self.next)
        return str(found) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class NextUrl(Pages):
    """The reply names the URL of the next page. Ends when it names none; raises `Trash` for one at another host."""

    next: str = "next"
    """Where the reply names it, such as `links.next`."""
    size_param: str | None = None

    def ask(self, at: str | None) -> Ask:
        """Return the URL."""
        return Ask(at, _size(self.size_param, self.size) if at is None else {})

    def following(self, at: str | None, response: Response, count: int) -> str | None:
        """Return the URL."""
        return _resolved(response, pick(response.json(), self.next))


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkHeader(Pages):
    """The reply's `Link` header names the URL of the next page (RFC 8288). Ends and raises as `NextUrl` does."""

    relation: str = "next"
    """The relation type of the link to the next page."""
    size_param: str | None = None

    def ask(self, at: str | None) -> Ask:
        """Return the URL."""
        return Ask(at, _size(self.size_param, self.size) if at is None else {})

    def following(self, at: str | None, response: Response, count: int) -> str | None:
        """Return the URL."""
        return _resolved(response, response.link(self.relation))


def _size(name: str | None, size: int) -> Mapping[str, Any]:
    return {name: size} if name else {}


def _resolved(response: Response, url: Any) -> str | None:
    """Return the whole URL; one that the reply names may be relative to the reply's own."""
    return urljoin(response.url, str(url)) if url else None


@dataclass(frozen=True, slots=True)
class PageMark:
    """What a page is known again by: the place that it leads to, and its items."""

    following: str = ""
    items: str = ""

    @classmethod
    def of(cls, following: str, rows: Sequence[Any]) -> "PageMark":
        """Return the mark of a page. Pages without items are all alike, which means nothing."""
        return cls(_digest(following.encode()), _digest(to_json(rows)) if rows else "")


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
    """Whether the place that is asked for now has been asked for before."""
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
        is_circle = mark.following in {self.last.following, self.mark.following}
        return Trail(self.page + 1, mark, mark if is_power_of_two else self.mark, is_circle, self.restarts)


_TRAIL: Final = TypeAdapter(Trail)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What one page is asked with."""

    method: str
    path: str
    values: Any
    items: str
    model: Any
    options: CallOptions


async def read_page(
    service: Service, pages: Pages, message: Message[Any], at: str | None, request: PageRequest
) -> Page:
    """Ask for the page at this place and return its items and the next cursor."""
    trail = trail_of(message)
    response = await _ask(service, pages, at, trail, request)
    if at is not None and response.status in parse_codes(pages.restart_on):
        return _restart(trail, response)
    found = pick(response.data(), request.items)
    rows = list(found) if found is not None else []
    return page_of(pages, trail, rows, pages.following(at, response, len(rows)), request.model, str(response))


def trail_of(message: Message[Any]) -> Trail:
    """Return the trail of the page that the message asks for. Raises `PagingLoop` when it has been asked for before."""
    trail = Trail.read(str(message.headers.get(TRAIL_HEADER) or ""))
    if trail.is_circle:
        raise PagingLoop(f"page {trail.page} is one that has been asked for before: the pages go round in a circle")
    return trail


def page_of(pages: Pages, trail: Trail, rows: Sequence[Any], following: str | None, model: Any, reply: str) -> Page:
    """Return the page. Raises `PagingLoop` for rows that were published before."""
    _check_rows(pages, trail, rows, reply)
    items = rows if model is Any else read_list(model, rows)
    if following is None:
        return Page(items)
    return Page(items, following, trail=trail.after(PageMark.of(following, rows)).write())


async def _ask(service: Service, pages: Pages, at: str | None, trail: Trail, request: PageRequest) -> Response:
    asked, options = pages.ask(at), request.options.copy()
    options["params"] = {**(options.get("params", {}) if asked.path is None else {}), **asked.params}
    if at is not None and pages.restart_on:
        expired = Rules(success=pages.restart_on)
        options["rules"] = expired.over(options["rules"]) if "rules" in options else expired
    path, values = (request.path, request.values) if asked.path is None else (asked.path, None)
    if asked.path is not None:
        await _check_home(service, asked.path, request.path)
    try:
        return await service.request(request.method, path, values, **options)
    except Trash as error:
        if at is None:
            raise
        raise Trash(f"page {trail.page}, whose cursor may have expired: {error}") from error


async def _check_home(service: Service, url: str, first: str) -> None:
    """A request carries our credentials: it must not follow a reply to another service."""
    home = origin_of((await service.access()).base_url or first)
    if origin_of(url) != home:
        raise Trash(f"the next page is at {origin_of(url)}, which is not {home}: credentials would go there")


def _restart(trail: Trail, response: Response) -> Page:
    """Begin again at the first page; its items get the ids that they had before."""
    if trail.restarts >= MAX_RESTARTS:
        raise PagingLoop(f"{response}: the cursor expired before the last page, {trail.restarts + 1} times")
    return Page((), "", trail=Trail(restarts=trail.restarts + 1).write())


def _check_rows(pages: Pages, trail: Trail, rows: Sequence[Any], reply: str) -> None:
    """A page that was published before is not published again."""
    if trail.page >= pages.max_pages:
        raise PagingLoop(f"{reply}: no end after {trail.page} pages; allow more with max_pages")
    if rows and not pages.may_repeat and _digest(to_json(rows)) in {trail.last.items, trail.mark.items}:
        raise PagingLoop(
            f"{reply}: page {trail.page} holds the same {len(rows)} items as an earlier one. Does the service "
            "take the paging parameter? Where equal pages are right, say may_repeat=True"
        )
