"""A request as its author writes it, as it is sent, and what signs it."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict
from urllib.parse import parse_qsl, unquote, urlsplit

from applications.http.formats import parse_json
from applications.http.response import Head
from applications.http.values import Arrays
from applications.token import Token


class RequestOptions(TypedDict, total=False):
    """What a request may carry besides method and path. One kind of body at most."""

    params: Mapping[str, Any]
    """The query; values of None are left out."""
    arrays: Arrays
    """How query and form carry the values of a list: `REPEAT` when it is not given."""
    headers: Mapping[str, str]
    """They win over the application's, whatever their case. Printable ASCII."""
    json: Any
    """Body: models or plain values."""
    form: Mapping[str, Any]
    """Body: a form, together with `files` a multipart form; values of None are left out."""
    files: Mapping[str, Any]
    """Body: multipart; a name's value is bytes, an open file or `(file name, content, content type)`."""
    xml: Mapping[str, Any]
    """Body: an XML document, `{root: values}`."""
    content: str | bytes | AsyncIterable[bytes]
    """Body: as it is; name its `Content-Type` in `headers`."""
    timeout_seconds: float
    """For the reply to begin, and between its pieces; 30 when it is not given."""
    max_bytes: int
    """The largest reply that is read into memory; 64 MiB when it is not given."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that is about to be sent, as a way of signing and a service in tests see it."""

    method: str
    url: str = field(repr=False)
    """With its query."""
    headers: Mapping[str, str] = field(repr=False)
    """All that are sent, `Host` among them; names are found in any case."""
    body: bytes = field(default=b"", repr=False)
    """What is sent. A way of signing sees it where `Auth.needs_body` asks for it, else none."""
    timeout_seconds: float = 30
    """For the reply to begin, and between its pieces."""

    @property
    def path(self) -> str:
        """The path of the URL, decoded."""
        return unquote(urlsplit(self.url).path)

    @property
    def params(self) -> Mapping[str, str]:
        """The query; of a name that is there more than once, its last value."""
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))

    @property
    def form(self) -> Mapping[str, str]:
        """The body as a form; of a name that is there more than once, its last value."""
        return dict(parse_qsl(self.text, keep_blank_values=True))

    @property
    def text(self) -> str:
        """The body as UTF-8 text. Raises `UnicodeDecodeError`."""
        return self.body.decode()

    def json(self) -> Any:
        """Return the body as plain JSON values. Raises `ReplyUnreadable` with the place where it is not JSON."""
        return parse_json(self.body)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request carries to say who asks."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Added to the URL; they win over equal names in it."""


class Auth(ABC):
    """Signs the requests of one user at one service."""

    def needs_body(self, request: Request) -> bool:
        """Whether the body is signed as well; one that is sent piece by piece is read into memory then."""
        return False

    async def token(self) -> Token | None:
        """Return the token that it signs with, if that is how it signs."""
        return None

    @abstractmethod
    def sign(self, request: Request) -> AsyncGenerator[Credentials, Head]:
        """Yield what the request carries; the reply comes back, and what is yielded then is sent once more."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request on its way to the wire. What may hold secrets is not shown."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """One of `content`, or `form` and `files`."""
    auth: Auth | None = field(default=None, repr=False)
    timeout_seconds: float | None = None
    """None: the wire's own."""
    application: str = ""
    """The key of the application whose service is called."""
    is_from_install: bool = False
    """Whether a user's install says where it goes."""
    secrets: Collection[str] = field(default=(), repr=False)
    """What no URL and no error may show."""
