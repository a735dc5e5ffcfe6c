"""Reading a list page by page: asks for a page, takes its items out, and decides whether it was the last one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog

from applications.http.response import Response, read_list
from applications.http.wire import origin_of
from connectors.errors import PagingLoop
from connectors.items import is_empty, items_of
from connectors.message import Message
from connectors.next_place import concealed, revealed
from connectors.outcome import Page, Trash
from connectors.paging import PageReply, Pages
from connectors.rules import Rules, parse_codes
from connectors.service import CallOptions, Service
from connectors.totals import full_of, total_of
from connectors.trail import PageMark, Trail, digest_of, trail_of

log = structlog.get_logger()

MAX_RESTARTS: Final = 3


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
    at = await revealed(service, at)
    rules = _rules(service, request.options)
    expired, beyond = _expected(pages, at, rules)
    asking = replace(service, rules=rules.with_successes(expired | beyond))
    response = await _ask(asking, pages, at, trail, request)
    if response.status in expired:
        return _restart(trail, response)
    if response.status in beyond:
        return _end_behind(pages, at, trail, response)
    is_bare = is_empty(response) and (at is not None or response.status == _NO_CONTENT)
    data = None if is_bare else response.data()
    rows = [] if is_bare else items_of(response, data, request.items)
    if rows is None and not (pages.may_lack_items or trail.is_lacking):
        log.warning("batch_without_items", reply=str(response), place=request.items, page=trail.page)
    trail = replace(trail, is_lacking=trail.is_lacking or rows is None)
    page = _page(pages, at, trail, response, data, rows or [], request.model)
    if page.next_cursor is None or pages.is_numbered:
        return page
    return replace(page, next_cursor=await concealed(service, page.next_cursor))


_NO_CONTENT: Final = 204


def _rules(service: Service, options: CallOptions) -> Rules:
    own = options.get("rules")
    return own.over(service.rules) if own else service.rules


def _expected(pages: Pages, at: str | None, rules: Rules) -> tuple[frozenset[int], frozenset[int]]:
    """Return the statuses of an expired cursor, and those of a place behind the last page."""
    if at is None:
        return frozenset(), frozenset()
    expired = parse_codes(pages.restart_on)
    return expired, parse_codes(pages.end_on) - expired - rules.meanings.keys()


async def _ask(service: Service, pages: Pages, at: str | None, trail: Trail, request: PageRequest) -> Response:
    asked, options = pages.ask(at), request.options.copy()
    options.pop("rules", None)
    options["params"] = {**(options.get("params", {}) if asked.path is None else {}), **asked.params}
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


def _end_behind(pages: Pages, at: str | None, trail: Trail, response: Response) -> Page:
    """End with the page before, as the service has none at this place, unless it has told of more."""
    because = f"{response}{f': {response.problem}' if response.problem else ''}"
    if trail.total is not None and pages.promises(at, trail.total):
        raise Trash(f"page {trail.page} is missing, although {pages.total_at!r} was {trail.total}: {because}")
    log.info("batch_ended_by_status", page=trail.page, reply=because)
    return Page(())


def _page(
    pages: Pages, at: str | None, trail: Trail, response: Response, data: Any, rows: Sequence[Any], model: Any
) -> Page:
    told = total_of(response, data, pages.total_at)
    total = trail.total if told is None else told
    if total is None and pages.total_at and trail.page == 1 and data is not None:
        log.warning("batch_without_total", reply=str(response), place=pages.total_at)
    full = trail.full or full_of(pages, at, len(rows))
    trail = replace(trail, total=total, full=full)
    following = pages.following(at, PageReply(response, data, len(rows), full, total))
    return page_of(pages, at, trail, rows, following, model, str(response))


def page_of(
    pages: Pages, at: str | None, trail: Trail, rows: Sequence[Any], following: str | None, model: Any, reply: str
) -> Page:
    """Return the page. Raises `PagingLoop` for rows that were published before, unless they are the last page again."""
    if trail.page >= pages.max_pages:
        raise PagingLoop(f"{reply}: no end after {trail.page} pages; allow more with max_pages")
    if rows and digest_of(rows) == trail.last.items and _is_last_again(pages, at, trail):
        following, rows = (None if pages.is_numbered else following), ()
    _check_rows(pages, trail, rows, reply)
    items = rows if model is Any else read_list(model, rows)
    if following is None:
        return Page(items)
    after = trail.after(PageMark.of(following, rows))
    return Page(items) if after.is_again and not rows else Page(items, following, trail=after.write())


def _is_last_again(pages: Pages, at: str | None, trail: Trail) -> bool:
    """Whether equal items are the last page, asked for once more: by its own cursor, or by a number behind it.

    A number is behind the last page if the service has heeded it before, or if the page looked like the last one.
    """
    if trail.is_again:
        return True
    if not pages.is_numbered or pages.may_repeat or (trail.total is not None and pages.promises(at, trail.total)):
        return False
    return trail.is_varied or trail.full < pages.size


def _check_rows(pages: Pages, trail: Trail, rows: Sequence[Any], reply: str) -> None:
    """A page that was published before is not published again."""
    if rows and trail.is_again:
        raise PagingLoop(
            f"{reply}: page {trail.page} has the same cursor as the page before, and other items: "
            "the pages go round in a circle"
        )
    if rows and not pages.may_repeat and digest_of(rows) in {trail.last.items, trail.mark.items}:
        raise PagingLoop(
            f"{reply}: page {trail.page} holds the same {len(rows)} items as an earlier one. Does the service "
            "take the paging parameter? Where equal pages are right, say may_repeat=True"
        )
