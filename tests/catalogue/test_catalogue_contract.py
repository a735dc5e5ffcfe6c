"""Every action of the catalogue keeps the contract, with the example of its own input model."""

import pkgutil
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import pytest
from support.soap import ENVELOPE, WSDL

import connectors.catalogue
from connectors import Batch, Stop, Trash
from connectors.catalogue import github, servant, shopify
from worker.actions.registry import AnyAction, load_actions
from worker.testing import BatchContract, ConnectorContract, Reply
from worker.testing.contract import ActionContract

REPOSITORY = {"id": 1, "full_name": "acme/shop", "private": False}
ISSUE = {"id": 1, "number": 7, "title": "It does not start", "state": "open"}
WSDL_READ = Reply(text=WSDL.replace("ADDRESS", "https://servant.example/V5/"))
DONE = "<importRequestResult><number>17</number><accepted>1</accepted></importRequestResult>"


def soap(operation: str, content: str) -> dict[str, Any]:
    """Return what the service answers, its WSDL first."""
    result = "<result><resultCode>0</resultCode><resultMessage/></result>"
    body = ENVELOPE.format(f'<{operation}Response xmlns="urn:sapi">{result}{content}</{operation}Response>')
    reply = Reply(text=body, headers={"content-type": "text/xml"})
    return {"before": (WSDL_READ,), "replies": (WSDL_READ, reply)}


def linked(first: Any, last: Any) -> dict[str, Any]:
    """Return two pages."""
    link = {"link": '<?page=2>; rel="next"'}
    return {"replies": (Reply(json=first, headers=link), last)}


def answers(reply: Any, **more: Any) -> dict[str, Any]:
    """Return one reply."""
    return {"replies": (reply,), **more}


PAGE = {"nodes": [{"id": "gid://shopify/Order/1", "name": "#1"}], "pageInfo": {"hasNextPage": False}}
GONE = (Trash, Stop)
KEPT: dict[AnyAction | type[AnyAction], dict[str, Any]] = {
    github.get_app: answers({"id": 9, "slug": "bot", "name": "Bot"}),
    github.get_repository: answers(REPOSITORY),
    github.get_issue: answers(ISSUE),
    github.create_issue: answers(Reply(201, json=ISSUE)),
    github.update_issue: answers(ISSUE),
    github.create_comment: answers(Reply(201, json={"id": 5, "body": "Done."})),
    github.run_workflow: answers(Reply(204)),
    github.list_repositories: linked([REPOSITORY], [{**REPOSITORY, "id": 2}]),
    github.list_issues: linked([ISSUE], [{**ISSUE, "id": 2}]),
    github.list_releases: linked([{"id": 1, "tag_name": "v1"}], [{"id": 2, "tag_name": "v2"}]),
    shopify.list_orders: linked({"orders": [{"id": 1}]}, {"orders": [{"id": 2}]}),
    shopify.list_products: linked({"products": [{"id": 1, "title": "Cup"}]}, {"products": [{"id": 2, "title": "Mug"}]}),
    shopify.get_order: answers({"order": {"id": 17}}, after_refusal=GONE),
    shopify.update_order: answers({"order": {"id": 17}}),
    shopify.get_variant: answers({"variant": {"id": 17}}),
    shopify.get_locations: answers({"locations": [{"id": 1, "name": "Prague"}]}),
    shopify.set_stock: answers({"inventory_level": {"inventory_item_id": 1, "location_id": 2}}),
    shopify.get_fulfillment_orders: answers({"fulfillment_orders": [{"id": 70}]}, after_refusal=GONE),
    shopify.create_fulfillment: answers(Reply(201, json={"fulfillment": {"id": 5}})),
    shopify.create_fulfillment_event: answers(Reply(201, json={"fulfillment_event": {"id": 6}})),
    shopify.update_tracking: answers({"fulfillment": {"id": 5}}),
    shopify.get_product: answers({"data": {"product": {"id": "gid://shopify/Product/1", "title": "Cup"}}}),
    shopify.search_orders: answers({"data": {"orders": PAGE}}),
    shopify.create_product: answers(
        {"data": {"productCreate": {"product": {"id": "gid://shopify/Product/2", "title": "Mug"}, "userErrors": []}}}
    ),
    servant.GetInventory: soap(
        "GetInventory", "<inventoryItems><code>mug</code><quantity>1.5</quantity></inventoryItems>"
    ),
    servant.GetIssueOrdersByDate: soap("GetIssueOrdersByDate", "<orders><number>17</number></orders>"),
    servant.GetCarriers: soap("GetCarriers", "<carrierItems><id>1</id><name>Post</name></carrierItems>"),
    servant.ImportIssue: soap("ImportIssue", DONE),
    servant.ImportProducts: soap("ImportProducts", DONE),
    servant.get_warehouses: answers([{"id": 4}]),
}


RENEWAL = {
    "test_a_refused_token_is_renewed_once_and_the_call_sent_again",
    "test_a_dead_login_goes_to_the_trash_with_its_cure",
}
"""Their applications have no token to renew; `test_contract_logins.py` has one that does."""


def contract(action: AnyAction | type[AnyAction], facts: dict[str, Any]) -> ActionContract:
    """Return the contract of an action."""
    is_batch = isinstance(action, Batch) or (isinstance(action, type) and issubclass(action, Batch))
    kind = BatchContract if is_batch else ConnectorContract
    made: ActionContract = type("Contract", (kind,), {"action": action, **facts})()
    return made


def checks() -> Sequence[Any]:
    """Return what each action has to keep, as parameters."""
    made = [contract(action, facts) for action, facts in KEPT.items()]
    return [
        pytest.param(one, name, id=f"{one.own.name}-{name.removeprefix('test_')}")
        for one in made
        for name in dir(one)
        if name.startswith("test_") and name not in RENEWAL
    ]


@pytest.mark.parametrize(("kept", "name"), checks())
def test_an_action_keeps_the_contract(kept: ActionContract, name: str) -> None:
    getattr(kept, name)()


def test_no_login_of_the_catalogue_is_renewed() -> None:
    assert not any(contract(action, {})._renews for action in KEPT)


def test_no_action_is_left_out() -> None:
    """Mail speaks no HTTP: `test_mail.py` has its replies."""
    modules = {
        f"{connectors.catalogue.__name__}.{entry.name}" for entry in pkgutil.iter_modules(connectors.catalogue.__path__)
    }
    shipped = {action.name for action in load_actions(()) if place(action) in modules}
    assert shipped == {contract(action, {}).own.name for action in KEPT} | {"smtp-send-email"}


def place(action: AnyAction) -> str:
    return action.declared.module if action.declared else type(action).__module__


def test_every_input_model_of_the_catalogue_has_an_example_that_fits() -> None:
    smtp = import_module("connectors.catalogue.smtp")
    for action in [*KEPT, smtp.SendEmail]:
        one = contract(action, {})
        one.test_its_examples_fit_its_input()
        one.test_it_says_what_it_does()
