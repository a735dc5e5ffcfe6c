"""Deleting what a topology has on the broker."""

from worker.broker.backlog import node_queues, node_states
from worker.broker.link import CONNECTION_ERRORS, Session
from worker.broker.objects import RPC_SECONDS
from worker.broker.one_shot import looking
from worker.broker.partitions import keys_exchange
from worker.broker.surroundings import Surroundings
from worker.errors import BrokerError
from worker.protocol.topology import Node, Topology


async def delete_topology(url: str, topology: Topology, surroundings: Surroundings) -> None:
    """Delete the queues and exchanges of all nodes, whatever waits there. What topologies share stays.

    Nobody may consume the queues any more: a worker that does declares them again. Raises `BrokerError`.
    """
    try:
        async with looking(url) as session:
            for node in topology.nodes:
                await _delete(session, node, surroundings)
    except CONNECTION_ERRORS as error:
        raise BrokerError(f"{type(error).__name__}: {error}") from error


async def _delete(session: Session, node: Node, surroundings: Surroundings) -> None:
    queues = {*node_queues(node, surroundings), *await node_states(session, node)}
    channel = await session.channel()
    for queue in queues:
        await channel.queue_delete(queue, timeout=RPC_SECONDS)
    for exchange in (node.exchange, keys_exchange(node)):
        await channel.exchange_delete(exchange, timeout=RPC_SECONDS)
    await channel.close()
