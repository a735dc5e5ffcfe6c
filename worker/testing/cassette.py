"""Replies of a service, recorded once and played again: tests need neither the service nor its secrets."""

import base64
import difflib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from applications.http.errors import ConnectionLost
from applications.http.request import Request
from applications.http.response import Headers
from applications.http.transport import Reply, Transport
from applications.redaction import HIDDEN
from connectors.secrets import known_secrets
from worker.errors import told
from worker.testing.scrub import Scrubber
from worker.testing.transports import Exchange, RecordingTransport, UnexpectedRequest, network

RECORD = "WORKER_TESTING_RECORD"
"""The variable that lets cassettes record; `pytest --record` sets it."""

HOW_TO_RECORD = f"Record it: pytest --record, or {RECORD}=1"

_NOT_KEPT = {"host", "user-agent", "connection", "accept-encoding", "content-length", "date", "server"}

Mode = Literal["replay", "record"]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RecordedRequest(_Entry):
    """A request as it stands in the file, without secrets."""

    method: str
    url: str
    headers: dict[str, str] = {}
    body: Any = ""

    @property
    def text(self) -> str:
        """What is compared: method, URL and body."""
        return f"{self.method} {self.url}\n{json.dumps(self.body, sort_keys=True, ensure_ascii=False)}"


class RecordedReply(_Entry):
    """A reply as it stands in the file."""

    status: int = 200
    headers: list[tuple[str, str]] = []
    body: Any = ""
    error: str = ""
    """Why there was no reply."""


class Recorded(_Entry):
    """A request and its reply."""

    request: RecordedRequest
    reply: RecordedReply


class Tape(_Entry):
    """The content of a file."""

    exchanges: list[Recorded]


@dataclass(slots=True)
class _Slot:
    recorded: Recorded
    is_played: bool = False


class Cassette(Transport):
    """A file of recorded requests and replies, in the place of the network: `http=Cassette("get_order.json")`.

    It plays each reply once, in the order of recording, to a request with the same method, URL and body. A request
    that fits none raises `UnexpectedRequest` with the nearest one. With the mode `record`, or with
    `pytest --record`, it asks the service instead and rewrites the file. Secrets are replaced before they are
    written; those that their names do not tell are given as `secrets`.

    Opening one to play raises `FileNotFoundError`, and `ValueError` with the place for a file that is not one.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        mode: Mode | None = None,
        secrets: Iterable[str] = (),
        service: Transport | None = None,
    ) -> None:
        """Without a `mode` it replays, unless the environment says to record; `service` is what is recorded."""
        self.path = Path(path)
        self.mode: Mode = mode or ("record" if os.environ.get(RECORD) else "replay")
        self._scrubber = Scrubber(secrets)
        self._recorder = RecordingTransport(service or network()) if self.mode == "record" else None
        self._slots = [] if self._recorder else [_Slot(recorded) for recorded in _read(self.path).exchanges]

    @property
    def unplayed(self) -> list[str]:
        """The requests that were recorded and have not been made, by method and URL."""
        requests = [slot.recorded.request for slot in self._slots if not slot.is_played]
        return [f"{request.method} {request.url}" for request in requests]

    async def send(self, request: Request) -> Reply:
        """Play or record the reply."""
        if self._recorder is not None:
            try:
                return await self._recorder.send(request)
            finally:
                self._write(self._recorder.exchanges)
        return self._play(request)

    async def close(self) -> None:
        """Close the connections to the service that is recorded."""
        if self._recorder is not None:
            await self._recorder.close()

    def _play(self, request: Request) -> Reply:
        scrubber = Scrubber(self._scrubber.values | known_secrets())
        scrubber.learn(request)
        wanted = _request(request, scrubber)
        slot = next((slot for slot in self._slots if not slot.is_played and _fits(slot, wanted)), None)
        if slot is None:
            raise UnexpectedRequest(self._explain(wanted))
        slot.is_played = True
        reply = slot.recorded.reply
        if reply.error:
            raise ConnectionLost(f"{reply.error} (recorded)")
        return Reply(reply.status, content=_content(reply.body), headers=Headers(reply.headers))

    def _explain(self, wanted: RecordedRequest) -> str:
        lines = [f"{self.path} has no reply for {wanted.method} {wanted.url}", f"  body: {_shown(wanted.body)}"]
        scores = [
            (difflib.SequenceMatcher(None, slot.recorded.request.text, wanted.text).ratio(), number)
            for number, slot in enumerate(self._slots)
        ]
        if scores:
            slot = self._slots[max(scores)[1]]
            nearest = slot.recorded.request
            note = ", which has been played already" if slot.is_played else ""
            lines += [f"The nearest is {nearest.method} {nearest.url}{note}", f"  body: {_shown(nearest.body)}"]
        return "\n".join([*lines, HOW_TO_RECORD])

    def _write(self, exchanges: list[Exchange]) -> None:
        for exchange in exchanges:
            self._scrubber.learn_exchange(exchange)
        tape = Tape(exchanges=[_recorded(exchange, self._scrubber) for exchange in exchanges])
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(tape.model_dump(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _read(path: Path) -> Tape:
    try:
        return Tape.model_validate_json(path.read_bytes())
    except OSError as error:
        raise FileNotFoundError(f"{path}: {error.strerror}. {HOW_TO_RECORD}") from None
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise ValueError(f"{path}: {told(problem)}. {HOW_TO_RECORD}") from None


def _fits(slot: _Slot, wanted: RecordedRequest) -> bool:
    return slot.recorded.request.text == wanted.text


def _recorded(exchange: Exchange, scrubber: Scrubber) -> Recorded:
    reply = RecordedReply(error=scrubber.text(exchange.error))
    if exchange.reply is not None:
        headers = [(name, text) for name, text in scrubber.headers(exchange.reply.headers) if name not in _NOT_KEPT]
        reply = RecordedReply(status=exchange.reply.status, headers=headers, body=scrubber.body(exchange.reply))
    return Recorded(request=_request(exchange.request, scrubber), reply=reply)


def _request(request: Request, scrubber: Scrubber) -> RecordedRequest:
    headers = {name: text for name, text in scrubber.headers(request.headers) if name not in _NOT_KEPT}
    return RecordedRequest(
        method=request.method, url=scrubber.url(request.url), headers=headers, body=scrubber.body(request)
    )


def _content(body: Any) -> bytes:
    if isinstance(body, str):
        return body.encode()
    if "base64" in body:
        return base64.b64decode(body["base64"])
    return json.dumps(body["json"], ensure_ascii=False).encode()


def _shown(body: Any) -> str:
    if isinstance(body, str):
        return body or "none"
    return json.dumps(body.get("json", HIDDEN), ensure_ascii=False)
