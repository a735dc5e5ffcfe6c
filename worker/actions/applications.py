"""The applications that this process knows: those of the catalogue and those of the actions."""

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches

import applications.catalogue
from applications import Application
from connectors.action import ServiceAction
from worker.actions.registry import AnyAction, Registry, load_actions
from worker.errors import ActionsError
from worker.protocol.topology import Node, Topology


def load_applications(modules: Iterable[str]) -> Mapping[str, type[Application]]:
    """Return applications by key; those of the modules win over those of the catalogue.

    Raises `ActionsError` for a module that cannot be imported.
    """
    return known_applications(load_actions(modules))


def known_applications(registry: Registry) -> Mapping[str, type[Application]]:
    """Return applications by key; those of the actions win over those of the catalogue."""
    found = {application.key: application for application in _catalogue()}
    return dict(sorted((found | own_applications(registry)).items()))


def own_applications(registry: Registry) -> dict[str, type[Application]]:
    """Return the applications of the actions, and those that stand beside them, by key."""
    return registry.applications | {application.key: application for application in applications_of(registry)}


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


def _catalogue() -> Iterator[type[Application]]:
    for entry in pkgutil.iter_modules(applications.catalogue.__path__, f"{applications.catalogue.__name__}."):
        for value in vars(importlib.import_module(entry.name)).values():
            if (
                isinstance(value, type)
                and issubclass(value, Application)
                and value.__module__ == entry.name
                and value.key
            ):
                yield value


def limited_applications(nodes: Iterable[Node], registry: Registry) -> Mapping[str, type[Application]]:
    """Return the applications that have limits, or whose users may have, by node id."""
    found: dict[str, type[Application]] = {}
    for node in nodes:
        action = registry.get(*node.action) if node.action else None
        application = action.application if isinstance(action, ServiceAction) else None
        if application is not None and (application.has_limit() or application.needs_install()):
            found[node.id] = application
    return found


def installed_applications(nodes: Iterable[Node], registry: Registry) -> set[type[Application]]:
    """Return the applications of these nodes' actions that are used through an install."""
    actions = [registry.get(*node.action) for node in nodes if node.action]
    return {found for found in applications_of(filter(None, actions)) if found.needs_install()}


def applications_of(actions: Iterable[AnyAction]) -> set[type[Application]]:
    """Return the applications of these actions."""
    found = (getattr(action, "application", None) for action in actions)
    return {application for application in found if application is not None}
