"""Tests written for the NodeTester of the Node.js SDK: `input.json`, `mock.json` and `output.json` in a folder."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from yarl import URL

from applications.http.request import Request
from applications.http.transport import Reply
from connectors import Forward, Limited, Outcome, Page, Repeat, Stop, Trash
from connectors.http import FindAccess, of_class
from connectors.kind import Kind
from worker.actions.registry import AnyAction
from worker.protocol import headers as h
from worker.testing.action import ActionResult, run_action
from worker.testing.transports import UnexpectedRequest, answering

_CODES: Final = {Repeat: "1001", Stop: "1003", Limited: "1004", Trash: "1006"}
_SUCCESS: Final = "0"
_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
"""Any other word stands for all of them."""

_STAMPED: Final = h.TRANSIENT | frozenset(
    {
        h.CORRELATION_ID, h.PROCESS_ID, h.PARENT_ID, h.SEQUENCE_ID, h.PREVIOUS_NODE_ID, h.NODE_ID, h.NODE_NAME,
        h.TOPOLOGY_ID, h.TOPOLOGY_NAME, h.WORKER_FOLLOWERS, h.PROCESS_STARTED, h.CONTENT_TYPE, h.APPLICATION, h.STEP,
        h.CURSOR, h.CURSOR_TRAIL,
    }
)  # fmt: skip
"""Headers that are the worker's, not the action's."""


async def run_node_fixtures(
    action: AnyAction | type[AnyAction],
    folder: str | Path,
    prefix: str = "",
    *,
    outcome: type[Outcome] | None = None,
    is_raw: bool = False,
    access: FindAccess = of_class,
) -> ActionResult:
    """Run an action with the files that a NodeTester reads, and compare what it does with `output.json`.

    `folder` is the one with the files, `Data/{name of the test}`; `prefix` is that of the NodeTester. `outcome` is what
    the action decides where a NodeTester expects an error: then `output.json` is not read. `is_raw` is for bodies that
    are not JSON. `access` is that of `run_action`.

    Raises `AssertionError` that says what differs, and `ValueError` that names a file that cannot be read.
    """
    files = _Files(Path(folder), f"{prefix}-" if prefix else "")
    given = files.read("input.json")
    headers = h.without(given.get("headers") or {}, _STAMPED)
    followers = json.loads(str((given.get("headers") or {}).get(h.WORKER_FOLLOWERS) or "[]"))
    names = {str(follower["id"]): str(follower["name"]) for follower in followers}
    result = await run_action(
        action,
        None if is_raw else given.get("data"),
        body=str(given.get("data", "")) if is_raw else None,
        headers=headers,
        followers=list(names.values()) or ["next"],
        http=answering(_Mocks(files).answer),
        access=access,
    )
    if outcome is not None:
        _same("outcome", outcome.__name__, type(result.outcome).__name__)
    elif action.kind is Kind.BATCH:
        _compare_pages(result, files)
    else:
        _compare(result, files.read("output.json"), names, is_raw=is_raw)
    return result


@dataclass(frozen=True, slots=True)
class _Files:
    folder: Path
    prefix: str

    def read(self, name: str) -> Mapping[str, Any]:
        return _read(self.folder / f"{self.prefix}{name}")

    def mocks(self) -> Iterator["_Mock"]:
        """Yield the replies of all calls: those of a further page have its number in front."""
        page = 0
        while (paths := list(self._mocks_of(f"{page}-" if page else ""))) or not page:
            yield from map(_Mock.read, paths)
            page += 1

    def _mocks_of(self, page: str) -> Iterator[Path]:
        number = 0
        while (path := self.folder / f"{page}{self.prefix}mock{number or ''}.json").exists():
            yield path
            number += 1


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from None
    if not isinstance(content, Mapping):
        raise ValueError(f"{path}: an object is expected")  # noqa: TRY004 - the file is wrong, not an argument
    return content


@dataclass(frozen=True, slots=True)
class _Mock:
    """A reply of a service, and which request gets it."""

    file: str
    method: str
    url: URL | re.Pattern[str]
    reply: Reply

    @classmethod
    def read(cls, path: Path) -> "_Mock":
        """Read it from its file. Raises `ValueError` that names the file."""
        content = _read(path)
        method, _, url = str(content.get("http", "")).partition(" ")
        body = json.dumps(content.get("body"), ensure_ascii=False, separators=(",", ":"))
        headers = {name: h.text(value) for name, value in (content.get("headers") or {}).items()}
        try:
            reply = Reply(int(content.get("code", 200)), headers=headers, content=body.encode())
            address = _expression(url) if content.get("useRegexp") else URL(url.replace("\\", ""))
            return cls(path.name, method.upper(), address, reply)
        except (ValueError, TypeError, re.error) as error:
            raise ValueError(f"{path}: {error}") from None

    @property
    def address(self) -> str:
        """The URL, or the expression that it fits."""
        return self.url.pattern if isinstance(self.url, re.Pattern) else str(self.url)

    def answers(self, request: Request) -> bool:
        """Whether the request gets this reply."""
        if self.method in _METHODS and self.method != request.method:
            return False
        if isinstance(self.url, re.Pattern):
            return self.url.search(request.url) is not None
        return _parts(self.url) == _parts(URL(request.url))


class _Mocks:
    """Answers requests with the replies in the files, each once."""

    def __init__(self, files: _Files) -> None:
        self._left = list(files.mocks())

    def answer(self, request: Request) -> Reply:
        found = next((mock for mock in self._left if mock.answers(request)), None)
        if found is None:
            left = ", ".join(f"{mock.method} {mock.address} ({mock.file})" for mock in self._left) or "none"
            raise UnexpectedRequest(f"{request.method} {request.url}: no file answers it. Not used yet: {left}")
        self._left.remove(found)
        return found.reply


def _expression(text: str) -> re.Pattern[str]:
    """Read an expression of JavaScript, which names its groups in another way. Raises `re.error`."""
    return re.compile(re.sub(r"\(\?<(?![=!])", "(?P<", text))


def _parts(url: URL) -> tuple[object, ...]:
    """Return what makes two URLs the same, however they are escaped."""
    path = re.sub("/+", "/", url.path).rstrip("/")
    return url.scheme, url.host, url.port, path, sorted(url.query.items())


def _compare(
    result: ActionResult,
    expected: Mapping[str, Any],
    names: Mapping[str, str],
    *,
    is_raw: bool,
) -> None:
    wanted = expected.get("headers") or {}
    _compare_verdict(result.outcome, wanted, names)
    if not isinstance(result.outcome, Forward):
        return
    message = result.outcome.message
    data = message.body if is_raw else _replaced(json.loads(message.body or "null"), expected)
    _same("data", expected.get("data"), data)
    _same("headers", _own(wanted), _own(message.headers))


def _compare_verdict(outcome: Outcome, wanted: Mapping[str, Any], names: Mapping[str, str]) -> None:
    code = "1002" if isinstance(outcome, Forward) and outcome.to is not None else _CODES.get(type(outcome), _SUCCESS)
    _same("result-code", h.text(wanted.get(h.RESULT_CODE, _SUCCESS)), code)
    if isinstance(outcome, Forward):
        queues = [queue for queue in h.text(wanted.get(h.FORCE_TARGET_QUEUE)).split(",") if queue]
        _same(h.FORCE_TARGET_QUEUE, sorted(names.get(queue, queue) for queue in queues), sorted(outcome.to or ()))
    elif not isinstance(outcome, Page) and h.RESULT_MESSAGE in wanted:
        _same(h.RESULT_MESSAGE, wanted[h.RESULT_MESSAGE], outcome.reason)


def _own(headers: Mapping[str, Any]) -> Mapping[str, str]:
    return {name: h.text(value) for name, value in headers.items() if name not in _STAMPED and value is not None}


def _compare_pages(result: ActionResult, files: _Files) -> None:
    items: list[tuple[Any, Mapping[str, Any]]] = []
    found: list[Any] = []
    for number, outcome in enumerate(result.outcomes):
        expected = files.read(f"output{number or ''}.json")
        wanted = expected.get("headers") or {}
        if not isinstance(outcome, Page):
            _compare_verdict(outcome, wanted, {})
            return
        is_last = h.text(wanted.get(h.RESULT_CODE)) not in {"1010", "1011"}
        _same(f"page {number + 1} is the last", is_last, outcome.next_cursor is None)
        items += [(_body(item), item.get("headers") or {}) for item in expected.get("data") or ()]
        of_page = result.messages[len(found) : len(found) + len(outcome.items)]
        found += _replaced([{"body": message.body} for message in of_page], expected)
    _same("number of items", len(items), len(found))
    for number, ((body, wanted), message, item) in enumerate(zip(items, result.messages, found, strict=False), 1):
        _same(f"data of item {number}", body, _body(item))
        _same(f"headers of item {number}", _own(wanted), _own({name: message.headers.get(name) for name in wanted}))


def _body(item: Mapping[str, Any]) -> Any:
    body = item.get("body")
    try:
        return json.loads(body) if isinstance(body, str) else body
    except ValueError:
        return body


def _replaced(data: Any, expected: Mapping[str, Any]) -> Any:
    """Put values in place of those that differ in each run, where there are any: `"order.created": "now"`.

    The items of a batch are counted, and their bodies are texts: `"0.body": "{}"`. An empty path is all of it.
    """
    for path, value in ((expected.get("replacement") or {}).get("data") or {}).items():
        if not path:
            return value
        *parents, last = path.split(".")
        place = data
        for name in parents:
            place = _member(place, name)
        if _member(place, last):
            place[int(last) if isinstance(place, list) else last] = value
    return data


def _member(place: Any, name: str) -> Any:
    if isinstance(place, list):
        return place[int(name)] if name.isdecimal() and int(name) < len(place) else None
    return place.get(name) if isinstance(place, Mapping) else None


def _same(what: str, expected: object, found: object) -> None:
    if expected != found:
        raise AssertionError(f"{what} differs\nexpected: {_shown(expected)}\nfound:    {_shown(found)}")


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
