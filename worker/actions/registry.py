"""The actions of this process, by kind and name."""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from orchesty_worker import PACKAGES

import connectors.catalogue
import connectors.nodes
from applications import Application
from connectors.action import Action
from connectors.http import Http
from connectors.kind import Kind
from connectors.library import library_nodes
from connectors.library.starting import run_topology
from worker.actions.catalogue import known_applications
from worker.actions.description import place_of
from worker.actions.service_calls import Calls
from worker.errors import ActionsError
from worker.protocol.topology import Node
from worker.settings.settings import ENTRY_POINTS

AnyAction = Action[Any, Any]
Definition = AnyAction | type[AnyAction]


class Registry:
    """Finds an action by kind and name. The actions share one HTTP client; `close` closes it."""

    def __init__(self, actions: Iterable[AnyAction] = (), http: Http | None = None) -> None:
        self._actions: dict[tuple[Kind, str], AnyAction] = {}
        self.applications: dict[str, type[Application]] = {}
        """Applications by key that stand beside the actions, whether an action names them or not."""
        self.http = http or Http()
        self.calls = Calls()
        self.http.called = self.calls.note
        self._equip: Callable[[AnyAction], object] = _as_it_is
        self._library: set[tuple[Kind, str]] = set()
        for action in actions:
            self.add(action)

    def add(self, action: AnyAction) -> None:
        """Add an action. Raises `ActionsError` when its name is taken."""
        key = (action.kind, action.name)
        if self._actions.get(key) is action:
            return
        if (other := self._actions.get(key)) is not None:
            raise ActionsError(
                f"two actions are named {action.kind} {action.name!r}: {_place(other)} and {_place(action)}. "
                "Rename one of them."
            )
        self._equip(action)
        self._actions[key] = action

    def equip(self, give: Callable[[AnyAction], object]) -> None:
        """Give each action what it needs: those that are here, and those that are still to come."""
        self._equip = give
        for action in self:
            give(action)

    def get(self, kind: Kind, name: str) -> AnyAction | None:
        """Return the action, if there is one."""
        return self._actions.get((kind, name))

    def add_library(self, actions: Iterable[AnyAction]) -> None:
        """Add what services of the platform have as well, where there is nothing of the name yet."""
        for action in actions:
            key = (action.kind, action.name)
            if key not in self._actions:
                self.add(action)
                self._library.add(key)

    def describe(self, kind: Kind, name: str) -> AnyAction | None:
        """Return the action that the name itself describes, if it describes one, without keeping it."""
        described = run_topology(kind, name)
        if described is not None:
            self._equip(described)
        return described

    def make(self, kind: Kind, name: str) -> AnyAction | None:
        """Return the action that there is, else the one that the name itself describes, if it describes one."""
        if (kind, name) not in self._actions and (made := run_topology(kind, name)) is not None:
            self.add_library([made])
        return self.get(kind, name)

    def at(self, node: Node) -> AnyAction | None:
        """Return the action of a node, if it is here.

        One of the library is not where the node's URL names a service, which has its own: unless that is known to be
        this process.
        """
        if node.action is None:
            return None
        if urlsplit(node.url).hostname and not node.is_here:
            return None if node.action in self._library else self.get(*node.action)
        return self.make(*node.action)

    def __iter__(self) -> Iterator[AnyAction]:
        """Iterate by kind and name."""
        return iter(action for _, action in sorted(self._actions.items()))

    async def close(self) -> None:
        """Close the HTTP client."""
        await self.http.close()


def _as_it_is(_: AnyAction) -> None:
    """Nobody has anything for actions yet."""


def load_actions(modules: Iterable[str], http: Http | None = None, own: Iterable[AnyAction] = ()) -> Registry:
    """Collect the actions of the catalogue, of the entry points and of these modules or packages, and the ready nodes.

    `own` is added to them. They call services with `http`. An action of the same kind and name takes the place of a
    ready node.
    Raises `ActionsError` when one cannot be imported, holds no action, or two actions have the same name.
    """
    given = list(own)
    registry = Registry(given, http)
    sources = dict.fromkeys([connectors.catalogue.__name__, *_installed(tuple(sys.path)), *modules])
    for source in sources:
        found = _actions(source)
        applications = _applications(source)
        registry.applications |= applications
        if not found and not applications and source != connectors.catalogue.__name__:
            raise ActionsError(f"{source} defines no action. Name the module or package that holds the classes.")
        for action in found:
            if not _is_instead(registry.get(action.kind, action.name), action, given):
                registry.add(action)
    _add_ready_nodes(registry)
    registry.add_library(library_nodes(known_applications(registry).values()))
    return registry


@cache
def _installed(_path: tuple[str, ...]) -> Sequence[str]:
    """Return the modules that installed packages name. Each test of an action asks, and reading all takes its time."""
    return sorted({point.value for point in entry_points(group=ENTRY_POINTS)})


def _add_ready_nodes(registry: Registry) -> None:
    for action in _actions(connectors.nodes.__name__):
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


def _actions(source: str) -> Sequence[AnyAction]:
    """Return the actions of a module or package: an instance of its own for each class."""
    is_ours = source in {connectors.catalogue.__name__, connectors.nodes.__name__}
    definitions = _our_definitions(source) if is_ours else _definitions(source)
    return [_instance(definition) if isinstance(definition, type) else definition for definition in definitions]


@cache
def _our_definitions(source: str) -> Sequence[Definition]:
    """Hundreds of modules, which do not change while the process lives; each topology of a test asks for them."""
    return _definitions(source)


def _definitions(source: str) -> Sequence[Definition]:
    return [definition for module in _modules(source) for definition in _defined_in(module)]


def _defined_in(module: ModuleType) -> Iterator[Definition]:
    """An action belongs to the module that defines it, not to those that import it."""
    for value in vars(module).values():
        if isinstance(value, Action):
            if place_of(value).module == module.__name__:
                yield value
            continue
        if not (isinstance(value, type) and issubclass(value, Action)) or _is_base(value):
            continue
        if value.__module__ == module.__name__:
            yield value


def _applications(source: str) -> dict[str, type[Application]]:
    values = [value for module in _modules(source) for value in vars(module).values() if _is_application(module, value)]
    return {application.key: application for application in values}


def _is_application(module: ModuleType, value: object) -> bool:
    is_application = isinstance(value, type) and issubclass(value, Application)
    return is_application and value.__module__ == module.__name__ and bool(getattr(value, "key", ""))


def _is_base(action: type[AnyAction]) -> bool:
    """Whether a class is there to be derived from: without `process` or `page`, or of no kind yet."""
    return inspect.isabstract(action) or not hasattr(action, "kind")


def _instance(action: type[AnyAction]) -> AnyAction:
    if not getattr(action, "name", None):
        raise ActionsError(f"{action.__module__}.{action.__qualname__} has no name. Give the class a `name`.")
    return action()


def _is_instead(there: AnyAction | None, found: AnyAction, given: Iterable[AnyAction]) -> bool:
    """Whether the caller gave an instance of the class that was found: a test runs an action of a package."""
    is_given = there is not None and any(there is action for action in given)
    return is_given and there is not None and there.declared is None and there.definition is found.definition


def _place(action: AnyAction) -> str:
    place = place_of(action)
    return f"{place.module}.{place.name}"
