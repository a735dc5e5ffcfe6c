"""Fixtures of the Node.js SDK's NodeTester, run with actions of ours."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from applications import Application, Bearer, Form
from connectors import CursorParam, Endpoints, Forward, Message, Repeat, Stop, custom_node
from worker.testing import UnexpectedRequest, installed, run_node_fixtures


class Login(Form):
    token: str


class Shop(Application):
    key = "shop"
    base_url = "https://shop.example/api"
    authentication = Bearer()
    forms = (Login,)


class OpenShop(Application):
    key = "open-shop"
    base_url = "https://shop.example/api"


class OrderRef(BaseModel):
    id: int


get_order = Endpoints(Shop).get("shop-get-order", "/orders/{id}", OrderRef, Any)
find_order = Endpoints(OpenShop).get("find-order", "/orders", OrderRef, Any, query={"q": "{id}", "all": "1,2"})
list_orders = Endpoints(OpenShop).list(
    "list-orders", "/orders", Any, Any, pages=CursorParam(param="after", next="next"), at="orders"
)


@custom_node("only-large")
async def only_large(message: Message[dict[str, Any]]) -> Forward | Stop:
    if message.data["total"] < 100:
        return Stop("too small")
    return Forward(message.with_headers({"size": "large"}).with_data(message.data | {"at": "12:07"}), to=("express",))


def fixtures(folder: Path, **files: object) -> Path:
    for name, content in files.items():
        (folder / f"{name.replace('_', '-')}.json").write_text(json.dumps(content))
    return folder


@pytest.mark.asyncio
async def test_a_connector_is_called_for_the_user_and_its_reply_compared(tmp_path: Path) -> None:
    files = {
        "input": {"headers": {"user": "ann", "sdk": "", "result-code": "1"}, "data": {"id": 17}},
        "mock": {"http": "GET https://shop.example/api/orders/17", "code": 200, "body": {"id": 17}, "headers": {}},
        "output": {"headers": {"user": "ann", "sdk": ""}, "data": {"id": 17}},
    }
    async with installed(Shop, {"token": "t"}, user="ann") as access:
        result = await run_node_fixtures(get_order, fixtures(tmp_path, **files), access=access)
    assert result.exchanges[0].request.headers["Authorization"] == "Bearer t"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "mock",
    [
        {"http": "GET https://shop.example/api/orders?all=1,2&q=17"},
        {"http": "GET https:\\/\\/shop\\.example\\/api\\/orders\\?q=.*", "useRegexp": True},
        {"http": "ANY https://shop.example/api/orders/?q=17&all=1%2C2"},
        {"http": "GET https://shop.example//api/orders\\?q=17&all=1,2"},
        {"http": "GET https://(?<host>shop)\\.example/.*\\?q=(?!18)", "useRegexp": True},
    ],
)
async def test_replies_are_found_by_method_and_address(tmp_path: Path, mock: dict[str, Any]) -> None:
    ours = fixtures(
        tmp_path,
        input={"headers": {}, "data": {"id": 17}},
        mock=mock | {"code": 200, "body": "text"},
        output={"headers": {}, "data": "text"},
    )
    await run_node_fixtures(find_order, ours)


def paged(folder: Path, **changed: object) -> Path:
    files: dict[str, object] = {
        "all-input": {"headers": {}, "data": {}},
        "all-mock": {
            "http": "GET https://shop.example/api/orders",
            "code": 200,
            "body": {"orders": [{"id": 1}, {"id": 2}], "next": "2"},
        },
        "all-output": {
            "headers": {"cursor": "2", "result-code": "1010", "result-message": "Message will be used as a iterator"},
            "data": [{"body": '{"id":1}', "headers": None}, {"body": '{ "id": 2 }', "headers": {}}],
        },
        "1-all-mock": {
            "http": "GET https://shop.example/api/orders?after=2",
            "code": 200,
            "body": {"orders": [{"id": 3}], "next": None},
        },
        "all-output1": {"headers": {}, "data": [{"body": '{"id":3}', "headers": None}]},
    }
    return fixtures(folder, **(files | changed))


@pytest.mark.asyncio
async def test_a_batch_is_called_page_by_page(tmp_path: Path) -> None:
    result = await run_node_fixtures(list_orders, paged(tmp_path), "all")
    assert result.items == [{"id": 1}, {"id": 2}, {"id": 3}]


@pytest.mark.asyncio
async def test_what_differs_in_each_run_is_replaced_in_items_too(tmp_path: Path) -> None:
    last = {"headers": {}, "data": [{"body": "any"}], "replacement": {"data": {"0.body": "any", "0.body.id": "no"}}}
    await run_node_fixtures(list_orders, paged(tmp_path, **{"all-output1": last}), "all")
    last["data"], last["replacement"] = [{"body": "5"}], {"data": {"": [{"body": "5"}]}}
    await run_node_fixtures(list_orders, paged(tmp_path, **{"all-output1": last}), "all")


LARGE = {
    "input": {
        "headers": {"worker-followers": '[{"id": "f1", "name": "slow"}, {"id": "f2", "name": "express"}]'},
        "data": {"total": 250},
    },
    "output": {
        "headers": {
            "size": "large", "result-code": "1002", "force-target-queue": "f2", "result-message": "of the SDK",
            "worker-followers": '[{"id": "f1", "name": "slow"}, {"id": "f2", "name": "express"}]',
        },
        "data": {"total": 250, "at": "now"},
        "replacement": {"data": {"at": "now", "no.such": "x"}},
    },
}  # fmt: skip
SMALL = {
    "small_input": {"headers": {}, "data": {"total": 5}},
    "small_output": {"headers": {"result-code": "1003", "result-message": "too small"}, "data": {"total": 5}},
}


@pytest.mark.asyncio
async def test_what_a_custom_node_decides_is_compared(tmp_path: Path) -> None:
    folder = fixtures(tmp_path, **LARGE, **SMALL)
    await run_node_fixtures(only_large, folder)
    await run_node_fixtures(only_large, folder, "small")


@pytest.mark.asyncio
async def test_an_expected_error_is_an_outcome(tmp_path: Path) -> None:
    busy = fixtures(
        tmp_path,
        input={"headers": {}, "data": {"id": 1}},
        mock={"http": "GET https://shop.example/api/orders?q=1&all=1,2", "code": 503, "body": {}},
    )
    await run_node_fixtures(find_order, busy, outcome=Repeat)
    with pytest.raises(AssertionError, match='outcome differs\nexpected: "Stop"\nfound:    "Repeat"'):
        await run_node_fixtures(find_order, busy, outcome=Stop)


DIFFERENCES = {
    "data": ({"output": LARGE["output"] | {"data": {"total": 251, "at": "now"}}}, "data differs"),
    "a header less": ({"output": LARGE["output"] | {"headers": {**LARGE["output"]["headers"], "a": "b"}}}, "headers d"),
    "a header more": (
        {"output": LARGE["output"] | {"headers": {"result-code": "1002", "force-target-queue": "f2"}}},
        "headers differs",
    ),
    "code": ({"output": LARGE["output"] | {"headers": {"size": "large"}}}, 'result-code differs\nexpected: "0"'),
    "follower": (
        {"output": LARGE["output"] | {"headers": {"result-code": 1002, "force-target-queue": "f1,f2"}}},
        r'force-target-queue differs\nexpected: \["express", "slow"\]',
    ),
}


@pytest.mark.asyncio
@pytest.mark.parametrize(("changed", "told"), DIFFERENCES.values(), ids=DIFFERENCES)
async def test_what_differs_is_told(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        await run_node_fixtures(only_large, fixtures(tmp_path, **(LARGE | changed)))


PAGE_DIFFERENCES = {
    "an item less": ({"all-output1": {"headers": {}, "data": []}}, "number of items differs\nexpected: 2\nfound:    3"),
    "an item": ({"all-output1": {"headers": {}, "data": [{"body": '{"id":4}'}]}}, "data of item 3 differs"),
    "a header": (
        {"all-output1": {"headers": {}, "data": [{"body": '{"id":3}', "headers": {"user": "bob"}}]}},
        "headers of item 3 differs",
    ),
    "an end": ({"all-output": {"headers": {}, "data": []}}, "page 1 is the last differs"),
}


@pytest.mark.asyncio
@pytest.mark.parametrize(("changed", "told"), PAGE_DIFFERENCES.values(), ids=PAGE_DIFFERENCES)
async def test_what_differs_in_pages_is_told(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        await run_node_fixtures(list_orders, paged(tmp_path, **changed), "all")


@pytest.mark.asyncio
async def test_what_is_wrong_with_the_files_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"small-input.json: No such file"):
        await run_node_fixtures(only_large, tmp_path, "small")
    fixtures(tmp_path, input={"data": {"id": 1}}, mock={"http": "GET (", "useRegexp": True})
    with pytest.raises(ValueError, match=r"mock.json: missing \), unterminated subpattern"):
        await run_node_fixtures(find_order, tmp_path)
    fixtures(tmp_path, mock={"http": "GET https://shop.example", "code": "ok"})
    with pytest.raises(ValueError, match=r"mock.json: invalid literal for int"):
        await run_node_fixtures(find_order, tmp_path)
    fixtures(tmp_path, mock={"http": "POST https://shop.example/api/orders"})
    with pytest.raises(UnexpectedRequest, match=r"no file answers it. Not used yet: POST .* \(mock.json\)"):
        await run_node_fixtures(find_order, tmp_path)
    (tmp_path / "output.json").write_text("[]")
    with pytest.raises(ValueError, match=r"output.json: an object is expected"):
        await run_node_fixtures(only_large, fixtures(tmp_path, input=LARGE["input"]))
