"""Binds each node to the action it names, with the node's configuration."""

from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches
from urllib.parse import urlsplit

from pydantic import ValidationError

from connectors.audit import Checkpoint
from connectors.configured import Configured
from worker.actions.local import Call, local_call, timed
from worker.actions.registry import AnyAction, Registry
from worker.actions.remote import UNREACHABLE, RemoteActions
from worker.errors import ActionsError, ConfigurationError
from worker.protocol.topology import Node, Role

PLACE = "settings.configuration"


def configured(action: AnyAction, node: Node, variables: Collection[str] | None = None) -> AnyAction:
    """Return the action as the node configures it; most actions have no configuration and are returned as they are.

    It may read addresses from these environment variables; None: from all but the worker's own.

    Raises `ConfigurationError` with file, node, and the place in the configuration and in the expression.
    """
    if not isinstance(action, Configured):
        return action
    followers = [name for follower in node.followers for name in (follower.id, follower.name) if name]
    try:
        own = action.configured(node.configuration, followers, variables)
    except ValidationError as error:
        raise ConfigurationError("\n".join(_lines(action, node, error))) from None
    assert isinstance(own, type(action))
    return own


def _lines(action: AnyAction, node: Node, error: ValidationError) -> list[str]:
    start = f"{node.place or 'node'}.{PLACE}"
    who = f"(node {node.name}, action {action.name})"
    return [
        f"{start}{''.join(f'.{part}' for part in problem['loc'])}: {problem['msg']} {who}" for problem in error.errors()
    ] + ["See docs/nodes.md for what each node takes."]


ACTION_ROLES = frozenset({Role.CONNECTOR, Role.CUSTOM_NODE, Role.BATCH})


def bind(
    nodes: Iterable[Node], registry: Registry, remote: RemoteActions, variables: Collection[str] | None = None
) -> dict[str, Call]:
    """Return the call of each node with an action, by node id. `variables` are those that `configured` takes.

    An action of this process wins over the node's URL. Raises `ActionsError` listing what exists for a node whose
    action is neither here nor at a URL.
    """
    return {node.id: _call(node, registry, remote, variables) for node in nodes if node.role in ACTION_ROLES}


def problems(
    nodes: Iterable[Node], registry: Registry, variables: Collection[str] | None = None, *, knows_all: bool = True
) -> Iterator[str]:
    """Yield what `bind` would refuse, node by node; unless the registry knows all actions, not those it lacks."""
    for node in nodes:
        try:
            if node.role in ACTION_ROLES and (action := _action(node, registry, is_needed=knows_all)) is not None:
                configured(action, node, variables)
        except ActionsError as error:
            yield str(error)


def checkpoints(nodes: Iterable[Node], registry: Registry) -> dict[str, Checkpoint]:
    """Return what the actions of nodes say is to be noted of each message, by node id."""
    found = ((node.id, registry.at(node)) for node in nodes)
    return {node: action.checkpoint for node, action in found if action is not None and action.checkpoint is not None}


def _call(node: Node, registry: Registry, remote: RemoteActions, variables: Collection[str] | None) -> Call:
    action = _action(node, registry)
    if action is None:
        return timed(remote.call, UNREACHABLE)
    return timed(local_call(configured(action, node, variables)))


def _action(node: Node, registry: Registry, *, is_needed: bool = True) -> AnyAction | None:
    """Return the action of this process, None for one behind the node's URL."""
    action = registry.at(node)
    if action is not None or urlsplit(node.url).hostname or not is_needed:
        return action
    raise ActionsError(
        f"node {node.name} ({node.id}) wants the action {node.action_path!r}, which is not in this process, and its "
        f"settings.url names no service.{_closest(node, registry)} Add its module with --actions; "
        "orchesty-worker actions list shows what there is."
    )


def _closest(node: Node, registry: Registry) -> str:
    known = {action.name: action for action in registry}
    close = get_close_matches(node.action[1], known, n=1) if node.action else []
    return f" Did you mean the {known[close[0]].kind} {close[0]!r}?" if close else ""
