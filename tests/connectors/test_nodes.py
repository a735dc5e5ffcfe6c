"""The ready nodes: what they make of messages, what they refuse, and that no expression leaves its sandbox."""

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.nodes import outcome_of
from support.visits import PROCESS_ID, node
from support.waiting import timely

from connectors import Forward, Message, Outcome, Page, Stop, Trash
from connectors.nodes.filtering import Filter
from connectors.nodes.mapping import Map
from connectors.nodes.routing import Route
from connectors.nodes.splitting import Split
from worker.actions.binding import bind, configured
from worker.actions.registry import AnyAction, load_actions
from worker.actions.remote import RemoteActions
from worker.errors import ActionsError
from worker.protocol.topology_file import load_topology

ORDER = {"number": 7, "total": 120.5, "country": "CZ", "lines": [{"sku": "a", "n": 1}, {"sku": "b", "n": 2}]}


def message_of(outcome: Outcome) -> Message[Any]:
    assert isinstance(outcome, Forward), outcome
    return outcome.message


def reason_of(outcome: Outcome) -> str:
    assert isinstance(outcome, Trash | Stop), outcome
    return outcome.reason


@pytest.mark.parametrize(
    ("configuration", "body"),
    [
        ({"jmespath": "{id: number, skus: lines[].sku}"}, '{"id":7,"skus":["a","b"]}'),
        ({"jmespath": "{who: header('user')}"}, '{"who":"alice"}'),
        ({"jsonata": "{'id': number, 'pieces': $sum(lines.n)}"}, '{"id":7,"pieces":3}'),
        ({"jsonata": "lines[n > 1].sku"}, '"b"'),
        ({"jsonata": "{'who': $headers.user, 'none': nothing}"}, '{"who":"alice"}'),
        ({"jinja": '{"id": {{ data.number }}, "paid": {{ data.total > 1 }}}'}, '{"id": 7, "paid": true}'),
        ({"jinja": "{% for line in data.lines %}{{ line.sku }};{% endfor %}{{ headers.user }}"}, "a;b;alice"),
        ({"jinja": "{{ data.lines | tojson }}"}, '[{"n": 1, "sku": "a"}, {"n": 2, "sku": "b"}]'),
    ],
)
async def test_map_makes_the_body_anew(configuration: Mapping[str, Any], body: str) -> None:
    assert message_of(await outcome_of(Map(), configuration, ORDER)).body == body


async def test_map_sets_headers_and_leaves_those_that_are_null() -> None:
    headers = {
        "user": {"jmespath": "country"},
        "parent-id": {"jmespath": "nothing"},
        "big": {"jinja": "data.total > 9"},
    }
    message = message_of(await outcome_of(Map(), {"jmespath": "@", "headers": headers}, ORDER))
    assert (message.headers["user"], message.headers["parent-id"], message.headers["big"]) == ("CZ", "", True)


@pytest.mark.parametrize(
    "condition", [{"jmespath": "total > `100`"}, {"jsonata": "total > 100"}, {"jinja": "data.total > 100"}]
)
async def test_filter_lets_pass_what_is_true(condition: Mapping[str, Any]) -> None:
    assert isinstance(await outcome_of(Filter(), condition, ORDER), Forward)
    stopped = await outcome_of(Filter(), condition, {"total": 5})
    assert isinstance(stopped, Stop)
    assert "filtered out" in stopped.reason


async def test_zero_is_a_value_for_the_filter() -> None:
    assert isinstance(await outcome_of(Filter(), {"jmespath": "n"}, {"n": 0}), Forward)
    assert isinstance(await outcome_of(Filter(), {"jmespath": "n"}, {"n": []}), Stop)


@pytest.mark.parametrize(
    ("configuration", "data", "to"),
    [
        (
            {"jmespath": "country", "routes": {"CZ": "domestic"}, "otherwise": "abroad"},
            {"country": "CZ"},
            ("domestic",),
        ),
        ({"jmespath": "country", "routes": {"CZ": "domestic"}, "otherwise": "abroad"}, {"country": "SK"}, ("abroad",)),
        ({"jmespath": "big", "routes": {"true": ["domestic", "abroad"]}}, {"big": True}, ("domestic", "abroad")),
        ({"jsonata": "to"}, {"to": ["abroad"]}, ("abroad",)),
        ({"jinja": "'domestic' if data.n > 1 else 'abroad'"}, {"n": 2}, ("domestic",)),
    ],
)
async def test_route_chooses_followers(configuration: Mapping[str, Any], data: Any, to: tuple[str, ...]) -> None:
    outcome = await outcome_of(Route(), configuration, data, "domestic", "abroad")
    assert isinstance(outcome, Forward)
    assert outcome.to == to


@pytest.mark.parametrize("data", [{"country": "SK"}, {"country": None}, {"country": {"code": "CZ"}}])
async def test_a_message_without_a_route_goes_to_the_trash(data: Any) -> None:
    outcome = await outcome_of(Route(), {"jmespath": "country", "routes": {"CZ": "domestic"}}, data, "domestic")
    assert "'country'" in reason_of(outcome)
    assert {"SK": "string", "None": "null"}.get(str(data["country"]), "object") in reason_of(outcome)


async def test_split_makes_a_message_of_each_item() -> None:
    outcome = await outcome_of(Split(), {"items": {"jmespath": "lines"}}, ORDER)
    assert isinstance(outcome, Page)
    assert [item.data["sku"] for item in outcome.items] == ["a", "b"]
    assert [item.headers["split-index"] for item in outcome.items] == ["0", "1"]
    assert {(item.headers["split-id"], item.headers["split-count"]) for item in outcome.items} == {(PROCESS_ID, "2")}


async def test_split_in_portions_and_inside_a_split() -> None:
    outcome = await outcome_of(Split(), {"size": 2}, [1, 2, 3], split_id="o", split_index="4", split_count="9")
    assert isinstance(outcome, Page)
    assert [item.data for item in outcome.items] == [[1, 2], [3]]
    assert json.loads(outcome.items[0].headers["split-outer"]) == {
        "split-id": "o", "split-index": "4", "split-count": "9"
    }  # fmt: skip


async def test_what_is_no_list_is_not_split() -> None:
    assert "gave object, not a list" in reason_of(await outcome_of(Split(), {"items": {"jmespath": "@"}}, ORDER))
    assert "not a list" in reason_of(await outcome_of(Split(), {}, ORDER))


@pytest.mark.parametrize(
    ("configuration", "said"),
    [
        ({"jmespath": "sum(country)"}, "failed on object: sum() takes array-number, not string"),
        ({"jsonata": "country + 1"}, "failed on object: The left side of the + operator"),
        ({"jsonata": "$sum"}, "it gave a function"),
        ({"jinja": "{{ data.nothing }}"}, "has no attribute 'nothing'"),
        ({"jinja": "{{ 1 / 0 }}"}, "division by zero"),
    ],
)
async def test_an_expression_that_fails_says_which_and_on_what(configuration: Mapping[str, Any], said: str) -> None:
    reason = reason_of(await outcome_of(Map(), configuration, ORDER))
    assert said in reason
    assert repr(next(iter(configuration.values()))) in reason
    assert "on object" in reason or "gave a function" in reason
    assert "120.5" not in reason


async def test_a_body_that_is_no_json_goes_to_the_trash() -> None:
    assert "the body is not JSON" in reason_of(await outcome_of(Map(), {"jmespath": "@"}, None, body="<order/>"))


@pytest.mark.parametrize(
    "configuration",
    [
        {"jinja": "{{ ''.__class__.__mro__ }}"},
        {"jinja": "{{ data.__init__.__globals__ }}"},
        {"jinja": "{{ ''['__class__'] }}"},
        {"jinja": "{{ '{0.__class__}'.format(data) }}"},
        {"jinja": "{{ data | attr('__class__') }}"},
        {"jinja": "{% include '/etc/passwd' %}"},
        {"jinja": "{{ data.update({'a': 1}) }}"},
        {"jinja": "{{ 'a' * 1000000000 }}"},
        {"jinja": "{{ 9 ** 9 ** 9 }}"},
        {"jinja": "{{ range(1000000000) | list }}"},
        {"jinja": "{{ 'a'.center(1000000000) }}"},
        {"jinja": "{% for a in range(9999) %}{% for b in range(9999) %}{{ a }}{% endfor %}{% endfor %}"},
        {"jinja": "{{ cycler.__init__.__globals__.os.popen('id').read() }}"},
        {"jinja": "{{ self.__init__ }}"},
        {"jsonata": "($f := function($x) { $f($x + 1) }; $f(1))"},
        {"jsonata": "($f := function($x) { 1 + $f($x + 1) }; $f(1))"},
        {"jsonata": "$map([1..10000000], function($x) { $x * 2 })"},
        {"jmespath": "__class__.__mro__"},
        {"jsonata": "$sum.__class__.__init__"},
    ],
    ids=lambda configuration: str(next(iter(configuration.values())))[:40],
)
@pytest.mark.timing
async def test_no_expression_leaves_the_sandbox(configuration: Mapping[str, Any]) -> None:
    started = time.monotonic()
    try:
        outcome = await outcome_of(Map(), configuration, ORDER)
    except ActionsError:
        return
    if isinstance(outcome, Forward):
        assert outcome.message.body == "null"
    else:
        assert isinstance(outcome, Trash)
    assert time.monotonic() - started < timely(10)  # the bound on its time is what is tested


@pytest.mark.parametrize(
    ("action", "configuration", "said"),
    [
        (Map(), {"jmespath": "a.b["}, ".jmespath: no JMESPath at character 5"),
        (Map(), {"jsonata": "a.b["}, ".jsonata: no JSONata at character 5"),
        (Map(), {"jinja": "{{ a"}, ".jinja: no Jinja template at line 1"),
        (Filter(), {"jinja": "a >"}, ".jinja: no Jinja expression"),
        (Map(), {}, ": Give one expression"),
        (Map(), {"jmespath": "a", "jinja": "b"}, ": Give one expression"),
        (Map(), {"jmespath": "a", "headers": {"user": {"jmespath": "a["}}}, ".headers.user.jmespath: no JMESPath"),
        (Map(), {"jmespth": "a"}, ".jmespth: Extra inputs"),
        (Filter(), {"jmespath": 5}, ".jmespath: Input should be a valid string"),
        (
            Route(),
            {"jmespath": "a", "routes": {"x": "nobody"}},
            "nobody is not a follower of the node; it has follower",
        ),
        (Split(), {"items": {"jmespath": "a["}}, ".items.jmespath: no JMESPath"),
        (Split(), {"size": 0}, ".size: Input should be greater"),
    ],
)
def test_a_wrong_configuration_ends_the_start(action: AnyAction, configuration: Mapping[str, Any], said: str) -> None:
    with pytest.raises(ActionsError) as caught:
        configured(action, node("follower", configuration=configuration))
    assert said in str(caught.value)


def test_the_error_names_the_file_the_node_and_the_place(tmp_path: Path) -> None:
    path = tmp_path / "topology.json"
    settings = {"actionPath": "/custom-node/map/process", "configuration": {"jmespath": "a.b["}}
    nodes = [{"id": "n0", "name": "start", "worker": "worker.null"}]
    nodes.append({"id": "n1", "name": "prices", "worker": "worker.custom_node", "settings": settings})
    path.write_text(json.dumps({"id": "t", "name": "t", "nodes": nodes}))
    with pytest.raises(ActionsError) as caught:
        bind(load_topology(path).nodes, load_actions([]), RemoteActions())
    assert f"{path}: $.nodes[1].settings.configuration.jmespath: no JMESPath at character 5" in str(caught.value)
    assert "prices" in str(caught.value)


def test_the_topologies_of_the_page_are_configured_rightly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERP_URL", "postgresql://erp@host/erp")
    monkeypatch.setenv("SHOP_BROKER", "amqp://shop@host/")
    page = Path(__file__).parent.parent.parent / "docs" / "nodes.md"
    topologies = re.findall(r"```json\n(.*?)```", page.read_text(), re.DOTALL)
    assert topologies
    for content in topologies:
        path = tmp_path / "topology.json"
        path.write_text(content)
        bind(load_topology(path).nodes, load_actions([]), RemoteActions())
