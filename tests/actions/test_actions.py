"""Calling actions of this process, and finding them."""

import asyncio
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from support.visits import node, visit

from connectors import Batch, CustomNode, Forward, Message, Page, Trash
from connectors.action import Action
from connectors.kind import Kind
from connectors.secrets import keep_own
from worker.actions.binding import bind
from worker.actions.local import local_call, timed
from worker.actions.registry import Registry, load_actions
from worker.actions.remote import RemoteActions
from worker.errors import ActionsError, ActionUnreachable
from worker.protocol.topology import Role


class Order(BaseModel):
    number: int
    customer: str


class Shout(CustomNode[Order, Order]):
    name = "shout"

    async def process(self, message: Message[Order]) -> Message[Order]:
        order = message.data
        return message.with_data(order.model_copy(update={"customer": order.customer.upper()}))


class Raising(CustomNode[Any, Any]):
    name = "raising"

    def __init__(self, error: BaseException) -> None:
        self.error = error

    async def process(self, message: Message[Any]) -> Message[Any]:
        secret = "hunter2"  # noqa: F841 - must not show up in the reason
        raise self.error


class Answering(CustomNode[Any, Any]):
    name = "answering"

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def process(self, message: Message[Any]) -> Any:
        return self.answer


class Slow(CustomNode[Any, Any]):
    name = "slow"

    async def process(self, message: Message[Any]) -> Message[Any]:
        await asyncio.Event().wait()
        return message


class Pages(Batch[Any, int]):
    name = "pages"

    async def page(self, message: Message[Any], cursor: str | None) -> Page:
        return Page([cursor], next_cursor="2")


async def outcome_of(action: Action[Any, Any], body: str = '{"number":17,"customer":"ann"}', **headers: Any) -> Any:
    return await local_call(action)(visit(node("next"), body, **headers))


async def test_data_is_read_and_written_as_the_action_declares() -> None:
    outcome = await outcome_of(Shout())
    assert isinstance(outcome, Forward)
    assert outcome.message.body == '{"number":17,"customer":"ANN"}'
    assert outcome.message.headers["user"] == "alice"


async def test_a_body_that_does_not_fit_goes_to_the_trash_with_the_place() -> None:
    outcome = await outcome_of(Shout(), '{"number":"x","customer":"secret"}')
    assert isinstance(outcome, Trash)
    assert "at $.number: Input should be a valid integer" in outcome.reason
    assert "secret" not in outcome.reason
    assert "actions/test_actions.py" in outcome.reason


async def test_verdicts_of_earlier_nodes_are_hidden_from_the_action() -> None:
    outcome = await outcome_of(Shout(), result_code="1006", repeat_hops="2")
    assert "result-code" not in outcome.message.headers
    assert outcome.message.headers["repeat-hops"] == "2"


@pytest.mark.parametrize(
    "error", [KeyError("x"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), TimeoutError()]
)
async def test_any_other_error_goes_to_the_trash_with_type_and_place_but_no_locals(error: BaseException) -> None:
    outcome = await outcome_of(Raising(error))
    assert isinstance(outcome, Trash)
    assert outcome.reason.startswith(f"{type(error).__name__}: ")
    assert "actions/test_actions.py:" in outcome.reason
    assert "in process" in outcome.reason
    assert "hunter2" not in outcome.reason


async def test_no_reason_shows_a_secret_of_the_worker() -> None:
    keep_own(["own-canary"])

    class Leaky(CustomNode[Any, Any]):
        name = "leaky"

        async def process(self, message: Message[Any]) -> Message[Any]:
            if message.data == "raise":
                raise ValueError(r"Illegal header value b'own-canary\n'")
            raise Trash("the key is own-canary")

    reasons = [await local_call(Leaky())(visit(node("leaky"), body)) for body in ('"raise"', '"trash"')]
    assert all("own-canary" not in outcome.reason and "[hidden]" in outcome.reason for outcome in reasons)


@pytest.mark.parametrize("answer", [None, {"a": 1}, "text"])
async def test_an_answer_that_is_no_outcome_goes_to_the_trash(answer: object) -> None:
    outcome = await outcome_of(Answering(answer))
    assert outcome == Trash(f"answering returned {type(answer).__name__}, not a Message or an outcome")


async def test_a_batch_gets_its_cursor() -> None:
    first, later = await outcome_of(Pages()), await outcome_of(Pages(), cursor="1")
    assert (first.items, later.items) == ([None], ["1"])


async def test_an_action_that_outlives_its_time_is_cancelled() -> None:
    call = timed(local_call(Slow()))
    with pytest.raises(ActionUnreachable, match=r"longer than settings.timeout=0.01 s"):
        await call(visit(node("next", timeout_seconds=0.01)))


async def test_cancelling_the_worker_is_not_mistaken_for_an_error_of_the_action() -> None:
    running = asyncio.ensure_future(local_call(Slow())(visit(node("next"))))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def test_two_actions_of_one_name_are_refused_with_both_places() -> None:
    with pytest.raises(ActionsError, match=r"two actions are named custom-node 'shout': .*Shout and .*Shout"):
        Registry([Shout(), Shout()])


def test_kinds_have_names_of_their_own() -> None:
    registry = Registry([Shout(), Pages()])
    assert registry.get(Kind.CUSTOM_NODE, "shout") is not None
    assert registry.get(Kind.CONNECTOR, "shout") is None


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/custom-node/shuot/process", "Did you mean the custom-node 'shout'?"),
        ("/connector/shout/action", "Did you mean the custom-node 'shout'?"),
        ("/connector/x/action", "Add its module with --actions"),
    ],
)
async def test_an_unknown_action_is_refused_with_the_closest_one(path: str, hint: str) -> None:
    remote = RemoteActions()
    unknown = node("next", action_path=path, role=Role.CONNECTOR)
    with pytest.raises(ActionsError, match=re.escape(path)) as caught:
        bind([unknown], Registry([Shout(), Pages()]), remote)
    assert hint in str(caught.value)
    await remote.close()


@pytest.mark.parametrize("url", ["http://:0", "", "http://"])
async def test_a_url_without_a_host_is_no_service(url: str) -> None:
    remote = RemoteActions()
    with pytest.raises(ActionsError):
        bind([node("next", url=url)], Registry(), remote)
    assert bind([node("next", url="http://sdk:8080")], Registry(), remote).keys() == {"n1"}
    await remote.close()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "shop_actions"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    yield folder
    for name in [name for name in sys.modules if name.startswith("shop_actions")]:
        del sys.modules[name]


ACTION = """
from connectors import CustomNode, Message
class {name}(CustomNode):
    name = "{name}"
    async def process(self, message: Message) -> Message:
        return message
"""


def test_actions_are_found_in_all_modules_of_a_package_but_not_where_they_are_imported(package: Path) -> None:
    (package / "one.py").write_text(ACTION.format(name="One"))
    (package / "two.py").write_text("from shop_actions.one import One\n" + ACTION.format(name="Two"))
    names = {action.name for action in load_actions(["shop_actions"])}
    assert names >= {"One", "Two"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("import nowhere", "cannot import the actions of shop_actions: ModuleNotFoundError"),
        ("1 / 0", "ZeroDivisionError"),
        ("def broken(:", "SyntaxError"),
        ("", "shop_actions defines no action"),
        (ACTION.format(name="Nameless").replace('name = "Nameless"', "pass"), "has no name"),
    ],
)
def test_a_module_that_is_no_use_is_refused(package: Path, content: str, problem: str) -> None:
    (package / "one.py").write_text(content)
    with pytest.raises(ActionsError, match=problem):
        load_actions(["shop_actions"])


def test_a_missing_module_is_refused_with_a_cure() -> None:
    with pytest.raises(ActionsError, match="PYTHONPATH"):
        load_actions(["no_such_package"])
