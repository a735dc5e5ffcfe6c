"""Telling the platform that a message went to the trash."""

from datetime import UTC, datetime
from typing import Any, Protocol

import httpx
import msgspec
import structlog

from worker import headers as h
from worker.broker import Publication
from worker.broker.objects import EVENTS_EXCHANGE
from worker.trash import Entry
from worker.visit import Visit

log = structlog.get_logger()

RUN_BY_NAME = "/topologies/system-events/nodes/start/run-by-name"
STATUS_SECONDS = 5


class TrashNotice(Protocol):
    """Tells others that a message went to the trash."""

    async def publication(self, visit: Visit, entry: Entry) -> Publication | None:
        """Make the notice; what is returned is to be published."""

    async def close(self) -> None:
        """Close what was opened."""


class NoNotice:
    """Standalone: the log line and `trash list` are the notice."""

    async def publication(self, visit: Visit, entry: Entry) -> Publication | None:
        """Return nothing."""

    async def close(self) -> None:
        """Nothing to close."""


class PlatformNotice:
    """The platform's status call and its event."""

    def __init__(self, starting_point: str | None, api_key: str) -> None:
        self._url = f"http://{starting_point}{RUN_BY_NAME}" if starting_point else None
        self._headers = {"Orchesty-Api-Key": api_key}
        self._client = httpx.AsyncClient(timeout=STATUS_SECONDS, trust_env=False)

    async def publication(self, visit: Visit, entry: Entry) -> Publication | None:
        """Call the starting point and return the event. A starting point that is away is only logged."""
        if self._url:
            try:
                answer = await self._client.post(self._url, json=_status(visit, entry), headers=self._headers)
                answer.raise_for_status()
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                log.warning("status_call_failed", url=self._url, cause=f"{type(error).__name__}: {error}")
        return Publication(EVENTS_EXCHANGE, "topology.message", _event(visit, entry), mandatory=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _status(visit: Visit, entry: Entry) -> dict[str, Any]:
    return {
        "type": "messageInTrash",
        "data": {
            "topologyName": entry.topology_name,
            "topologyVersion": 0,
            "applications": "",
            "topologyId": entry.topology_id,
            "resultMessage": entry.reason,
            "correlationId": entry.correlation_id,
            "processId": visit.header(h.PROCESS_ID),
            "user": entry.user or "",
            "timestampMs": visit.timestamp,
        },
        "contents": [{"trashId": entry.id, "body": entry.body}],
    }


def _event(visit: Visit, entry: Entry) -> bytes:
    now = datetime.now(UTC)
    return msgspec.json.encode(
        {
            "event_id": f"trash-{entry.correlation_id}-{int(now.timestamp() * 1000)}",
            "event_type": "topology_failed_message",
            "occurred_at": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "tenant_id": "orchesty",
            "topology": {"id": entry.topology_id, "name": entry.topology_name},
            "node": {"id": entry.node_id, "name": entry.node_name},
            "severity": "warning",
            "context": {
                "correlation_id": entry.correlation_id,
                "process_id": visit.header(h.PROCESS_ID),
                "result_message": entry.reason,
                "trash_id": entry.id,
            },
            "message": entry.reason,
        }
    )
