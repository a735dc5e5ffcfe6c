"""A topology drawn as a tree with references, for a terminal."""

from collections.abc import Iterator
from dataclasses import dataclass

from worker.protocol.topology import Follower, Node, Topology


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the drawing."""

    branch: str
    """What leads here: `│  ├─▶ `."""
    name: str
    node: Node | None
    """The node that is shown here; None for a reference to one that is shown elsewhere."""
    note: str = ""
    """Of a reference: where the node is."""


def draw(topology: Topology) -> Iterator[Row]:
    """Yield the rows: every node once with its followers below it, and a reference wherever it follows again."""
    nodes = {node.id: node for node in topology.nodes}
    shown: set[str] = set()
    for root in _roots(topology):
        if root.id not in shown:
            yield from _subtree(root, "", "", nodes, shown, ())


def _roots(topology: Topology) -> Iterator[Node]:
    """Yield the nodes that nothing leads to, then all, for loops that nothing leads to."""
    followers = {follower.id for node in topology.nodes for follower in node.followers}
    yield from (node for node in topology.nodes if node.id not in followers)
    yield from topology.nodes


def _subtree(
    node: Node, branch: str, below: str, nodes: dict[str, Node], shown: set[str], path: tuple[str, ...]
) -> Iterator[Row]:
    shown.add(node.id)
    yield Row(branch, node.name, node)
    for index, follower in enumerate(node.followers):
        is_last = index == len(node.followers) - 1
        arm = below + ("└─▶ " if is_last else "├─▶ ")
        next_node = nodes.get(follower.id)
        if next_node is None or follower.id in shown:
            yield _reference(arm, follower, next_node, is_loop=follower.id in (*path, node.id))
        else:
            deeper = below + ("    " if is_last else "│   ")
            yield from _subtree(next_node, arm, deeper, nodes, shown, (*path, node.id))


def _reference(arm: str, follower: Follower, node: Node | None, *, is_loop: bool) -> Row:
    if node is None:
        return Row(arm, follower.name or follower.id, None, "not in this file")
    return Row(arm, node.name, None, "↺ back" if is_loop else "↑ above")
