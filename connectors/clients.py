"""Connections of ready nodes to databases and brokers of others: one for each address, shared by all nodes."""

import os
from collections.abc import Awaitable, Callable
from typing import Any, Final

from pydantic import ValidationInfo

from connectors.configured import VARIABLES

_OWN: Final = "WORKER_"

Opened = tuple[Any, Callable[[], Awaitable[Any]]]


class Clients:
    """Opens each address once. `close` closes them all."""

    def __init__(self) -> None:
        self._opened: dict[tuple[str, str], Opened] = {}

    def get(self, kind: str, address: str, opening: Callable[[str], Opened]) -> Any:
        """Return the client of this address; `opening` makes it, and says how it is closed."""
        key = (kind, address)
        if key not in self._opened:
            self._opened[key] = opening(address)
        return self._opened[key][0]

    async def close(self) -> None:
        """Close them."""
        while self._opened:
            _, (_, close) = self._opened.popitem()
            await close()


def known_address(variable: str, info: ValidationInfo) -> str:
    """Return the address in a variable that a node's configuration names. Raises `ValueError` when it may not."""
    if variable.upper().startswith(_OWN):
        raise ValueError(f"{variable} is a setting of the worker; put the address into a variable of another name")
    allowed = (info.context or {}).get(VARIABLES)
    if allowed is not None and variable not in allowed:
        raise ValueError(f"nodes may not use {variable}: set WORKER_NODE_VARIABLES={','.join([*allowed, variable])}")
    return address_in(variable)


def address_in(variable: str) -> str:
    """Return the address that an environment variable holds. Raises `ValueError` when it holds none."""
    address = os.environ.get(variable)
    if not address:
        raise ValueError(f"the environment variable {variable} is not set; it holds the address, with its password")
    return address
