"""The applications that this process knows: those of the catalogue and those of the actions."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from applications import Application
from connectors.action import ServiceAction
from worker.actions.catalogue import applications_of, known_applications
from worker.actions.registry import Registry, load_actions
from worker.errors import ActionsError
from worker.protocol.topology import Node, Topology


def load_applications(modules: Iterable[str]) -> Mapping[str, type[Application]]:
    """Return applications by key; those of the modules win over those of the catalogue.

    Raises `ActionsError` for a module that cannot be imported.
    """
    return known_applications(load_actions(modules))


def find_application(known: Mapping[str, type[Application]], key: str) -> type[Application]:
    """Return the application. Raises `ActionsError` with the closest key."""
    if key in known:
        return known[key]
    close = get_close_matches(key, list(known), n=1)
    raise ActionsError(
        f"there is no application {key!r}"
        + (f", did you mean {close[0]!r}?" if close else ".")
        + " See: orchesty-worker applications list. Those of your own actions are found by --actions."
    )


def applications_in(topology: Topology, known: Mapping[str, type[Application]]) -> list[type[Application]]:
    """Return the applications that the nodes of a topology name."""
    return [known[key] for key in sorted({node.application for node in topology.nodes}) if key in known]


def limited_applications(nodes: Iterable[Node], registry: Registry) -> Mapping[str, type[Application]]:
    """Return the applications that have limits, or whose users may have, by node id."""
    found: dict[str, type[Application]] = {}
    for node in nodes:
        action = registry.at(node)
        application = action.application if isinstance(action, ServiceAction) else None
        if application is not None and (application.has_limit() or application.needs_install()):
            found[node.id] = application
    return found


def installed_applications(nodes: Iterable[Node], registry: Registry) -> set[type[Application]]:
    """Return the applications of these nodes' actions that are used through an install."""
    actions = [registry.at(node) for node in nodes]
    return {found for found in applications_of(filter(None, actions)) if found.needs_install()}
