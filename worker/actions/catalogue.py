"""The applications that a registry knows: those of its actions, those beside them, and those of the catalogue."""

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import applications.catalogue
from applications import Application
from connectors.action import Action

if TYPE_CHECKING:
    from worker.actions.registry import Registry


def known_applications(registry: "Registry") -> dict[str, type[Application]]:
    """Return applications by key; those of the actions win over those of the catalogue."""
    found = {application.key: application for application in catalogue()}
    return dict(sorted((found | own_applications(registry)).items()))


def own_applications(registry: "Registry") -> dict[str, type[Application]]:
    """Return the applications of the actions, and those that stand beside them, by key."""
    return registry.applications | {application.key: application for application in applications_of(registry)}


@cache
def catalogue() -> tuple[type[Application], ...]:
    """Return the applications that come with the worker."""
    return tuple(_catalogue())


def applications_of(actions: Iterable[Action[Any, Any]]) -> set[type[Application]]:
    """Return the applications of these actions."""
    found = (getattr(action, "application", None) for action in actions)
    return {application for application in found if application is not None}


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
