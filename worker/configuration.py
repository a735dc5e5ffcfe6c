"""Gives actions the configuration of their nodes."""

from pydantic import ValidationError

from connectors.configured import Configured
from worker.errors import ActionsError
from worker.registry import AnyAction
from worker.topology import Node

PLACE = "settings.configuration"


def configured(action: AnyAction, node: Node) -> AnyAction:
    """Return the action as the node configures it; most actions have no configuration and are returned as they are.

    Raises `ActionsError` with file, node, and the place in the configuration and in the expression.
    """
    if not isinstance(action, Configured):
        return action
    followers = [name for follower in node.followers for name in (follower.id, follower.name) if name]
    try:
        own = action.configured(node.configuration, followers)
    except ValidationError as error:
        raise ActionsError("\n".join(_lines(action, node, error))) from None
    assert isinstance(own, type(action))
    return own


def _lines(action: AnyAction, node: Node, error: ValidationError) -> list[str]:
    start = f"{node.place or 'node'}.{PLACE}"
    who = f"(node {node.name}, action {action.name})"
    return [
        f"{start}{''.join(f'.{part}' for part in problem['loc'])}: {problem['msg']} {who}" for problem in error.errors()
    ] + ["See docs/nodes.md for what each node takes."]
