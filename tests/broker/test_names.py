"""No two nodes meet on the broker, whatever their ids."""

import json
import tempfile
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.broker.delays import LIMITED, delayed
from worker.broker.leadership import LOCK_PREFIX
from worker.broker.partitions import PARTITIONS, keys_exchange, members_queue, partition_queues
from worker.errors import TopologyError
from worker.protocol.topology import Node
from worker.protocol.topology_file import load_topology

words = st.sampled_from(["x", "limit", "order", "workers", "1", "hx", "keys", "node", "2"])
ids = st.lists(words, min_size=1, max_size=4).map(".".join)


def names(node: Node) -> list[str]:
    """All that a node may have on the broker: queues, exchanges, locks, and the ends of routing keys of delays."""
    queues = [node.queue, node.return_queue, *partition_queues(node), members_queue(node)]
    locks = [LOCK_PREFIX + queue for queue in queues]
    numbered = [f"{LOCK_PREFIX}{members_queue(node)}.{number}" for number in range(-1, PARTITIONS)]
    delays = [f"delay {node.id}", f"delay {node.id}{LIMITED}"]
    return [*queues, *locks, *numbered, node.exchange, keys_exchange(node), *delays]


def read(*node_ids: str) -> tuple[Node, ...]:
    nodes = [{"id": node_id, "name": node_id, "worker": "worker.null"} for node_id in node_ids]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "topology.json")
        path.write_text(json.dumps({"id": "t", "name": "t", "nodes": nodes}))
        return load_topology(path).nodes


def accepted(node_id: str) -> bool:
    try:
        read(node_id)
    except TopologyError:
        return False
    return True


@given(st.lists(ids.filter(accepted), min_size=2, max_size=4, unique=True))
def test_no_two_nodes_have_a_name_in_common(node_ids: list[str]) -> None:
    for one, other in combinations(read(*node_ids), 2):
        assert not set(names(one)) & set(names(other))


@pytest.mark.parametrize("ending", [".limit", ".order", ".order.workers"])
def test_an_id_that_would_meet_another_is_refused_with_the_cure(ending: str) -> None:
    with pytest.raises(TopologyError, match="Give the node another id") as raised:
        read("x", f"x{ending}")
    assert f"at $.nodes[1].id: 'x{ending}' ends in {ending!r}" in str(raised.value)


def test_a_delay_finds_its_own_node() -> None:
    one, other = read("x", "x.limits")
    assert delayed(one, b"", 1, 0).routing_key != delayed(other, b"", 1, 0).routing_key
