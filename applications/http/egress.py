"""Which addresses requests may go to: whoever fills in a form must not reach what stands beside the worker.

An address is looked at when it is connected to, so that neither a name that resolves differently the second time nor
an odd spelling of an address leads around it.
"""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, Any]
"""As `getaddrinfo` returns it."""

_PUBLISHED_INSIDE: Final = frozenset({ip_address("168.63.129.16")})
"""Public addresses at which machines of a cloud find what is meant for them alone: Azure."""
_NAT64: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))


class Guarded(StrEnum):
    """Whose URLs may not lead to internal addresses."""

    INSTALLS = "installs"
    """URLs with values of users' installs in them, and redirects to other hosts."""
    ALL = "all"
    """All URLs that actions call."""
    NONE = "none"
    """None."""


class AddressInside(OSError):
    """The address is internal."""


@dataclass(frozen=True, slots=True)
class Egress:
    """The rule: whose URLs it is for, and which networks are open to them although they are internal."""

    guarded: Guarded = Guarded.NONE
    allowed: tuple[str, ...] = ()

    def is_for(self, *, is_from_install: bool, is_redirected: bool = False) -> bool:
        """Whether a request may not go to internal addresses."""
        if self.guarded is Guarded.INSTALLS:
            return is_from_install or is_redirected
        return self.guarded is Guarded.ALL

    def open_socket(self, found: AddressInfo) -> socket.socket:
        """Make the socket for an address. Raises `AddressInside`."""
        family, kind, protocol, _, address = found
        if is_inside(address[0]) and not is_in(address[0], self.allowed):
            raise AddressInside("the address is internal")
        return socket.socket(family, kind, protocol)


def is_inside(address: str) -> bool:
    """Whether an address is private, of this machine, of its network, or of no single machine."""
    return any(not ip.is_global or ip.is_multicast or ip in _PUBLISHED_INSIDE for ip in _meant_by(address))


def is_in(address: str, networks: Iterable[str]) -> bool:
    """Whether an address is in one of the networks."""
    meant, known = _meant_by(address), [ip_network(network, strict=False) for network in networks]
    return all(any(ip in network for network in known) for ip in meant)


def _meant_by(address: str) -> list[IPv4Address | IPv6Address]:
    """Return the addresses that packets reach: an IPv6 address may hold an IPv4 one."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv4Address):
        return [ip]
    if any(ip in network for network in _NAT64):
        return [IPv4Address(int(ip) & 0xFFFFFFFF)]
    held = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
    return [held] if held else [ip]
