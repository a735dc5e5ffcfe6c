"""`orchesty-worker actions`."""

import json
import subprocess
from pathlib import Path

from support.command import command

MODULE = '''
from pydantic import BaseModel, Field
from applications import Application
from connectors import Batch, Connector, CustomNode, Message, Page


class Shop(Application):
    key = "shop"


class OrderId(BaseModel):
    id: int = Field(gt=0)


class Order(BaseModel):
    id: int
    total: float


class GetOrder(Connector[OrderId, Order]):
    """GET /orders/{id}.

    Repeats while the shop is closed.
    """

    name = "get-order"
    application = Shop

    async def process(self, message: Message[OrderId]) -> Message[Order]:
        return message


class Split(Batch[list[Order], Order]):
    name = "split"

    async def page(self, message, cursor):
        return Page([])


class Anything(CustomNode):
    name = "get-order"

    async def process(self, message):
        return message


class NoSchema(CustomNode[OrderId, complex]):
    name = "no-schema"

    async def process(self, message):
        return message
'''


DECLARED = '''
from typing import Any

from pydantic import BaseModel

from connectors import Endpoints, custom_node


class Ref(BaseModel):
    id: int


get_order = Endpoints().get("declared", "https://shop.example/orders/{id}", Ref, dict[str, Any])


@custom_node("function")
def function(ref: Ref) -> Ref:
    """Gives back what it takes."""
    return ref
'''


def actions(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "own_shop.py").write_text(MODULE)
    return command("actions", *arguments, PYTHONPATH=str(tmp_path), WORKER_ACTIONS="own_shop", COLUMNS="200")


def test_actions_are_listed_by_kind_and_name(tmp_path: Path) -> None:
    found = json.loads(actions(tmp_path, "list", "--json").stdout)
    own = [action for action in found if action["class"].startswith("own_shop.")]
    assert [(action["kind"], action["name"], action["application"]) for action in own] == [
        ("batch", "split", ""),
        ("connector", "get-order", "shop"),
        ("custom-node", "get-order", ""),
        ("custom-node", "no-schema", ""),
    ]
    table = actions(tmp_path, "list").stdout
    assert table.index("own_shop.py") < table.index("the worker"), "your own come first"
    line = MODULE.splitlines().index("class GetOrder(Connector[OrderId, Order]):") + 1
    assert f"{tmp_path}/own_shop.py:{line}" in table


def test_an_action_is_shown_with_its_text_and_schemas(tmp_path: Path) -> None:
    shown = json.loads(actions(tmp_path, "show", "get-order", "--kind", "connector", "--json").stdout)
    assert shown["doc"] == "GET /orders/{id}.\n\nRepeats while the shop is closed."
    assert shown["class"] == "own_shop.GetOrder"
    assert shown["input"]["properties"]["id"] == {"exclusiveMinimum": 0, "title": "Id", "type": "integer"}
    assert shown["output"]["required"] == ["id", "total"]
    text = actions(tmp_path, "show", "get-order", "--kind", "connector").stdout
    assert "Repeats while the shop is closed." in text
    assert '"exclusiveMinimum": 0' in text


def test_what_an_action_leaves_open_is_any_json(tmp_path: Path) -> None:
    shown = json.loads(actions(tmp_path, "show", "get-order", "--kind", "custom-node", "--json").stdout)
    assert (shown["input"], shown["output"]) == ({}, {})


def test_an_action_whose_type_has_no_schema_is_shown(tmp_path: Path) -> None:
    done = actions(tmp_path, "show", "no-schema", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["input"]["title"] == "OrderId"


def test_a_name_of_several_kinds_and_an_unknown_one_are_wrong_usage(tmp_path: Path) -> None:
    done = actions(tmp_path, "show", "get-order")
    assert (done.returncode, "--kind: connector, custom-node" in done.stderr) == (2, True)
    done = actions(tmp_path, "show", "get-ordr")
    assert (done.returncode, "did you mean 'get-order'?" in done.stderr) == (2, True)


def test_declarations_and_functions_are_listed_where_they_are_made_and_not_where_they_are_imported(
    tmp_path: Path,
) -> None:
    (tmp_path / "declared_shop.py").write_text(DECLARED)
    (tmp_path / "own_shop.py").write_text("from declared_shop import get_order, function\n" + MODULE)
    both = {"PYTHONPATH": str(tmp_path), "WORKER_ACTIONS": "own_shop,declared_shop", "COLUMNS": "200"}
    found = json.loads(command("actions", "list", "--json", **both).stdout)
    own = {action["name"]: action for action in found if action["class"].startswith("declared_shop.")}
    assert set(own) == {"declared", "function"}
    lines = DECLARED.splitlines()
    for name, begins in (("declared", "get_order ="), ("function", "@custom_node")):
        (line,) = (number for number, text in enumerate(lines, 1) if text.startswith(begins))
        assert own[name]["defined"] == f"{tmp_path}/declared_shop.py:{line}"
    assert own["declared"]["doc"] == "GET https://shop.example/orders/{id}"
    assert own["function"]["doc"] == "Gives back what it takes."
    shown = json.loads(command("actions", "show", "function", "--json", **both).stdout)
    assert shown["input"]["required"] == shown["output"]["required"] == ["id"]
