"""The platform's worker-api, as far as it keeps documents: installs, webhooks, and the settings of nodes."""

import asyncio
import json
import re
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

import httpx

from applications.errors import ApplicationError, InstallsAway
from applications.http.connections import LOST, direct
from applications.recent import Recent

LARGEST_BYTES: Final = 100 * 1024
"""What worker-api takes in one request."""
FRESH_SECONDS: Final = 1.0
"""How long documents are used as they were read; writing forgets them."""
ATTEMPTS: Final = 3
_PAUSE_SECONDS: Final = 0.2
_ANSWER_SECONDS: Final = 5
_AGAIN_AFTER: Final = timedelta(seconds=30)
_MOST_CACHED: Final = 10_000
_OBJECT_ID: Final = re.compile("[0-9a-f]{24}")

Document = Mapping[str, Any]
Filter = Mapping[str, Any]


class Collection(StrEnum):
    """The documents that worker-api has."""

    INSTALLS = "ApplicationInstall"
    WEBHOOKS = "Webhook"
    NODES = "Node"


class DocumentsAway(InstallsAway):
    """The platform's worker-api does not answer, or refuses."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"the platform's worker-api {problem}", _AGAIN_AFTER)


class DocumentTooLarge(ApplicationError):
    """A document is larger than worker-api takes."""


class DocumentClient:
    """Reads and writes documents. One for a process; `close` it at the end.

    Each method raises `DocumentsAway` after three attempts.
    """

    def __init__(self, url: str, key: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=url, headers={"orchesty-api-key": key}, timeout=_ANSWER_SECONDS, transport=direct(),
            trust_env=False,
        )  # fmt: skip
        self._read: Recent[tuple[Collection, str], tuple[float, Sequence[Document]]] = Recent(_MOST_CACHED)

    async def find(
        self, collection: Collection, wanted: Filter, *, is_fresh: bool = False,
        sorter: Mapping[str, str] | None = None, paging: Mapping[str, int] | None = None,
    ) -> Sequence[Document]:  # fmt: skip
        """Return documents that are not deleted; `is_fresh` asks even when they were read within this second.

        Each has an `_id`; all else may be of any type, as services in other languages write it.

        Of installs, `enabled` may be true or None for all: false means all to worker-api as well. `sorter` is
        `{"created": "asc"}` or `"desc"`, `paging` has `limit` and `offset`.
        """
        asked = _without_empty(wanted)
        if asked is None:
            return ()
        parts = {"filter": asked, "sorter": sorter, "paging": paging}
        query = {name: json.dumps(value) for name, value in parts.items() if value is not None}
        key = (collection, json.dumps(query))
        read = self._read.get(key)
        if read and not is_fresh and time.monotonic() - read[0] < FRESH_SECONDS:
            return read[1]
        answer = await self._send("GET", collection, query)
        if not isinstance(answer, list):
            raise DocumentsAway(f"answered no list of {collection}")
        found = [one for one in answer if isinstance(one, dict) and isinstance(one.get("_id"), str)]
        if found:
            self._read.put(key, (time.monotonic(), found))
        return found

    async def node(self, node_id: str) -> Document | None:
        """Return the document of a node, if the platform has one."""
        if not _OBJECT_ID.fullmatch(node_id):
            return None
        return next(iter(await self.find(Collection.NODES, {"ids": [node_id]})), None)

    async def save(self, collection: Collection, document: Document) -> None:
        """Add a document whose `_id` is empty; of another one change the fields that are named.

        An `_id` that there is not is ignored: read the document to know. Raises `DocumentTooLarge`.
        """
        content = json.dumps([document]).encode()
        if len(content) > LARGEST_BYTES:
            raise DocumentTooLarge(
                f"a document of {collection} would have {len(content)} bytes, and the platform's worker-api takes "
                f"{LARGEST_BYTES}: save less in it, such as in its settings"
            )
        await self._send("POST", collection, {}, content, attempts=ATTEMPTS if document.get("_id") else 1)

    async def delete(self, collection: Collection, ids: Sequence[str]) -> None:
        """Delete documents by their ids; those that are gone are none the less a success."""
        if ids:
            every = {"enabled": None} if collection is Collection.INSTALLS else {}
            await self._send("DELETE", collection, {"filter": json.dumps({"ids": list(ids), **every})})

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _send(
        self, method: str, collection: Collection, query: Mapping[str, str], content: bytes | None = None,
        *, attempts: int = ATTEMPTS,
    ) -> Any:  # fmt: skip
        """Send a request until it is answered well."""
        if method != "GET":
            self._read = Recent(_MOST_CACHED)
        for attempt in range(attempts):
            try:
                return await self._answer(method, collection, query, content)
            except _Refused as error:
                raise DocumentsAway(str(error)) from None
            except (*LOST, _Failed) as error:
                problem = str(error) if isinstance(error, _Failed) else f"does not answer ({type(error).__name__})"
            if attempt + 1 < attempts:
                await asyncio.sleep(_PAUSE_SECONDS * 2**attempt)
        raise DocumentsAway(problem)

    async def _answer(
        self, method: str, collection: Collection, query: Mapping[str, str], content: bytes | None
    ) -> Any:
        sent = {"Content-Type": "application/json"}
        reply = await self._http.request(method, f"/document/{collection}", params=query, content=content, headers=sent)
        try:
            answer = reply.json()
        except ValueError:
            answer = None
        if reply.is_server_error or answer is None:
            raise _Failed(f"answered {reply.status_code}{'' if answer is not None else ' without JSON'}")
        if (said := _error_in(answer)) or reply.is_error:
            cure = (
                ": set ORCHESTY_API_KEY to the platform's key" if reply.status_code == httpx.codes.UNAUTHORIZED else ""
            )
            raise _Refused(f"answered {reply.status_code}: {said}{cure}")
        return answer


class _Failed(Exception):
    """It may answer when it is asked again."""


class _Refused(Exception):
    """It would say the same again."""


def _error_in(answer: Any) -> str:
    """Return the error of a reply; versions of worker-api before 3.0 send it with status 200."""
    message = answer.get("message") if isinstance(answer, dict) else None
    if isinstance(message, dict):
        return str(message.get("error") or "")[:200]
    return str(message or "")[:200]


def _without_empty(wanted: Filter) -> Filter | None:
    """Return the filter without empty texts, which worker-api refuses; None when nothing can be found with it."""
    asked: dict[str, Any] = {}
    for name, value in wanted.items():
        kept = [one for one in value if one] if isinstance(value, list | tuple) else value
        if kept == []:
            return None
        asked[name] = kept
    return asked
