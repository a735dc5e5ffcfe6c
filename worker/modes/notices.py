"""What the platform is told: by a call of its starting point, for its topology `system-events`, and by an event."""

from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import structlog

from worker.broker.objects import EVENTS_EXCHANGE
from worker.protocol import headers as h
from worker.protocol.message import Visit
from worker.protocol.transport import Publication
from worker.trash.entry import Entry
from worker.urls import http_url

log = structlog.get_logger()

RUN_BY_NAME = "/topologies/system-events/nodes/start/run-by-name"
STATUS_SECONDS = 5


class PlatformNotice:
    """The platform's status call and its event."""

    def __init__(self, starting_point: str | None, api_key: str) -> None:
        """`starting_point` is `host:port` or a URL; without it there is no call."""
        self._url = f"{http_url(starting_point)}{RUN_BY_NAME}" if starting_point else None
        self._headers = {"Orchesty-Api-Key": api_key}
        self._client = httpx.AsyncClient(timeout=STATUS_SECONDS, trust_env=False)

    async def publication(self, visit: Visit, entry: Entry) -> Publication | None:
        """Call the starting point and return the event. A starting point that is away is only logged."""
        await self._call(_status_of_trash(visit, entry))
        return _published(_event_of_trash(visit, entry))

    async def of_limit(self, text: str, figures: dict[str, Any], *, is_exceeded: bool) -> Publication:
        """Do the same for a limit of the installation."""
        body = msgspec.json.encode(figures).decode()
        kind = "limitOverflow" if is_exceeded else "limitRecovered"
        await self._call(_status(kind, {"resultMessage": text}, {"trashId": None, "body": body}))
        return _published(
            _event(
                f"limit-{figures['limit_type']}",
                "limit_overflow" if is_exceeded else "limit_recovered",
                severity="critical" if is_exceeded else "info",
                context=figures,
                message=text,
            )
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _call(self, content: dict[str, Any]) -> None:
        if self._url is None:
            return
        try:
            answer = await self._client.post(self._url, json=content, headers=self._headers)
            answer.raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            log.warning("status_call_failed", url=self._url, cause=f"{type(error).__name__}: {error}")


def _status(kind: str, data: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    nothing = {
        "topologyName": "",
        "topologyVersion": 0,
        "applications": "",
        "topologyId": "",
        "resultMessage": "",
        "correlationId": "",
        "processId": "",
        "user": "",
        "timestampMs": 0,
    }
    return {"type": kind, "data": nothing | data, "contents": [content]}


def _status_of_trash(visit: Visit, entry: Entry) -> dict[str, Any]:
    data = {
        "topologyName": entry.topology_name,
        "topologyId": entry.topology_id,
        "resultMessage": entry.reason,
        "correlationId": entry.correlation_id,
        "processId": visit.headers.text(h.PROCESS_ID),
        "user": entry.user or "",
        "timestampMs": visit.timestamp,
    }
    return _status("messageInTrash", data, {"trashId": entry.id, "body": entry.body})


def _event_of_trash(visit: Visit, entry: Entry) -> dict[str, Any]:
    context = {
        "correlation_id": entry.correlation_id,
        "process_id": visit.headers.text(h.PROCESS_ID),
        "result_message": entry.reason,
        "trash_id": entry.id,
    }
    where = {
        "topology": {"id": entry.topology_id, "name": entry.topology_name},
        "node": {"id": entry.node_id, "name": entry.node_name},
    }
    kind, name = "topology_failed_message", f"trash-{entry.correlation_id}"
    return _event(name, kind, severity="warning", context=context, message=entry.reason, **where)


def _event(name: str, kind: str, **content: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "event_id": f"{name}-{int(now.timestamp() * 1000)}",
        "event_type": kind,
        "occurred_at": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "tenant_id": "orchesty",
        **content,
    }


def _published(event: dict[str, Any]) -> Publication:
    return Publication(EVENTS_EXCHANGE, "topology.message", msgspec.json.encode(event), mandatory=False)
