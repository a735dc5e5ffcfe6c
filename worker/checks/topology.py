"""Checks of what is on this machine's side: variables, topology, actions, the time that actions may take."""

from collections.abc import Iterator, Mapping, Sequence

from applications.pauses import LONGEST_SECONDS
from worker.actions.binding import bind
from worker.actions.registry import load_actions
from worker.actions.remote import RemoteActions
from worker.checks.finding import Finding, failed, ok, unknown, warning
from worker.errors import ActionsError, ConfigurationError, TopologyError
from worker.protocol.topology import Node, Topology
from worker.protocol.topology_file import load_topology
from worker.settings.environment import unknown_variables
from worker.settings.settings import Settings

CONSUMER_TIMEOUT_SECONDS = 1800
"""RabbitMQ's default `consumer_timeout`."""


def check_variables(environment: Mapping[str, str]) -> Finding:
    """Find variables that are misspelt."""
    found = list(unknown_variables(environment))
    if not found:
        return ok("settings", "read from the environment")
    hints = [f"{variable.name}: did you mean {variable.closest}?" for variable in found if variable.closest]
    names = ", ".join(variable.name for variable in found)
    return warning("settings", f"nothing reads {names}", " ".join(hints) or "See: orchesty-worker settings")


def check_topology(settings: Settings) -> tuple[Finding, Topology | None]:
    """Read the topology file."""
    try:
        topology = load_topology(settings.topology).served_by(settings.services)
        nodes = topology.select(settings.nodes)
    except TopologyError as error:
        return failed("topology", str(error), "Name the file with --topology or TOPOLOGY_JSON, or correct it."), None
    return ok("topology", f"{topology.name}: {len(nodes)} of {len(topology.nodes)} nodes are consumed here"), topology


async def check_actions(settings: Settings, nodes: Sequence[Node]) -> Finding:
    """Import the actions and look for those that the nodes name."""
    remote = RemoteActions()
    try:
        registry = load_actions(settings.actions)
        bind(nodes, registry, remote, settings.node_variables)
        await registry.close()
    except ConfigurationError as error:
        return failed("actions", str(error), "Correct settings.configuration of the node in the topology.")
    except ActionsError as error:
        return failed("actions", str(error), "Add the module with --actions or WORKER_ACTIONS.")
    finally:
        await remote.close()
    return ok("actions", f"{len(list(registry))} in this process; every node has one or a service to call")


def check_time(settings: Settings, nodes: Sequence[Node]) -> Iterator[Finding]:
    """Compare how long an action may hold its message with the broker's `consumer_timeout`."""
    calls = [node for node in nodes if node.action_path]
    if not calls or not settings.max_failures:
        return
    slowest = max(calls, key=lambda node: node.timeout_seconds)
    longest = slowest.timeout_seconds * settings.max_failures + LONGEST_SECONDS * (settings.max_failures - 1)
    said = f"node {slowest.name} may hold a message for {longest / 60:.0f} min ({settings.max_failures} rounds)"
    if longest < CONSUMER_TIMEOUT_SECONDS:
        yield ok("consumer timeout", f"{said}; RabbitMQ's default is {CONSUMER_TIMEOUT_SECONDS // 60} min")
    else:
        yield warning(
            "consumer timeout",
            f"{said}; by default RabbitMQ takes it back after {CONSUMER_TIMEOUT_SECONDS // 60} min",
            f"Set consumer_timeout = {int(longest * 1200)} (ms) in rabbitmq.conf, or lower the node's "
            "settings.timeout or WORKER_MAX_FAILURES.",
        )


def not_before(check: str, what: str) -> Finding:
    """Return the finding of a check that needs another one."""
    return unknown(check, f"not checked: {what} first")
