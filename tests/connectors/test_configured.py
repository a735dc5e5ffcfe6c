"""Actions of an author's own that a node of the topology configures."""

from typing import Any

import pytest

from connectors import Configuration, Configured, CustomNode, Message
from worker.errors import ActionsError
from worker.testing import InMemoryTopology


class Currency(Configuration):
    to: str = "EUR"


class Convert(Configured[Currency], CustomNode[Any, Any]):
    name = "convert"
    configuration_type = Currency

    async def process(self, message: Message[Any]) -> Message[Any]:
        return message.with_data({"currency": self.configuration.to})


def convert(name: str, **settings: Any) -> dict[str, Any]:
    own = {"actionPath": "/custom-node/convert/process", **settings}
    return {
        "id": name,
        "name": name,
        "worker": "worker.http",
        "settings": own,
        "followers": [{"id": "end", "name": "end"}],
    }


def topology(*nodes: dict[str, Any]) -> InMemoryTopology:
    end = {"id": "end", "name": "end", "worker": "worker.null"}
    return InMemoryTopology({"id": "t", "name": "t", "nodes": [*nodes, end]}, actions=[Convert])


async def test_each_node_has_a_configuration_of_its_own() -> None:
    async with topology(convert("euro"), convert("crown", configuration={"to": "CZK"})) as running:
        for node in ("euro", "crown"):
            await running.start(node, {})
        await running.run()
        assert running.data("end") == [{"currency": "EUR"}, {"currency": "CZK"}]


@pytest.mark.parametrize(("values", "problem"), [({"too": "CZK"}, "too"), ({"to": 5}, "to")])
async def test_a_name_or_value_that_is_wrong_ends_the_start_with_its_place(values: Any, problem: str) -> None:
    with pytest.raises(ActionsError, match=rf"\$.nodes\[0\].settings.configuration.{problem}: .*node crown"):
        async with topology(convert("crown", configuration=values)):
            pass
