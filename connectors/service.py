"""One service as an action calls it: requests are built here, and replies judged."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NoReturn, TypedDict, Unpack

from pydantic_core import to_json

from applications import Access, Application
from connectors.download import Download
from connectors.errors import ReplyTruncated
from connectors.files import FileChunks
from connectors.http import ConnectionLost, Http, NeverSent, Request, Stream, is_elsewhere, with_query
from connectors.message import current_message
from connectors.outcome import Limited, Repeat, Stop, Trash
from connectors.paths import fill_path, values_of
from connectors.rate import RateNotice, read_notice
from connectors.response import Response
from connectors.rules import DEFAULT_MAX_HOPS, Meaning, Rules
from connectors.secrets import remember

_HEAD_OF_REFUSAL: Final = 64 << 10


class CallOptions(TypedDict, total=False):
    """What a call may carry besides method and path. One kind of body at most."""

    params: Mapping[str, Any]
    """The query; None values are left out, lists repeat the name."""
    headers: Mapping[str, str]
    """They win over the application's."""
    json: Any
    """Body: models or plain values."""
    form: Mapping[str, Any]
    """Body: a form; together with `files` a multipart form."""
    files: Mapping[str, Any]
    """Body: multipart; a name's value is bytes, an open file or `(file name, content, content type)`."""
    xml: Mapping[str, Any]
    """Body: an XML document, `{root: values}`."""
    content: str | bytes | AsyncIterable[bytes]
    """Body: as it is; name its `Content-Type` in `headers`."""
    file: Path
    """Body: a file, sent piece by piece."""
    rules: Rules
    """What replies mean for this call; what they leave open, the action's rules decide."""
    timeout_seconds: float
    """How long to wait for the connection, and for each further piece of the reply; 30 by default."""
    max_bytes: int
    """The largest reply that is read into memory."""


class Verbs(ABC):
    """The methods of HTTP: short for `request`, with the same promise."""

    __slots__ = ()

    @abstractmethod
    async def request(self, method: str, path: str, values: Any = None, **options: Unpack[CallOptions]) -> Response:
        """Send a request and return the reply that means success.

        A path may have places, filled from `values` (a model or mapping): `"/orders/{id}"`. Raises `Repeat`, `Trash`,
        `Limited` or `Stop` for any other reply, as the rules say, `Repeat` for a lost connection, `ReplyUnreadable`
        for a body above `max_bytes`, and `ValueError` for a place whose value is missing or would lead elsewhere.
        """

    async def get(self, path: str, values: Any = None, **options: Unpack[CallOptions]) -> Response:
        """GET `path`."""
        return await self.request("GET", path, values, **options)

    async def post(self, path: str, values: Any = None, **options: Unpack[CallOptions]) -> Response:
        """POST to `path`."""
        return await self.request("POST", path, values, **options)

    async def put(self, path: str, values: Any = None, **options: Unpack[CallOptions]) -> Response:
        """PUT to `path`."""
        return await self.request("PUT", path, values, **options)

    async def patch(self, path: str, values: Any = None, **options: Unpack[CallOptions]) -> Response:
        """PATCH `path`."""
        return await self.request("PATCH", path, values, **options)

    async def delete(self, path: str, values: Any = None, **options: Unpack[CallOptions]) -> Response:
        """DELETE `path`."""
        return await self.request("DELETE", path, values, **options)


@dataclass(frozen=True, slots=True)
class Service(Verbs):
    """One service: requests are relative to its base URL and carry what the application gives.

    An action of a class calls by itself (`self.get`, ...); this is for code outside: decorated functions get it as
    `service`, and `self.service` can be handed to a function of yours. `get`, `post` and the other verbs return a
    successful reply; any other ends the action, as its rules say: `Repeat`, `Trash`, `Limited`, `Stop`. A lost
    connection repeats.

    A path may have places for values, filled from `values` (a model or mapping): `get("/orders/{id}", order)`. What
    is filled in cannot leave its place. An absolute URL is taken as it is; one of another host gets neither the
    application's headers nor its sign-in.
    """

    http: Http
    application: type[Application] = Application
    rules: Rules = Rules()  # noqa: RUF009 - never changed

    async def request(self, method: str, path: str, values: Any = None, **options: Unpack[CallOptions]) -> Response:
        """Send a request and return the reply that means success; see `Verbs.request` for what it raises."""
        rules = self._rules(options)
        request = await self._request(method, path, values, options)
        async with self._open(request, rules) as stream:
            content = await stream.read(options.get("max_bytes", self.http.max_reply_bytes))
        response = Response(stream.method, stream.url, stream.status, stream.headers, content)
        notice = self._notice(stream)
        meaning, reason = rules.judge(response)
        if meaning is not Meaning.SUCCESS:
            end(meaning, f"{response}{_because(reason or response.problem)}", rules, notice)
        return response

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, values: Any = None, *, gunzip: bool = False, **options: Unpack[CallOptions]
    ) -> AsyncIterator[Download]:
        """Send a request and read the reply piece by piece; `gunzip` unpacks a body that is a gzip file.

        Rules by status hold; checks that look at the body do not, as there is none yet.
        """
        rules = self._rules(options)
        request = await self._request(method, path, values, options)
        async with self._open(request, rules) as stream:
            notice = self._notice(stream)
            if (meaning := rules.by_status(stream.status)) is not Meaning.SUCCESS:
                await self._refused(stream, meaning, rules, notice)
            yield Download(stream, is_gzip_file=gunzip)

    async def access(self) -> Access:
        """Return the way to the service for the user of the message in work."""
        access = await self.http.access(self.application)
        remember(self.application_key, access.secrets)
        return access

    def _rules(self, options: CallOptions) -> Rules:
        own = options.get("rules")
        return own.over(self.rules) if own else self.rules

    async def _request(self, method: str, path: str, values: Any, options: CallOptions) -> Request:
        access = await self.access()
        headers, content = _body(options)
        url = _url(access, fill_path(path, values_of(values)) if values is not None else path, options.get("params"))
        if is_elsewhere(url, access.base_url):
            access = Access(secrets=access.secrets)
        return Request(
            method,
            url,
            {**access.headers, **headers, **options.get("headers", {})},
            content,
            access.auth,
            options.get("timeout_seconds"),
            self.application_key,
            access.secrets,
        )

    @property
    def application_key(self) -> str:
        """The application's key; empty without application."""
        return getattr(self.application, "key", "")

    @asynccontextmanager
    async def _open(self, request: Request, rules: Rules) -> AsyncIterator[Stream]:
        """Open a reply; a connection that is lost before its end means to try again."""
        try:
            async with self.http.open(request) as stream:
                yield stream
        except NeverSent:
            raise
        except (*ConnectionLost, ReplyTruncated) as error:
            reason = f"{request.method} {request.shown_url}: {type(error).__name__}: {error}"
            raise Repeat(rules.repeat_after(_hop()), reason, max_hops=_hops(rules)) from error

    async def _refused(self, stream: Stream, meaning: Meaning, rules: Rules, notice: RateNotice | None) -> NoReturn:
        head = bytearray()
        async for chunk in stream.chunks():
            head += chunk
            if len(head) > _HEAD_OF_REFUSAL:
                break
        response = Response(stream.method, stream.url, stream.status, stream.headers, bytes(head))
        checked, reason = rules.judge(response)
        meaning = checked if checked is not Meaning.SUCCESS else meaning
        end(meaning, f"{response}{_because(reason or response.problem)}", rules, notice)

    def _notice(self, stream: Stream) -> RateNotice | None:
        notice = read_notice(self.application_key, _user(), stream.status, stream.headers)
        return self._told(notice) if notice else None

    def note(self, *, resume_after_seconds: float | None = None, remaining: int | None = None) -> RateNotice:
        """Tell the limiter what a body says about the limit, where the headers do not.

        Until `resume_after_seconds` have passed no call is made; `remaining` is how many calls are left.
        """
        return self._told(RateNotice(self.application_key, _user(), resume_after_seconds, remaining))

    def _told(self, notice: RateNotice) -> RateNotice:
        self.http.rate_noticed(notice)
        return notice


def end(meaning: Meaning, reason: str, rules: Rules, notice: RateNotice | None = None) -> NoReturn:
    """End the action as the reply means; a time that the service names wins over that of the rules."""
    asked = notice.resume_after_seconds if notice else None
    after = None if asked is None else timedelta(seconds=max(asked, 1))
    match meaning:
        case Meaning.REPEAT:
            raise Repeat(after or rules.repeat_after(_hop()), reason, max_hops=_hops(rules))
        case Meaning.LIMITED:
            raise Limited(reason, after=after)
        case Meaning.STOP:
            raise Stop(reason)
    raise Trash(reason)


def _user() -> str:
    message = current_message.get()
    return message.user if message else ""


def _hop() -> int:
    message = current_message.get()
    return message.hop if message else 1


def _hops(rules: Rules) -> int:
    return DEFAULT_MAX_HOPS if rules.max_hops is None else rules.max_hops


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


def _url(access: Access, path: str, params: Mapping[str, Any] | None) -> str:
    url = path
    if not path.startswith(("http://", "https://")):
        if not access.base_url:
            raise ValueError(f"{path} needs a base URL: give the action an application, or write the whole URL")
        url = f"{access.base_url.rstrip('/')}/{path.lstrip('/')}" if path else access.base_url
    given = {name: value for name, value in (params or {}).items() if value is not None}
    return with_query(url, given) if given else url


def _body(options: CallOptions) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the headers that belong to the body, and the body as httpx takes it."""
    if "json" in options:
        return {"Content-Type": "application/json"}, {"content": to_json(options["json"])}
    if "xml" in options:
        from connectors.xml import write_xml  # noqa: PLC0415 - only who writes XML pays for the parser

        ((root, data),) = options["xml"].items()
        return {"Content-Type": "application/xml; charset=utf-8"}, {"content": write_xml(root, data)}
    if "file" in options:
        chunks = FileChunks(options["file"])
        return {"Content-Length": str(chunks.size)}, {"content": chunks}
    if "content" in options:
        return {}, {"content": options["content"]}
    content: dict[str, Any] = {}
    if "form" in options:
        content["data"] = dict(options["form"])
    if "files" in options:
        content["files"] = dict(options["files"])
    return {}, content
