"""One service as an action calls it: requests are built here, and replies judged."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NoReturn, Unpack

from applications import Application
from applications.access import Access
from applications.http.building import build
from applications.http.errors import (
    CARRIED_OUT,
    SAFE_TO_REPEAT,
    ConnectionLost,
    HeadUnreadable,
    ReplyTruncated,
    ReplyUnreadable,
)
from applications.http.headers import merged
from applications.http.request import Outgoing, RequestOptions
from applications.http.response import Response
from applications.http.stream import Stream
from applications.http.wire import shown_url
from connectors.download import Download
from connectors.files import FileChunks
from connectors.http import Http
from connectors.message import current_message
from connectors.outcome import Limited, Repeat, Stop, Trash
from connectors.rate import RateNotice, read_notice
from connectors.rules import DEFAULT_MAX_HOPS, Meaning, Rules
from connectors.secrets import remember

_HEAD_OF_REFUSAL: Final = 64 << 10


class CallOptions(RequestOptions, total=False):
    """What a call may carry besides method and path. One kind of body at most."""

    file: Path
    """Body: a file, sent piece by piece."""
    is_repeatable: bool
    """Whether the request may be made twice, such as a search by POST; by its method when it is not given."""
    rules: Rules
    """What replies mean for this call; what they leave open, the action's rules decide."""


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
        async with self._open(request, rules, options) as stream:
            notice = self._notice(stream)
            content = await self._content(stream, rules, options)
        response = Response.of(stream, content)
        meaning, reason = rules.judge(response)
        if meaning is not Meaning.SUCCESS:
            end(meaning, f"{response}{_because(reason or response.problem)}", rules, notice)
        return response

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, values: Any = None, *, gunzip: bool = False, **options: Unpack[CallOptions]
    ) -> AsyncIterator[Download]:
        """Send a request and read the reply piece by piece; `gunzip` unpacks a body that is a gzip file.

        `max_bytes` bounds a line or CSV record. Rules by status hold; checks that look at the body do not, as there is
        none yet.
        """
        rules = self._rules(options)
        request = await self._request(method, path, values, options)
        async with self._open(request, rules, options) as stream:
            notice = self._notice(stream)
            if (meaning := rules.by_status(stream.status)) is not Meaning.SUCCESS:
                await self._refused(stream, meaning, rules, notice)
            piece = options.get("max_bytes", self.http.max_reply_bytes)
            yield Download(stream, is_gzip_file=gunzip, max_piece=piece)

    async def access(self) -> Access:
        """Return the way to the service for the user of the message in work."""
        access = await self.http.access(self.application, _user(), _sdk())
        remember(self.application_key, access.secrets)
        return access

    def _rules(self, options: CallOptions) -> Rules:
        own = options.get("rules")
        return own.over(self.rules) if own else self.rules

    async def _request(self, method: str, path: str, values: Any, options: CallOptions) -> Outgoing:
        access = await self.access()
        return build(access, method, path, values, _with_file(options), self.application_key)

    @property
    def application_key(self) -> str:
        """The application's key; empty without application."""
        return getattr(self.application, "key", "")

    @asynccontextmanager
    async def _open(self, request: Outgoing, rules: Rules, options: CallOptions) -> AsyncIterator[Stream]:
        """Open a reply; one that does not come, or not whole, means to try again, unless the service has done its work.

        What a service has carried out is not asked for a second time, where that would do it a second time.
        """
        stream = None
        try:
            async with self.http.open(request) as stream:
                yield stream
        except (ConnectionLost, ReplyTruncated, HeadUnreadable) as error:
            told, asked = f"{type(error).__name__}: {error}", f"{request.method} {shown_url(request)}"
            if not _is_repeatable(request, options) and (stream or isinstance(error, HeadUnreadable)):
                raise Trash(f"{asked}: {CARRIED_OUT}: {told}") from error
            raise Repeat(rules.repeat_after(_hop()), f"{asked}: {told}", max_hops=_hops(rules)) from error

    async def _content(self, stream: Stream, rules: Rules, options: CallOptions) -> bytes:
        """Read the body; of a refusal an empty one where it cannot be read, so that its head is obeyed."""
        max_bytes = options.get("max_bytes", self.http.max_reply_bytes)
        if rules.by_status(stream.status) is not Meaning.SUCCESS:
            return await stream.read_refusal(max_bytes)
        try:
            return await stream.read(max_bytes)
        except ReplyTruncated:
            raise
        except ReplyUnreadable as error:
            if _is_repeatable(stream, options):
                raise
            raise ReplyUnreadable(f"{CARRIED_OUT}: {error}") from None

    async def _refused(self, stream: Stream, meaning: Meaning, rules: Rules, notice: RateNotice | None) -> NoReturn:
        response = Response.of(stream, await stream.read_refusal(_HEAD_OF_REFUSAL))
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


def _is_repeatable(asked: Outgoing | Stream, options: CallOptions) -> bool:
    return options.get("is_repeatable", asked.method in SAFE_TO_REPEAT)


def end(meaning: Meaning, reason: str, rules: Rules, notice: RateNotice | None = None) -> NoReturn:
    """End the action as the reply means; a time that the service names wins over that of the rules.

    Raises `Repeat`, `Limited`, `Stop` or `Trash`.
    """
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


def _sdk() -> str:
    message = current_message.get()
    return message.sdk if message else ""


def _hop() -> int:
    message = current_message.get()
    return message.hop if message else 1


def _hops(rules: Rules) -> int:
    return DEFAULT_MAX_HOPS if rules.max_hops is None else rules.max_hops


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


def _with_file(options: CallOptions) -> CallOptions:
    """Return the options with a file as the pieces of its content."""
    if "file" not in options:
        return options
    chunks = FileChunks(options["file"])
    headers = merged({"Content-Length": chunks.size}, options.get("headers", {}))
    return {**options, "content": chunks, "headers": headers}
