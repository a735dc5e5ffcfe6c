"""A reply: its body as the types that an action wants."""

import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, lru_cache
from http import HTTPStatus
from typing import Any, Self, TypeVar
from urllib.parse import urljoin
from xml.etree.ElementTree import Element

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from applications.http import formats
from applications.http.compression import gunzip
from applications.http.csv_rows import parse_csv
from applications.http.errors import ReplyUnreadable

Model = TypeVar("Model")

_FORMATS = {
    "xml": "xml",
    "csv": "csv",
    **dict.fromkeys(("x-ndjson", "ndjson", "jsonl", "x-jsonlines", "jsonlines", "json-seq"), "lines"),
}
_PARAMETER = r"""\s*;\s*([^\s=;,]*)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?"""
_LINK_PARAMETER = re.compile(_PARAMETER)
_LINK = re.compile(rf"<([^<>]*)>((?:{_PARAMETER})*)")
_PROBLEM_KEYS = ("message", "error_description", "detail", "title", "error", "errors", "fault")
_PROBLEM_CHARACTERS = 300


class Headers(dict[str, str]):
    """Headers of a reply; names are found in any case."""

    def __init__(self, headers: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        """Values of a name that occurs more than once are joined by commas (RFC 9110, 5.3)."""
        super().__init__()
        for name, value in headers.items() if isinstance(headers, Mapping) else headers:
            key = name.lower()
            self[key] = f"{self[key]}, {value}" if key in self else value

    def __getitem__(self, name: str) -> str:
        """Return the value. Raises `KeyError`."""
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        """Whether there is such a header."""
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value, or `default`."""
        return super().get(name.lower(), default)


class Head:
    """Status and headers of a reply, and which request it answers."""

    def __init__(
        self, method: str, url: str, status: int, headers: Mapping[str, str], *, address: str | None = None
    ) -> None:
        """`url` is for people: without its query and without secrets. `address` is where the reply really came from.

        `status` is that of HTTP; `headers` finds names in any case.
        """
        self.method = method
        self.url = url
        self.status = status
        self.headers = headers
        self._address = url if address is None else address

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def content_type(self) -> str:
        """The content type without parameters, in lower case; empty when the reply names none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str:
        """The charset of the content type, else UTF-8."""
        return self._named_charset or "utf-8"

    @property
    def _named_charset(self) -> str:
        found = re.search(r"charset=[\"']?([\w.:-]+)", self.headers.get("content-type", ""), re.IGNORECASE)
        return found[1].lower() if found else ""

    @property
    def _format(self) -> str:
        return _FORMATS.get(self.content_type.rpartition("+")[2].rpartition("/")[2], "json")

    @property
    def is_json(self) -> bool:
        """Whether the body is read as JSON: for every content type but those of the other formats."""
        return self._format == "json"

    @property
    def is_xml(self) -> bool:
        """Whether the content type names XML."""
        return self._format == "xml"

    def link(self, relation: str) -> str | None:
        """Return the URL that the `Link` header names for this relation, such as `next` (RFC 8288)."""
        for target, parameters, *_ in _LINK.findall(self.headers.get("link", "")):
            named = [(name.lower(), quoted or plain) for name, quoted, plain in _LINK_PARAMETER.findall(parameters)]
            relations = next((value for name, value in named if name == "rel"), "")
            if relation.lower() in relations.lower().split():
                return str(target)
        return None

    def resolve(self, url: str) -> str:
        """Return the whole of a URL that the reply names, maybe relative to its own. It may hold secrets."""
        return urljoin(self._address, url)

    def unreadable(self, why: object) -> ReplyUnreadable:
        """Return the error of a body that is not what it should be."""
        kind = self.content_type or "no content type"
        return ReplyUnreadable(f"{self} ({kind}): {why}")

    def __str__(self) -> str:
        """Show request and status."""
        return f"{self.method} {self.url} answered {self.status}"


class Response(Head):
    """A reply with its whole body.

    Reading raises `ReplyUnreadable`, which names request, content type and place, when the body is not what is asked
    for, and pydantic's `ValidationError` with the place when it does not fit a type.
    """

    def __init__(
        self, method: str, url: str, status: int, headers: Mapping[str, str], content: bytes,
        *, address: str | None = None,
    ) -> None:  # fmt: skip
        """`content` is the body without its content encoding; the others are as in `Head`."""
        super().__init__(method, url, status, headers, address=address)
        self.content = content

    @classmethod
    def of(cls, head: Head, content: bytes) -> Self:
        """Return the reply with this head and this body, without its content encoding."""
        return cls(head.method, head.url, head.status, head.headers, content, address=head._address)  # noqa: SLF001 - a head of its own

    @property
    def text(self) -> str:
        """The body as text, in the charset that the reply names. Raises `ReplyUnreadable`."""
        try:
            return formats.decode(self.content, self.charset)
        except ReplyUnreadable as error:
            raise self.unreadable(error) from None

    @cached_property
    def _json(self) -> Any:
        source = self.content.removeprefix(BOM_UTF8) if self.charset in {"utf-8", "utf8"} else self.text
        try:
            return formats.parse_json(source)
        except ReplyUnreadable as error:
            raise self.unreadable(error) from None

    def json(self) -> Any:
        """Return the body as plain JSON values. Raises `ReplyUnreadable`."""
        return self._json

    def model(self, model: type[Model], at: str = "$") -> Model:
        """Return the body, or what lies `at` a path in it such as `data.order`, as this type."""
        if at == "$" and self.is_json and self.charset == "utf-8":
            return self._read_whole(model)
        return read_as(model, pick(self.data(), at))

    def models(self, model: type[Model], at: str = "$") -> list[Model]:
        """Return the body, or what lies `at` a path in it, as a list of this type."""
        return read_list(model, pick(self.data(), at))

    def _read_whole(self, model: type[Model]) -> Model:
        """Read without the plain values in between: this is the usual way, and three times faster."""
        try:
            formats.check_numbers(self.content)
        except ReplyUnreadable as error:
            raise self.unreadable(error) from None
        try:
            read: Model = _adapter(model).validate_json(self.content.removeprefix(BOM_UTF8))
        except ValidationError as error:
            problem = error.errors(include_input=False)[0]
            if problem["type"] == "json_invalid":
                raise self.unreadable(f"not JSON: {problem['msg'].removeprefix('Invalid JSON: ')}") from None
            raise
        return read

    def data(self) -> Any:
        """Return the body as plain values, read by its content type: JSON, XML, CSV, JSON lines; JSON without one."""
        match self._format:
            case "xml":
                return xml_of(self)
            case "csv":
                return self.csv()
            case "lines":
                return self.json_lines()
        return self.json()

    def xml(self) -> Element:
        """Return the root of the XML body. Raises `ReplyUnreadable`, also for entities and external documents."""
        from applications.http.xml import parse_xml  # noqa: PLC0415 - only who reads XML pays for the parser

        try:
            return parse_xml(self.content, self._named_charset)
        except ReplyUnreadable as error:
            raise self.unreadable(error) from None

    def csv(self, *, delimiter: str = ",") -> list[dict[str, str]]:
        """Return the rows of the CSV body by the names in its first row. Raises `ReplyUnreadable` with the line."""
        try:
            return list(parse_csv(self.text, delimiter=delimiter))
        except ReplyUnreadable as error:
            raise self.unreadable(error) from None

    def json_lines(self) -> list[Any]:
        """Return the value of each line. Raises `ReplyUnreadable` with the line."""
        try:
            return list(formats.parse_json_lines(self.text))
        except ReplyUnreadable as error:
            raise self.unreadable(error) from None

    def gunzip(self, *, max_bytes: int = 64 << 20) -> bytes:
        """Return the content of a body that is a gzip file. Raises `ReplyUnreadable`, also above `max_bytes`."""
        try:
            return gunzip(self.content, max_bytes=max_bytes)
        except ReplyUnreadable as error:
            raise self.unreadable(error) from None

    @property
    def problem(self) -> str:
        """What a refusal says about itself, in one short line; empty when it does not in a usual form."""
        if not self.content_type.endswith("json") or not isinstance(data := _quietly(self), Mapping):
            return ""
        said = [f"{key}: {data[key]}" if key != "message" else str(data[key]) for key in _PROBLEM_KEYS if data.get(key)]
        return " ".join("; ".join(said).split())[:_PROBLEM_CHARACTERS]


def xml_of(response: Response) -> Any:
    """Return the XML body as plain values."""
    from applications.http.xml import xml_data  # noqa: PLC0415 - as in `xml`

    return xml_data(response.xml())


def _quietly(response: Response) -> Any:
    try:
        return response.json()
    except ReplyUnreadable:
        return None


_adapter: Callable[[Any], TypeAdapter[Any]] = lru_cache(maxsize=1024)(TypeAdapter)


def read_as(model: type[Model], data: Any) -> Model:
    """Return plain values as this type. Raises pydantic's `ValidationError` with the place."""
    read: Model = _adapter(model).validate_json(to_json(data))
    return read


def read_list(model: type[Model], data: Any) -> list[Model]:
    """Return plain values as a list of this type; None is an empty one."""
    read: list[Model] = _adapter(list[model]).validate_json(to_json([] if data is None else data))  # type: ignore[valid-type]  # made at run time
    return read


def pick(data: Any, path: str) -> Any:
    """Return what lies at a path such as `data.orders`; `$` is the whole, None what is not there."""
    if path in {"", "$"}:
        return data
    for name in path.removeprefix("$.").split("."):
        if isinstance(data, Mapping):
            data = data.get(name)
        elif isinstance(data, list) and name.isdecimal() and int(name) < len(data):
            data = data[int(name)]
        else:
            return None
    return data
