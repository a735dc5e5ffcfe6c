"""Actions written as functions."""

import threading
from typing import Any

import pytest
from aiohttp import web
from pydantic import BaseModel
from support.calls import bench, data_of

from applications import Application
from connectors import CustomNode, Forward, Message, Page, Service, Stop, Trash, custom_node
from connectors.functions import batch, connector
from connectors.kind import Kind
from worker.actions.description import place_of, types_of


class Shop(Application):
    key = "shop"
    base_url = "http://shop.invalid"


class Order(BaseModel):
    id: int
    total: float = 0


@custom_node("add-vat")
def add_vat(order: Order) -> Order:
    """Adds VAT."""
    return order.model_copy(update={"total": order.total * 1.21})


@custom_node("where")
def where(order: Order) -> str:
    return threading.current_thread().name


@custom_node("only-large")
async def only_large(message: Message[Order]) -> Message[Order] | Forward:
    if message.data.total < 100:
        raise Stop("too small")
    return Forward(message.with_headers({"size": "large"}), to=("next",))


@custom_node("forgetful")
def forgetful(order: Any) -> None:
    pass


@connector("shop-get-order", application=Shop)
async def get_order(order: Order, service: Service) -> Order:
    return (await service.get("/orders/{id}", order)).model(Order)


@batch("shop-list-orders", application=Shop)
async def list_orders(query: dict[str, Any], service: Service, cursor: str | None) -> Page:
    response = await service.get("/orders", params={"after": cursor})
    return Page(response.models(Order), "2" if cursor is None else None)


@batch("lines")
def lines(order: dict[str, Any]) -> list[Any]:
    return list(order["lines"])


class Synchronous(CustomNode[Any, Any]):
    name = "synchronous"

    def process(self, message: Message[Any]) -> Message[Any]:  # type: ignore[override]
        return message.with_data(threading.current_thread().name)


async def answer(request: web.Request) -> web.StreamResponse:
    if request.path == "/orders":
        return web.json_response([{"id": 1, "total": len(request.query)}])
    return web.json_response({"id": int(request.path[8:]), "total": 5})


async def test_functions_take_and_give_bodies_or_messages() -> None:
    async with bench(answer) as at:
        assert data_of(await at.call(add_vat, {"id": 1, "total": 100})) == {"id": 1, "total": 121}
        large: Any = await at.call(only_large, {"id": 1, "total": 100})
        assert (large.to, large.message.headers["size"]) == (("next",), "large")
        assert await at.call(only_large, {"id": 1, "total": 1}) == Stop("too small")
        assert data_of(await at.call(get_order, {"id": 17})) == {"id": 17, "total": 5}
        first: Any = await at.call(list_orders, {})
        assert (first.items, first.next_cursor) == ([Order(id=1, total=0)], "2")
        last: Any = await at.call(list_orders, {}, cursor="2")
        assert (last.items, last.next_cursor) == ([Order(id=1, total=1)], None)
        assert await at.call(lines, {"lines": [1, 2]}) == Page([1, 2])


async def test_functions_and_methods_that_are_not_async_run_in_a_thread() -> None:
    async with bench(answer) as at:
        for action in (where, Synchronous()):
            assert data_of(await at.call(action, {"id": 1})) != threading.current_thread().name


async def test_a_function_that_returns_nothing_is_a_mistake() -> None:
    async with bench(answer) as at:
        assert await at.call(forgetful, {}) == Trash("forgetful returned NoneType, not a Message or an outcome")


def test_a_function_tells_what_it_takes_and_gives() -> None:
    assert (add_vat.kind, get_order.kind, lines.kind) == (Kind.CUSTOM_NODE, Kind.CONNECTOR, Kind.BATCH)
    assert types_of(add_vat) == (Order, Order)
    assert types_of(only_large) == (Order, Order)
    assert types_of(lines)[0] == dict[str, Any]
    assert add_vat.__doc__ == "Adds VAT."
    place = place_of(add_vat)
    assert (place.module, place.name) == (__name__, "add_vat")
    assert place.file.endswith("test_functions.py")
    assert add_vat(Order(id=1, total=100)).total == 121


def test_parameters_that_nobody_fills_are_refused_when_the_module_is_read() -> None:
    with pytest.raises(TypeError, match=r"bad takes the body or the message first.*not cursor"):

        @custom_node("bad")
        def bad(order: Any, cursor: str) -> Any:
            return order

    with pytest.raises(TypeError, match="wants the service, which only async functions can ask"):

        @connector("sync")
        def sync(order: Any, service: Service) -> Any:
            return order
