"""Checks of what the worker publishes to, and of how many channels it needs.

Nothing is published and nothing stays: the permission to write is asked for by taking off a binding that is not there.
"""

from collections.abc import Mapping, Sequence
from secrets import token_hex

import aiormq

from worker.broker.intake import channels_needed
from worker.broker.link import CONNECTION_ERRORS, Session
from worker.broker.objects import RPC_SECONDS
from worker.broker.one_shot import looking
from worker.broker.surroundings import Surroundings
from worker.checks.finding import Finding, failed, ok, unknown
from worker.errors import BrokerError
from worker.protocol.topology import Node, Topology


async def check_channels(url: str, nodes: Sequence[Node], surroundings: Surroundings) -> Finding:
    """Compare what the nodes need with what the broker allows on a connection."""
    needed = channels_needed(nodes, surroundings)
    try:
        async with looking(url) as session:
            most = session.underlay.most_channels
    except BrokerError as error:
        return unknown("channels", f"not checked: {error}")
    said = f"the nodes need {needed:,} of the {most:,} channels that the broker allows on a connection"
    if needed <= most:
        return ok("channels", said)
    return failed(
        "channels",
        said,
        f"Set channel_max = {needed} or more in rabbitmq.conf, or divide the nodes over several workers with "
        "WORKER_NODES. A node with orderBy takes 19, others 1 or 2.",
    )


async def check_followers(url: str, topology: Topology, nodes: Sequence[Node]) -> Finding:
    """See that messages can be published to all followers."""
    names = {follower.exchange: follower.name or follower.id for node in nodes for follower in node.followers}
    declared = {node.exchange for node in topology.nodes}
    try:
        async with looking(url) as session:
            problems = await _problems(session, names, declared)
    except CONNECTION_ERRORS as error:
        return unknown("followers", f"not checked: {error}")
    if not problems:
        return ok("followers", f"{len(names)} can be published to")
    return failed(
        "followers",
        "; ".join(problems),
        "Their messages wait unacknowledged. Start the worker that consumes a missing one; permit writing with "
        "rabbitmqctl set_permissions; delete an internal exchange, and the worker declares it again.",
    )


async def _problems(session: Session, names: Mapping[str, str], declared: set[str]) -> list[str]:
    source = f"node.check-{token_hex(4)}.hx"
    channel = await session.channel()
    await channel.exchange_declare(source, exchange_type="topic", auto_delete=True, timeout=RPC_SECONDS)
    found = []
    for exchange, name in names.items():
        problem = await _problem(session, exchange, source)
        if problem and not (problem == MISSING and exchange in declared):
            found.append(f"{name} ({exchange}): {problem}")
    await channel.exchange_delete(source, timeout=RPC_SECONDS)
    return found


MISSING = "does not exist"


async def _problem(session: Session, exchange: str, source: str) -> str:
    channel = await session.channel()
    try:
        await channel.exchange_declare(exchange, passive=True, timeout=RPC_SECONDS)
        await channel.exchange_unbind(exchange, source, routing_key="check", timeout=RPC_SECONDS)
    except aiormq.exceptions.ChannelNotFoundEntity:
        return MISSING
    except aiormq.exceptions.ChannelAccessRefused as error:
        return str(error) if exchange in str(error) else ""
    try:
        await channel.exchange_declare(exchange, exchange_type="x-consistent-hash", durable=True, timeout=RPC_SECONDS)
    except aiormq.exceptions.ChannelAccessRefused:
        return ""  # it is for others to declare
    except aiormq.exceptions.ChannelPreconditionFailed as error:
        return "is internal, nobody may publish to it" if "'internal'" in str(error) else ""
    await channel.close()
    return ""
