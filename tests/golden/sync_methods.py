"""The synchronous methods that were recorded, of one application."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

from applications import SyncCall, TextReply
from applications.application import sync_method


class Methods:
    """One for each kind of answer."""

    @sync_method("ping")
    async def ping(self, call: SyncCall) -> Any:
        """Return how many arguments the recorded one got."""
        return {"pong": True, "args": 0 if call.method == "GET" else 1}

    @sync_method("nothing")
    async def nothing(self, call: SyncCall) -> None:
        """Return nothing."""

    @sync_method("null")
    async def null(self, call: SyncCall) -> None:
        """Return nothing, too."""

    @sync_method("false")
    async def false(self, call: SyncCall) -> bool:
        """Return what is no object."""
        return False

    @sync_method("zero")
    async def zero(self, call: SyncCall) -> int:
        """Return what is no object."""
        return 0

    @sync_method("emptyString")
    async def empty_string(self, call: SyncCall) -> str:
        """Return what is no object."""
        return ""

    @sync_method("text")
    async def text(self, call: SyncCall) -> str:
        """Return text, which is JSON all the same."""
        return "plain text"

    @sync_method("list2")
    async def list2(self, call: SyncCall) -> Any:
        """Return a list."""
        return [1, "a", None]

    @sync_method("async")
    async def later(self, call: SyncCall) -> Any:
        """Return an object."""
        return {"async": True}

    @sync_method("throw")
    async def throw(self, call: SyncCall) -> Any:
        """Fail."""
        raise Exception("sync failed\nbadly")  # noqa: TRY002 - as plain as the one that was recorded

    @sync_method("echo")
    async def echo(self, call: SyncCall) -> Any:
        """Return the request; the recorded one got none with GET."""
        if call.method == "GET":
            return {"hasReq": False, "method": None, "url": None, "query": None, "body": None}
        given = parse_qs(urlsplit(call.url).query, keep_blank_values=True)
        query = {name: values if values[1:] else values[0] for name, values in given.items()}
        body = call.body.decode()
        return {"hasReq": True, "method": call.method, "url": call.url, "query": query, "body": body}

    @sync_method("response")
    async def response(self, call: SyncCall) -> TextReply:
        """Return XML."""
        return TextReply("<a>č</a>", "application/xml")

    @sync_method("responseNoType")
    async def response_without_type(self, call: SyncCall) -> TextReply:
        """Return what has no type."""
        return TextReply('{"raw":1}', "application/octet-stream")

    @sync_method("uPPER")
    async def upper(self, call: SyncCall) -> Any:
        """Return an object."""
        return {"upper": True}

    @sync_method("afterInstallCallback")
    async def after_install_callback(self, call: SyncCall) -> Any:
        """Answer in the place of the hook."""
        return {"overridden": True, "body": call.json()}
