"""The actions, applications and stages that the documentation shows do what it says: each is called."""

import gzip
import hmac
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from types import FunctionType
from typing import Any
from urllib.parse import urlsplit

import aioftp
import pytest
from pydantic import Field, SecretStr
from structlog.testing import capture_logs
from support.page_examples import EXAMPLES
from support.pages import NAME, PAGES, actions_of, is_action, names_of
from support.visits import node, visit

from applications import Application, Form
from applications.access import Access, always
from applications.crypt import Keyring
from applications.http.client import Client
from applications.http.request import Auth
from applications.http.wire import Wire
from applications.install import Install
from applications.sync_call import SyncCall, TextReply
from applications.webhook_call import Handshake, WebhookCall
from connectors import Endpoints, Forward, Repeat, Stop, Trash
from worker import Decided, Visit
from worker.accounts.sealing import SealedFields
from worker.testing import Exchange, InMemoryTopology, NotConnected, Reply, answering, installed, run_action
from worker.testing.transports import RecordingTransport

BY_THE_TUTORIAL = {"tutorial.md", "testing.md"}
"""Their tests are run as they are, by test_tutorial.py."""

IN_A_TEST_OF_ITS_OWN = {
    "connectors.md": {"files-fetch-orders", "warehouse-copy"},
    "oauth2.md": {"books-get-invoice"},
    "storage.md": {"keep-products", "sum-up", "shop-list-changes"},
}
FUNCTIONS = {
    "actions.md": {"parse"},
    "connectors.md": {"count_lines"},
    "embedding.md": {"serve", "timed", "again_in_the_morning", "worker_with_stages", "make_application"},
    "oauth2.md": {
        "exchange",
        "needs_body",
        "sign",
        "needs",
        "auth",
        "warehouses",
        "stock_changed",
        "after_enable",
        "after_uninstall",
    },
    "webhooks.md": {"subscribe", "unsubscribe", "handshake", "delivery_id"},
}
"""What is no action. Each is called below or by its action, `serve` and `worker_with_stages` by test_embedding.py,
`make_application` by test_mounted.py."""
NAMES = [(page, name) for page, examples in EXAMPLES.items() for name in examples]


def page(name: str) -> Path:
    return next(page for page in PAGES if page.name == name)


def test_every_action_of_every_page_is_called() -> None:
    shown = {page.name: set(actions_of(page)) for page in PAGES if page.name not in BY_THE_TUTORIAL}
    called = {name: set(EXAMPLES.get(name, {})) | IN_A_TEST_OF_ITS_OWN.get(name, set()) for name in shown}
    assert called == shown


def test_every_function_of_every_page_is_called() -> None:
    shown = {page.name: set(functions_of(page)) for page in PAGES if page.name not in BY_THE_TUTORIAL}
    assert {name: functions for name, functions in shown.items() if functions} == FUNCTIONS


def functions_of(page: Path) -> Iterator[str]:
    """Yield the names of the functions and methods of a page; those of actions are called with them."""
    kinds = (FunctionType, property)
    for name, value in names_of(page).items():
        if getattr(value, "__module__", "") != NAME or is_action(value):
            continue
        if isinstance(value, FunctionType):
            yield name
        elif isinstance(value, type):
            yield from (key for key, member in vars(value).items() if isinstance(member, kinds) and key[0] != "_")


@pytest.mark.parametrize(("where", "name"), NAMES)
async def test_an_action_does_what_its_page_says(where: str, name: str) -> None:
    example, action = EXAMPLES[where][name], actions_of(page(where))[name]
    made = action(*example.made_with) if example.made_with else action
    http = answering(*example.replies) if example.replies else None
    result = await run_action(made, example.data, http=http)
    assert tuple(result.items) == example.items, result.reason
    assert example.reason in result.reason
    if example.path:
        request = result.exchanges[-1].request
        assert request.method + " " + urlsplit(request.url)._replace(scheme="", netloc="").geturl() == example.path


async def test_functions_and_rules_choose_what_their_pages_say() -> None:
    order = {"number": 17, "total": 100.0, "country": "CZ"}
    sent = await run_action(actions_of(page("actions.md"))["route-by-country"], order, followers=("domestic", "abroad"))
    assert isinstance(sent.outcome, Forward)
    assert sent.outcome.to == ("domestic",)
    express = await run_action(actions_of(page("node-sdk.md"))["only-large"], {"total": 100}, followers=("express",))
    assert express.data == {"total": 100}
    shipped = await run_action(actions_of(page("actions.md"))["warehouse-ship"], order, http=answering({}))
    assert shipped.exchanges[0].request.path == "/v1/shipments/17"
    book = actions_of(page("connectors.md"))["warehouse-book"]
    stocked = {"id": 17, "state": "new", "total": 5.0}
    gone = await run_action(book, stocked, http=answering(Reply(404)))
    assert isinstance(gone.outcome, Stop)
    refused = await run_action(book, stocked, http=answering({"ok": False, "error": "no such shelf"}))
    assert refused.outcome == Trash(refused.reason)
    assert "no such shelf" in refused.reason


async def test_the_service_of_the_readme_that_is_away_is_called_ten_times_in_nine_minutes() -> None:
    get_order = actions_of(page("README.md"))["shop-get-order"]
    topology = {
        "id": "t1",
        "name": "orders",
        "nodes": [
            {
                "id": "n2",
                "name": "get-order",
                "worker": "worker.http",
                "settings": {"actionPath": "/connector/shop-get-order/action"},
            }
        ],
    }
    away = answering(NotConnected("no such host"))
    async with InMemoryTopology(topology, actions=[get_order], http=away) as running:
        await running.start("get-order", {"id": 17})
        await running.run()
        assert len(running.calls("get-order")) == 10
        assert 540 <= running.clock() < 550
        assert len(await running.trash()) == 1


async def test_products_that_are_kept_are_summed_up_by_the_next_node() -> None:
    actions = actions_of(page("storage.md"))
    path = "/custom-node/{}/process"
    nodes = [
        {
            "id": "n1",
            "name": "keep",
            "worker": "worker.custom_node",
            "followers": [{"id": "n2", "name": "sum"}],
            "settings": {"actionPath": path.format("keep-products")},
        },
        {
            "id": "n2",
            "name": "sum",
            "worker": "worker.custom_node",
            "followers": [{"id": "n3", "name": "done"}],
            "settings": {"actionPath": path.format("sum-up")},
        },
    ]
    kept = [actions["keep-products"], actions["sum-up"]]
    async with InMemoryTopology({"id": "t1", "name": "sums", "nodes": nodes}, actions=kept) as topology:
        await topology.start("keep", [{"sku": "a", "price": 1.5}, {"sku": "b", "price": 2}])
        await topology.run()
        assert topology.data("done") == [{"total": 3.5}]


@pytest.fixture
async def ftp(tmp_path: Path) -> AsyncIterator[str]:
    for folder in ("in", "done"):
        (tmp_path / folder).mkdir()
    server = aioftp.Server([aioftp.User("ann", "secret", base_path=tmp_path)])
    await server.start("127.0.0.1", 0)
    yield f"ftp://ann:secret@127.0.0.1:{server.server_port}"
    await server.close()


async def test_files_are_fetched_and_moved(ftp: str, tmp_path: Path) -> None:
    (tmp_path / "in" / "orders.csv").write_bytes(b"12345")
    fetch = actions_of(page("connectors.md"))["files-fetch-orders"]
    result = await run_action(fetch, {"server": ftp, "host_key": ""})
    assert result.data == {"orders.csv": 5}
    assert (tmp_path / "done" / "orders.csv").read_bytes() == b"12345"


async def test_a_big_file_is_copied(tmp_path: Path) -> None:
    copy = actions_of(page("connectors.md"))["warehouse-copy"]
    packed = Reply(content=gzip.compress(b"id\n1\n"))
    result = await run_action(copy, {"folder": str(tmp_path)}, http=answering(packed, {}))
    assert result.data == {"bytes": 5}
    put = result.exchanges[1].request
    assert (put.method, put.path, put.body) == ("PUT", "/v1/archive/export.csv", b"id\n1\n")


@asynccontextmanager
async def asking(url: str, *replies: Any, auth: Auth | None = None) -> AsyncIterator[tuple[Client, list[Exchange]]]:
    """What methods of an application ask its service by, and what passes."""
    transport = RecordingTransport(answering(*replies))
    wire = Wire(transport=transport)
    yield Client(wire, always(Access(url, auth=auth)), "asked"), transport.exchanges
    await wire.close()


async def test_a_login_fills_in_address_and_token() -> None:
    names = names_of(page("oauth2.md"))
    async with installed(names["Books"], {"company": "42"}) as access:
        result = await run_action(
            names["get_invoice"], {"id": 3}, user="alice", access=access, http=answering({"id": 3})
        )
    request = result.exchanges[0].request
    assert (request.path, result.data) == ("/42/invoices/3", {"id": 3})
    assert request.headers["authorization"].startswith("Bearer ")


async def test_an_exchange_and_a_signature_of_ones_own_are_used() -> None:
    names = names_of(page("oauth2.md"))
    get_account = Endpoints(names["Bank"]).get("bank-get-account", "/account", Any, Any)
    tokens = answering({"access_token": "fresh", "expires_in": 60})
    async with installed(names["Bank"], {"pin": "1234"}, token_endpoint=tokens) as access:
        replies = answering(Reply(401), {"id": 1})
        result = await run_action(get_account, {}, user="alice", access=access, http=replies)
    assert result.data == {"id": 1}
    assert result.exchanges[-1].request.headers["authorization"] == "Bearer fresh"
    auth = names["Hmac"]().auth({"secret": "s3cret"})
    async with asking("https://own.example", {}, auth=auth) as (client, exchanges):
        await client.post("/a", json=1)
    signature = hmac.digest(b"s3cret", b"POST https://own.example/a 1", sha256).hex()
    assert exchanges[0].request.headers["x-signature"] == signature


def test_a_signature_of_ones_own_says_what_it_needs() -> None:
    class Secret(Form):
        secret: SecretStr | None = Field(None, title="Secret")

    class Signed(Application):
        key = "signed"
        forms = (Secret,)
        base_url = "https://signed.example"
        authentication = names_of(page("oauth2.md"))["Hmac"]()

    assert Signed.missing({}) == ["secret"]
    form, *_ = Signed.form_facts()
    assert Signed.missing({form.key: {"secret": "s3cret"}}) == []


def test_what_is_no_number_is_logged_with_its_error() -> None:
    parse = names_of(page("actions.md"))["parse"]
    with capture_logs() as lines:
        assert parse("17") == 17
        with pytest.raises(ValueError, match="seventeen"):
            parse("seventeen")
    (line,) = lines
    assert (line["event"], line["log_level"], line["for_ui"]) == ("not a number", "error", True)


async def test_a_webhook_is_subscribed_and_read() -> None:
    chat = names_of(page("webhooks.md"))["Chat"]()
    async with asking("https://chat.example/api", {"id": 5}, Reply(404)) as (client, exchanges):
        assert await chat.subscribe(client, "message", "https://hooks.example", "secret", {}) == "5"
        await chat.unsubscribe(client, "5")
    assert [exchange.request.path for exchange in exchanges] == ["/api/hooks", "/api/hooks/5"]
    assert chat.handshake(called(b'{"type": "url_verification", "challenge": "c"}')) == Handshake("c")
    assert chat.handshake(called(b"{}")) is None
    assert chat.delivery_id(called(b'{"event_id": "e1"}')) == "e1"


def called(body: bytes) -> WebhookCall:
    return WebhookCall("POST", "https://hooks.example", {}, body, 0)


async def test_a_batch_takes_over_from_the_settings_of_an_install() -> None:
    names = names_of(page("storage.md"))
    http = answering([{"changed": "2026-11-30"}])
    async with installed(names["Shop"], {"lastRun": "2026-11-01"}) as access:
        result = await run_action(names["ListChanges"], {}, user="alice", http=http, access=access)
    assert result.items == [{"changed": "2026-11-30"}]
    assert str(result.exchanges[0].request.url) == "https://shop.example/orders?since=2026-11-01"


async def test_users_are_shown_the_warehouses_of_the_service_and_its_calls_are_taken() -> None:
    stock = names_of(page("oauth2.md"))["Stock"]()
    started: list[tuple[str, Any]] = []

    async def start(topology: str, **options: Any) -> None:
        started.append((topology, options))

    stock.start_topology = start
    async with asking("https://api.stock.example", {"warehouses": [{"id": 1}]}) as (client, exchanges):
        call = SyncCall(method="GET", query={"state": "open"}, client=client, user="alice")
        assert await stock.warehouses(call) == [{"id": 1}]
        assert await stock.stock_changed(replace(call, query={"token": "t"})) == TextReply("t")
        assert await stock.stock_changed(replace(call, body=b"[5]")) is None
    assert exchanges[0].request.url == "https://api.stock.example/warehouses?state=open"
    assert started == [("stock", {"data": [5], "user": "alice"})]


async def test_a_service_hears_of_its_installs() -> None:
    ledger = names_of(page("oauth2.md"))["Ledger"]()
    install = Install(
        "alice", "ledger", "", is_enabled=True, plain={}, sealed=SealedFields(Keyring({}), (), {}, None), expires=0,
        problem="", token_fence=0, failures=0, retry_at=0, read_at=0, version=0, created=0, updated=0,
    )  # fmt: skip
    async with asking("https://api.ledger.example", {}) as (client, exchanges):
        await ledger.after_enable(install, client)
        await ledger.after_uninstall(install, client)
    (sent,) = exchanges
    assert (sent.request.url, json.loads(sent.request.body)) == (
        "https://api.ledger.example/connections", {"name": "orders of alice"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("hour", "name", "expected"),
    [
        (3, "send-to-erp", Repeat(timedelta(hours=2, minutes=30), "closed at night: refused")),
        (9, "send-to-erp", Trash("refused")),
        (3, "other", Trash("refused")),
    ],
)
async def test_stages_of_ones_own_see_and_change_what_is_decided(hour: int, name: str, expected: object) -> None:
    names = names_of(page("embedding.md"))
    at = datetime(2026, 11, 24, hour, 30).astimezone()
    names["datetime"] = type("At", (), {"now": staticmethod(lambda: at)})

    async def refused(visit: Visit) -> Decided:
        return Decided(visit, Trash("refused"))

    async def changed(visit: Visit) -> Decided:
        decided: Decided = await names["again_in_the_morning"](visit, refused)
        return decided

    decided = await names["timed"](visit(node(name=name)), changed)
    assert decided.decision == expected
