"""The actions of this process, by kind and name."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Iterator
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

import connectors.catalogue
import connectors.nodes
from connectors import Action, Http, Kind
from connectors.action import ServiceAction
from worker.errors import ActionsError
from worker.launcher import PACKAGES

ENTRY_POINTS = "orchesty_worker.actions"

AnyAction = Action[Any, Any]


class Registry:
    """Finds an action by kind and name. The actions share one HTTP client; `close` closes it."""

    def __init__(self, actions: Iterable[AnyAction] = ()) -> None:
        self._actions: dict[tuple[Kind, str], AnyAction] = {}
        self._http = Http()
        for action in actions:
            self.add(action)

    def add(self, action: AnyAction) -> None:
        """Add an action. Raises `ActionsError` when its name is taken."""
        key = (action.kind, action.name)
        if (other := self._actions.get(key)) is not None:
            raise ActionsError(
                f"two actions are named {action.kind} {action.name!r}: {_place(other)} and {_place(action)}. "
                "Rename one of them."
            )
        if isinstance(action, ServiceAction):
            action.http = self._http
        self._actions[key] = action

    def get(self, kind: Kind, name: str) -> AnyAction | None:
        """Return the action, if there is one."""
        return self._actions.get((kind, name))

    def __iter__(self) -> Iterator[AnyAction]:
        """Iterate by kind and name."""
        return iter(action for _, action in sorted(self._actions.items()))

    def names(self) -> str:
        """List what there is, for an error."""
        return ", ".join(f"{action.kind} {action.name}" for action in self) or "none"

    async def close(self) -> None:
        """Close the HTTP client."""
        await self._http.close()


def load_actions(modules: Iterable[str]) -> Registry:
    """Collect the actions of the catalogue, of the entry points and of these modules or packages, and the ready nodes.

    An action of the same kind and name takes the place of a ready node.
    Raises `ActionsError` when one cannot be imported, holds no action, or two actions have the same name.
    """
    registry = Registry()
    installed = {point.value for point in entry_points(group=ENTRY_POINTS)}
    sources = dict.fromkeys([connectors.catalogue.__name__, *sorted(installed), *modules])
    for source in sources:
        found = [action for module in _modules(source) for action in _actions(module)]
        if not found and source != connectors.catalogue.__name__:
            raise ActionsError(f"{source} defines no action. Name the module or package that holds the classes.")
        for action in found:
            registry.add(action)
    _add_ready_nodes(registry)
    return registry


def _add_ready_nodes(registry: Registry) -> None:
    for module in _modules(connectors.nodes.__name__):
        for action in _actions(module):
            if registry.get(action.kind, action.name) is None:
                registry.add(action)


def _modules(name: str) -> Iterator[ModuleType]:
    try:
        module = importlib.import_module(name)
        yield module
        for entry in pkgutil.walk_packages(getattr(module, "__path__", ()), f"{name}."):
            yield importlib.import_module(entry.name)
    except Exception as error:  # importing runs somebody's code, which may raise anything
        raise _not_importable(name, error) from error


def _not_importable(name: str, error: Exception) -> ActionsError:
    return ActionsError(
        f"cannot import the actions of {name}: {type(error).__name__}: {error}. "
        f"Is its package installed, and is its folder on PYTHONPATH?{_shadowed(name)}"
    )


def _shadowed(name: str) -> str:
    """Say so when the module is looked for in a package of ours that has the name of the user's."""
    top = name.partition(".")[0]
    return f" {top} is a package of the worker's own: rename yours." if top in PACKAGES else ""


def _actions(module: ModuleType) -> Iterator[AnyAction]:
    """An action belongs to the module that defines it, not to those that import it."""
    for value in vars(module).values():
        if not (isinstance(value, type) and issubclass(value, Action)) or inspect.isabstract(value):
            continue
        if value.__module__ == module.__name__:
            yield _instance(value)


def _instance(action: type[AnyAction]) -> AnyAction:
    if not getattr(action, "name", None):
        raise ActionsError(f"{action.__module__}.{action.__qualname__} has no name. Give the class a `name`.")
    return action()


def _place(action: AnyAction) -> str:
    return f"{type(action).__module__}.{type(action).__qualname__}"
