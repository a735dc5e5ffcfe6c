"""What waits for a node, in all its queues: its own, its return queue and its partitions."""

from collections.abc import Iterator, Mapping

from worker.broker.consumer import QueueState
from worker.broker.link import Session
from worker.broker.one_shot import queue_states
from worker.broker.partitions import members_queue, partition_queues
from worker.broker.surroundings import Surroundings
from worker.protocol.topology import Node


def node_queues(node: Node, surroundings: Surroundings) -> Iterator[str]:
    """Name the queues that a worker declares for a node."""
    yield node.queue
    yield from surroundings.return_queues(node)
    if node.order_by is not None:
        yield from (*partition_queues(node), members_queue(node))


async def node_states(session: Session, node: Node) -> Mapping[str, QueueState]:
    """Return the node's queues that there are, those as well that its settings do not need any more.

    Partitions are declared together: where the first is missing, there is none.
    """
    first, *others = partition_queues(node)
    states = await queue_states(session, (node.queue, node.return_queue, first))
    if states[first] is not None:
        states |= await queue_states(session, others)
    return {queue: state for queue, state in states.items() if state is not None}


async def backlog(session: Session, node: Node) -> QueueState | None:
    """Return what waits in all queues of a node, and who consumes its own; None when it has no queue."""
    states = dict(await node_states(session, node))
    own = states.pop(node.queue, None)
    return own.with_others(states.values()) if own else None


async def leftovers(session: Session, node: Node, surroundings: Surroundings) -> Mapping[str, QueueState]:
    """Return the queues that the node has from other settings that it had once."""
    used = set(node_queues(node, surroundings))
    return {queue: state for queue, state in (await node_states(session, node)).items() if queue not in used}
