"""Checks of the broker: reachable, plugin, permissions, queues.

What has to be tried out is tried on an exchange and a queue of the check's own, named as a node's are, because
permissions go by name. Both are gone afterwards; nothing of the topology is created or changed.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

import aiormq
from yarl import URL

from worker.broker.backlog import leftovers, node_queues
from worker.broker.delays import LOST
from worker.broker.link import CONNECTION_ERRORS, Session
from worker.broker.objects import PLUGIN, QUORUM, RPC_SECONDS
from worker.broker.one_shot import looking, queue_states
from worker.broker.surroundings import Surroundings
from worker.checks.clock import check_broker_clock
from worker.checks.finding import Finding, failed, ok, unknown, warning
from worker.errors import BrokerError
from worker.protocol.topology import Node

OLDEST = (3, 10)
NAMES = r"^(node\.|pipes\.|orchesty|amq\.(default|gen))"
"""What the names of all objects match that a worker uses."""

Channel = aiormq.abc.AbstractChannel
Wanted = Mapping[str, Mapping[str, Any]]


async def check_broker(url: str) -> AsyncIterator[Finding]:
    """Yield whether the broker can be reached, and what we may do there."""
    try:
        async with looking(url) as session:
            yield _check_version(_shown(url), session)
    except BrokerError as error:
        yield failed("broker", f"{_shown(url)}: {error}", _cure(str(error)))
        return
    yield await _check_plugin(url)
    async for finding in _check_permissions(url):
        yield finding


def _check_version(where: str, session: Session) -> Finding:
    properties = session.underlay.server_properties
    version = str(properties.get("version", "?"))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < OLDEST:
        return failed("broker", f"{where}: RabbitMQ {version}", "Upgrade RabbitMQ to 3.10 or later.")
    return ok("broker", f"{where}: RabbitMQ {version}")


async def _check_plugin(url: str) -> Finding:
    name = f"node.check-{token_hex(4)}.hx"
    try:
        async with looking(url) as session:
            channel = await session.channel()
            await channel.exchange_declare(
                name, exchange_type="x-consistent-hash", auto_delete=True, timeout=RPC_SECONDS
            )
            await channel.exchange_delete(name, timeout=RPC_SECONDS)
    except aiormq.exceptions.ChannelAccessRefused:
        return unknown("plugin", "not checked: the permission to configure is missing")
    except CONNECTION_ERRORS as error:
        return failed("plugin", str(error), f"On the broker's host: rabbitmq-plugins enable {PLUGIN}")
    return ok("plugin", f"{PLUGIN} is enabled")


async def _check_permissions(url: str) -> AsyncIterator[Finding]:
    """Try on objects of our own; the queue is exclusive, so that they end with the connection."""
    name = f"node.check-{token_hex(4)}"
    exchange, queue = f"{name}.hx", f"{name}.1"

    async def configure(channel: Channel) -> None:
        await channel.exchange_declare(exchange, exchange_type="topic", auto_delete=True, timeout=RPC_SECONDS)
        await channel.queue_declare(queue, exclusive=True, timeout=RPC_SECONDS)

    async def write(channel: Channel) -> None:
        await channel.basic_publish(b"check", exchange=exchange, routing_key="1", timeout=RPC_SECONDS)

    async def read(channel: Channel) -> aiormq.abc.DeliveredMessage:
        await channel.queue_bind(queue, exchange, routing_key="1", timeout=RPC_SECONDS)
        await channel.basic_publish(b"check", exchange=exchange, routing_key="1", timeout=RPC_SECONDS)
        return await channel.basic_get(queue, no_ack=True, timeout=RPC_SECONDS)

    check = ""
    try:
        async with looking(url) as session:
            for check, attempt in (("may configure", configure), ("may write", write)):
                await attempt(await session.channel(confirms=True))
                yield ok(check, f"objects named as {name}")
            check = "may read"
            message = await read(await session.channel(confirms=True))
            yield ok(check, f"objects named as {name}")
            yield check_broker_clock(message, datetime.now(UTC))
            await (await session.channel()).exchange_delete(exchange, timeout=RPC_SECONDS)
    except TimeoutError:
        yield failed(
            check,
            f"no answer within {RPC_SECONDS} s",
            "Does the broker have a memory or disk alarm? rabbitmq-diagnostics alarms",
        )
    except CONNECTION_ERRORS as error:
        yield failed(check, str(error), _permit(url))


async def check_queues(url: str, wanted: Wanted) -> Finding:
    """Compare the queues that there are with those that a worker would declare."""
    differing: dict[str, str] = {}
    missing = 0
    try:
        async with looking(url) as session:
            for queue, arguments in wanted.items():
                difference = await _difference(session, queue, arguments)
                missing += difference is None
                if difference:
                    differing[queue] = difference
    except CONNECTION_ERRORS as error:
        return unknown("queues", f"not checked: {error}")
    if differing:
        return failed(
            "queues",
            "; ".join(f"{queue}: {difference}" for queue, difference in differing.items()),
            # Not with --if-empty, which leaves quorum queues as they are.
            "Delete them when no message is left in them (rabbitmqctl list_queues name messages), the worker declares "
            "them again: " + " && ".join(f"rabbitmqctl delete_queue {queue}" for queue in differing),
        )
    to_come = f"; {missing} will be declared at the start" if missing else ""
    return ok("queues", f"{len(wanted) - missing} of {len(wanted)} are there, as they should be{to_come}")


async def check_lost(url: str) -> Finding:
    """Look for messages that came out of a delay when their node was gone."""
    try:
        async with looking(url) as session:
            state = (await queue_states(session, [LOST]))[LOST]
    except CONNECTION_ERRORS as error:
        return unknown("lost messages", f"not checked: {error}")
    if state is None or not state.messages:
        return ok("lost messages", "none")
    return warning(
        "lost messages",
        f"{state.messages:,} came back from a repeat or a limit when the queue of their node was gone: {LOST}",
        "Move them into the trash, where they can be looked at and sent on: orchesty-worker trash collect",
    )


async def check_leftovers(url: str, nodes: Sequence[Node], surroundings: Surroundings) -> Finding:
    """Look for messages in queues that nodes had by other settings."""
    left: dict[str, int] = {}
    try:
        async with looking(url) as session:
            for node in nodes:
                states = await leftovers(session, node, surroundings)
                left[node.name] = sum(state.messages for state in states.values())
    except CONNECTION_ERRORS as error:
        return unknown("leftovers", f"not checked: {error}")
    found = [f"{name}: {count:,}" for name, count in left.items() if count]
    if not found:
        return ok("leftovers", "none")
    return warning(
        "leftovers",
        f"messages wait in queues that nodes have from other settings (orderBy, application): {'; '.join(found)}",
        "Start a worker with these settings and stop those with the old ones: it moves them to the node's queue.",
    )


async def _difference(session: Session, queue: str, arguments: Mapping[str, Any]) -> str | None:
    """Return how the queue differs, empty when it does not, None when there is none."""
    channel = await session.channel()
    try:
        await channel.queue_declare(queue, passive=True, timeout=RPC_SECONDS)
        await channel.queue_declare(queue, durable=True, arguments=dict(arguments), timeout=RPC_SECONDS)
    except aiormq.exceptions.ChannelNotFoundEntity:
        return None
    except aiormq.exceptions.ChannelPreconditionFailed as error:
        return str(error).removeprefix("PRECONDITION_FAILED - ")
    await channel.close()
    return ""


def wanted_queues(nodes: Sequence[Node], surroundings: Surroundings) -> Wanted:
    """Return the queues that a worker declares, with their arguments."""
    of_nodes = {queue: QUORUM for node in nodes for queue in node_queues(node, surroundings)}
    return {**of_nodes, **surroundings.queues}


def _shown(url: str) -> str:
    parsed = URL(url)
    return f"{parsed.host}:{parsed.port or 5672}, virtual host {_vhost(parsed)}"


def _cure(error: str) -> str:
    if "of the broker's address" in error:
        return "Correct the option in WORKER_AMQP_URL; the file must be there for the user that the worker runs as."
    if error.startswith("TLS: "):
        return (
            "Name the certificate authority of the broker: amqps://...?cafile=/path/ca.pem, and with certfile and "
            "keyfile your own certificate. The host in the address must be in the broker's certificate."
        )
    if "vhost" in error:
        return "Create it and permit it: rabbitmqctl add_vhost NAME, set_permissions -p NAME; '/' is %2F in the URL."
    if "auth" in error.lower() or "ACCESS_REFUSED" in error:
        return "User and password of WORKER_AMQP_URL are wrong: rabbitmqctl authenticate_user USER PASSWORD"
    return "Is it running, and is WORKER_AMQP_URL=amqp://user:password@host:5672/%2F right?"


def _permit(url: str) -> str:
    parsed = URL(url)
    return f"rabbitmqctl set_permissions -p '{_vhost(parsed)}' '{parsed.user or 'guest'}' '{NAMES}' '{NAMES}' '{NAMES}'"


def _vhost(url: URL) -> str:
    return url.path.removeprefix("/") or "/"
