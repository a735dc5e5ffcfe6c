"""Nodes that services of the platform have as well, by the names that its topologies call them."""

from collections.abc import Iterable, Iterator
from typing import Any

from applications import Application
from connectors.action import Action
from connectors.library.events import FILTERS
from connectors.library.limits import remove_limiter
from connectors.library.tokens import ListExpiring, RenewToken
from connectors.library.users import ListUsers


def library_nodes(applications: Iterable[type[Application]]) -> Iterator[Action[Any, Any]]:
    """Yield the nodes, among them one for each of these applications."""
    yield from (ListExpiring(), RenewToken(), remove_limiter, *FILTERS)
    yield from map(ListUsers, applications)
