"""A message for each action that the documentation shows, and what has to come of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from support.pages import ROOT
from support.soap import ENVELOPE
from worker.testing import Reply

WSDL = (ROOT / "tests" / "support" / "stock.wsdl").read_text()
STOCK = '<GetStockResponse xmlns="urn:stock"><pieces>3</pieces><shelf>B</shelf></GetStockResponse>'
XML = {"Content-Type": "text/xml"}


@dataclass(frozen=True)
class Example:
    """A message for an action of a page, what its service answers, and what comes of it."""

    data: Any
    replies: tuple[Any, ...] = ()
    items: tuple[Any, ...] = ()
    reason: str = ""
    """Part of why the message did not go on."""
    path: str = ""
    """The last request: method and path with the query."""
    made_with: tuple[Any, ...] = ()
    """What the constructor takes."""


ORDER = {"number": 17, "total": 100.0, "country": "CZ"}
STOCKED = {"id": 17, "state": "new", "total": 5.0}
EXAMPLES: Mapping[str, Mapping[str, Example]] = {
    "README.md": {
        "shop-get-order": Example({"id": 17}, ({"id": 17, "total": 5.0},), ({"id": 17, "total": 5.0},)),
    },
    "actions.md": {
        "warehouse-get-order": Example({"number": 17}, (ORDER,), (ORDER,), path="GET /v1/orders/17"),
        "warehouse-list-orders": Example(
            {"number": 1},
            ({"orders": [ORDER], "next": "b"}, {"orders": [ORDER | {"number": 18}]}),
            (ORDER, ORDER | {"number": 18}),
            path="GET /v1/orders?cursor=b",
        ),
        "warehouse-reserve": Example(ORDER, ({"state": "done"},), (ORDER,), path="POST /v1/reservations/17"),
        "warehouse-list-changes": Example({}, ([ORDER], []), (ORDER,), path="GET /v1/changes?after=17"),
        "add-vat": Example(ORDER, (), (ORDER | {"total": 121.0},)),
        "route-by-country": Example(ORDER | {"total": 99}, reason="too small"),
        "count-orders": Example(ORDER, (), (ORDER,), made_with=({},)),
        "warehouse-ship": Example(ORDER | {"country": "DE"}, reason="we only ship within the country"),
        "dispatch": Example(ORDER, (), (ORDER,)),
    },
    "connectors.md": {
        "warehouse-get-order": Example({"id": 17}, (STOCKED,), (STOCKED,), path="GET /v1/orders/17"),
        "warehouse-change-order": Example(
            {"id": 17, "state": "paid"}, ({"data": {"order": STOCKED}},), (STOCKED,), path="PATCH /v1/orders/17"
        ),
        "warehouse-delete-order": Example({"id": 17}, (Reply(204),), ({"id": 17},), path="DELETE /v1/orders/17"),
        "warehouse-reserve": Example(
            STOCKED,
            ({"must_confirm": True}, {}),
            (STOCKED | {"state": "reserved"},),
            path="POST /v1/orders/17/confirmation",
        ),
        "warehouse-count-lines": Example({"id": 17}, ([1, 2],), ({"lines": 2},), path="GET /v1/orders/17/lines"),
        "warehouse-book": Example(STOCKED, ({"state": "counting"},), reason="the warehouse counts its stock"),
        "warehouse-list-orders": Example(
            {}, ({"orders": [STOCKED]},), (STOCKED,), path="GET /v1/orders?page=1&limit=200"
        ),
        "warehouse-list-stock": Example(
            {}, ({"rows": [{"owner": "ann"}]},), ({"owner": "ann"},), path="GET /v1/stock?offset=0&limit=50"
        ),
        "warehouse-graphql-order": Example(
            {"id": 17}, ({"data": {"order": STOCKED}},), (STOCKED,), path="POST /v1/graphql"
        ),
        "warehouse-graphql-orders": Example(
            {},
            ({"data": {"orders": {"nodes": [STOCKED], "pageInfo": {"hasNextPage": False}}}},),
            (STOCKED,),
            path="POST /v1/graphql",
        ),
        "warehouse-get-stock": Example(
            {"id": 17},
            (
                Reply(text=WSDL, headers=XML),
                Reply(text=ENVELOPE.format(STOCK), headers=XML),
            ),
            ({"pieces": 3, "shelf": "B"},),
        ),
    },
    "node-sdk.md": {
        "my-get-repository": Example({"org": "a", "repo": "b"}, ({"id": 1},), ({"id": 1},), path="GET /repos/a/b"),
        "my-repositories": Example(
            {"org": "a"}, ([{"id": 1}],), ({"id": 1},), path="GET /orgs/a/repos?page=1&per_page=100"
        ),
        "only-large": Example({"total": 99}, reason="too small"),
    },
    "embedding.md": {"count-orders": Example({"shop": "eu"}, (), ({"shop": "eu"},), made_with=({},))},
    "nodes.md": {"convert": Example({"total": 1}, (), ({"total": 1, "currency": "EUR"},))},
    "storage.md": {
        "list-orders": Example({}, (), ({"id": 1}, {"id": 2}, {"id": 3})),
        "convert-total": Example({"usd": 8}, (), ({"eur": 4.0},)),
    },
}
