"""What the platform's user interface is told, compared with recordings of the Node.js SDK, and what it costs."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from conftest import MakeTopology, RunWorker
from support.queues import Queues, process_message
from support.services import serving
from support.topologies import connector, custom_node, sink
from support.visits import node
from support.waiting import eventually

from applications import Application
from applications.http.errors import NotConnected, TimedOut
from applications.http.request import Outgoing
from connectors import Connector, Message, log
from connectors import custom_node as node_function
from connectors.http import Http
from connectors.message import current_message
from connectors.secrets import current_secrets
from deploy.ports import free_ports
from worker.actions.service_calls import Calls
from worker.modes import ui_log as interfaces
from worker.modes.ui_log import CALLS, LOGS, UiLog
from worker.protocol.message import Envelope, Visit, current_visit, receive
from worker.protocol.transport import Delivery
from worker.settings.settings import load_settings

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "interface.json").read_text())
KEY = "golden-api-key"
CANARY = "hunter2-canary"


@dataclass
class Platform:
    """A worker-api on loopback."""

    url: str = ""
    posts: list[tuple[str, str]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    status: int = 200

    async def answer(self, request: web.Request) -> web.Response:
        self.keys.add(request.headers["orchesty-api-key"])
        self.posts.append((request.path, await request.text()))
        return web.json_response({"message": {"status": "OK", "data": ""}}, status=self.status)

    def bodies(self, path: str) -> list[Any]:
        return [json.loads(body) for at, body in self.posts if at == path]


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    made = Platform()
    async with serving(made.answer) as url:
        made.url = url
        yield made


@asynccontextmanager
async def telling(url: str) -> AsyncIterator[tuple[UiLog, Calls]]:
    """Send what the test writes and calls; all is sent when the context has ended."""
    made, calls = UiLog(load_settings(api_host=url, orchesty_api_key=KEY)), Calls()
    running = asyncio.ensure_future(made.run())
    with made.listening(calls):
        yield made, calls
    await made.finish()
    running.cancel()


def nobody() -> str:
    """Return where nobody answers."""
    return f"127.0.0.1:{free_ports(1)[0]}"


def visit_of(headers: Mapping[str, Any]) -> Visit:
    """Return the message of a recording, at its node."""
    at = node(
        id=headers.get("node-id", ""),
        name=headers.get("node-name", ""),
        topology_id=headers.get("topology-id", ""),
        topology_name=headers.get("topology-name", ""),
        stamp={},
    )
    return receive(at, Envelope("{}", dict(headers)), Delivery(b"", None))


def timeless(posts: Sequence[tuple[str, str]], service: str = "") -> list[tuple[str, str]]:
    """Leave out what differs from run to run: times, traces, and where the service is."""
    form = re.compile(r'"(timestamp|sent_request_total_duration)":\d+|"(created)":"[^"]*Z"|"(trace)":"(?:\\.|[^"\\])*"')
    there = "http://127.0.0.1:18082"
    return [(path, form.sub('"time"', body).replace(service or there, there)) for path, body in posts]


def recorded(name: str) -> list[tuple[str, str]]:
    return timeless([(post["path"], post["body"]) for post in GOLDEN[name]["posts"]])


async def test_lines_are_those_of_the_node_sdk_byte_for_byte(platform: Platform) -> None:
    async with telling(platform.url):
        current_visit.set(visit_of(GOLDEN["log-ui"]["headers"]))
        log.debug("debug  double   space", for_ui=True)
        log.info("info\n  message", for_ui=True)
        log.warning("warn message", for_ui=True)
        log.error("error message", for_ui=True, exc_info=ValueError("some  err"))
        log.info("not for ui")
    assert sorted(timeless(platform.posts)) == sorted(recorded("log-ui"))
    assert platform.keys == {KEY}


async def test_a_line_may_show_an_exchange_or_belong_to_no_message(platform: Platform) -> None:
    async with telling(platform.url):
        current_visit.set(visit_of(GOLDEN["log-ui-ctx"]["headers"]))
        sent = {"request_headers": {"h": "1"}, "request_body": {"b": 1}}
        log.info("with ctx", for_ui=True, **sent, response_headers={"rh": "2"}, response_body="resbody")
        current_visit.set(None)
        log.info("empty ctx", for_ui=True)
    assert sorted(timeless(platform.posts)) == sorted(recorded("log-ui-ctx"))


async def answer(request: web.Request) -> web.Response:
    if request.path == "/slow":
        await asyncio.sleep(1)  # longer than the test waits
    _, _, status = request.path.partition("/status/")
    return web.Response(status=int(status or 200))


@pytest.mark.parametrize(
    ("case", "path", "application"),
    [
        ("connector-status-201", "/status/201", ""),
        ("connector-status-404", "/status/404", ""),
        ("connector-keepAllRanges-503", "/status/503", ""),
        ("connector-timeout", "/slow", ""),
        ("connector-dns", "http://no-such-host.invalid/x", ""),
        ("app-connector-ok", "/echo", "basic-app"),
        ("connector-metrics-no-user", "/status/200", ""),
    ],
)
async def test_calls_are_those_of_the_node_sdk_byte_for_byte(
    platform: Platform, case: str, path: str, application: str
) -> None:
    """But for its second entry for a refused call, always 500, and the query, which may hold a secret."""
    http, headers = Http(), GOLDEN[case]["headers"]
    async with serving(answer) as service, telling(platform.url) as (_, calls):
        http.called = calls.note
        current_visit.set(visit_of(headers))
        current_message.set(Message(headers, "{}"))
        url = path if "://" in path else f"{service}{path}"
        request = Outgoing("GET", url, {}, timeout_seconds=0.2 if path == "/slow" else 10, application=application)
        try:
            async with http.open(request):
                pass
        except (NotConnected, TimedOut):
            pass
        await http.close()
    expected = [(at, body.replace("/slow?ms=2500", "/slow")) for at, body in recorded(case)[:1]]
    assert timeless(platform.posts, service) == expected


class Books(Application):
    """An application without a login."""

    key = "books"


class Ask(Connector[Any, Any]):
    """Calls a service and writes lines."""

    name = "interface-ask"
    application = Books

    async def process(self, message: Message[Any]) -> Message[Any]:
        current = current_secrets.get()
        assert current is not None
        current["books"] = [CANARY]
        await self.get(message.data["url"], params={"key": CANARY}, headers={"Authorization": "x"})
        self.log.info("asked", for_ui=True, number=message.data["n"], api_key="k", seen=f"as {CANARY}")
        self.log.info("only in the log")
        try:
            int(CANARY)
        except ValueError:
            shown = {"response_headers": {"Set-Cookie": "c"}, "response_body": {"a": [CANARY]}}
            self.log.exception("refused", for_ui=True, **shown)
        return message


@node_function("interface-thread")
def in_a_thread(data: dict[str, Any]) -> dict[str, Any]:
    log.warning("from a thread", for_ui=True)
    return data


async def test_a_worker_tells_the_platform_lines_and_calls_of_its_actions_without_secrets(
    platform: Platform, make_topology: MakeTopology, run_worker: RunWorker, queues: Queues
) -> None:
    topology = make_topology(
        connector("ask", "interface-ask", "next"), custom_node("next", "interface-thread", "sink"), sink()
    )
    async with serving(answer) as service:
        own = {"api_host": platform.url.removeprefix("http://"), "orchesty_api_key": KEY}
        running = await run_worker(topology, Ask(), in_a_thread, **own)
        await queues.publish(topology.exchange("ask"), process_message({"n": 7, "url": f"{service}/status/200"}))
        await queues.read(topology.queue("sink"), 1)
        await eventually(lambda: len(platform.posts) == 4, what="three lines and a call")
    lines = {line["message"]: line for line in platform.bodies(LOGS)}
    assert set(lines) == {"asked: number=7, api_key=[hidden], seen=as [hidden]", "refused", "from a thread"}
    assert {line["nodeName"] for line in lines.values()} == {"ask", "next"}
    assert lines["refused"]["stacktrace"]["message"].endswith(": '[hidden]'")
    assert lines["refused"]["resHeaders"] == {"Set-Cookie": "[hidden]"}
    (call,) = platform.bodies(CALLS)
    assert (call["tags"]["application_id"], call["tags"]["url"]) == ("books", f"{service}/status/200")
    assert CANARY not in json.dumps(platform.posts)
    assert 'interface_entries_total{kind="log",outcome="sent"} 3' in running.worker.metrics()


async def test_without_a_platform_nothing_is_taken() -> None:
    made, calls = UiLog(load_settings()), Calls()
    with made.listening(calls):
        log.info("line", for_ui=True)
        assert calls._told is None
    await made.run()
    await made.finish()
    assert not made._waiting
    assert [family.samples for family in made.families()] == [[]]


def outcomes(made: UiLog) -> Mapping[str, float]:
    (family,) = made.families()
    return {labels["outcome"]: value for labels, value in family.samples}


async def test_entries_wait_for_a_platform_that_is_away_and_the_oldest_make_room(
    monkeypatch: pytest.MonkeyPatch, log_lines: Sequence[Mapping[str, Any]]
) -> None:
    platform = Platform()
    monkeypatch.setattr(interfaces, "WAITING", 10)
    monkeypatch.setattr(interfaces, "LONGEST_PAUSE_SECONDS", 0.01)
    address = nobody()
    async with telling(address) as (made, _):
        for number in range(20):
            log.info("line", for_ui=True, number=number)
        await eventually(lambda: any(line["event"] == "interface_away" for line in log_lines), what="the warning")
        async with serving(platform.answer, int(address.rpartition(":")[2])):
            await eventually(lambda: outcomes(made).get("sent") == 10, what="all entries sent")
    assert outcomes(made) == {"sent": 10, "dropped": 10}
    assert {line["event"] for line in log_lines} >= {"interface_back"}
    assert "line: number=19" in {body["message"] for body in platform.bodies(LOGS)}


async def test_a_worker_that_stops_gives_up_on_a_platform_that_is_away(
    monkeypatch: pytest.MonkeyPatch, log_lines: Sequence[Mapping[str, Any]]
) -> None:
    monkeypatch.setattr(interfaces, "LAST_SECONDS", 0.05)
    async with telling(nobody()):
        log.info("line", for_ui=True)
    assert any(line["event"] == "interface_entries_dropped" for line in log_lines)


async def test_what_the_platform_refuses_is_told_and_not_sent_again(
    platform: Platform, log_lines: Sequence[Mapping[str, Any]]
) -> None:
    platform.status = 400
    async with telling(platform.url):
        log.info("line", for_ui=True)
    assert len(platform.posts) == 1
    assert any(line["event"] == "interface_refused" and line["status"] == 400 for line in log_lines)


async def test_values_of_any_kind_and_size_are_shown_as_far_as_the_platform_takes_them(platform: Platform) -> None:
    async with telling(platform.url):
        log.info("kinds", for_ui=True, response_body={"path": Path("/x"), "bytes": b"a", "set": {1}})
        log.info("large " + "x" * 200_000, for_ui=True, response_body="y" * 200_000)
    kinds, large = sorted(platform.bodies(LOGS), key=lambda line: len(str(line)))
    assert kinds["resBody"]["path"] == "/x"
    assert len(large["message"]) == 10_000
    assert "resBody" not in large


@pytest.mark.parametrize("wrong", ["ftp://x", "http://user@host", "host:port", "http://host/path"])
def test_a_wrong_address_is_told(wrong: str) -> None:
    with pytest.raises(Exception, match="WORKER_API_HOST"):
        load_settings(api_host=wrong)
