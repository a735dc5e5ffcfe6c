"""Who may call. The platform sends no key: its addresses are known, or the path is secret, or a key comes along."""

import hmac
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import structlog

from worker.service.http import Reply, Request, error_reply

log = structlog.get_logger()

KEY_HEADER = "orchesty-api-key"


class Callers:
    """Knows the networks, and the key that lets in others as well."""

    def __init__(self, networks: Iterable[str], key: str) -> None:
        """Without a key only the networks count."""
        self._networks = [ip_network(network) for network in networks]
        self._key = key
        self._is_near = lru_cache(1024)(self._is_in_networks)

    def may_call(self, request: Request) -> bool:
        """Whether to answer; one that is refused is logged."""
        if not request.address or self._is_near(request.address) or self.has_key(request):
            return True
        log.warning(
            "service_caller_refused", address=request.address, method=request.method,
            cure="Name its network in WORKER_SERVICE_ALLOW, or let it send the key",
        )  # fmt: skip
        return False

    def has_key(self, request: Request) -> bool:
        """Whether the caller has sent the key."""
        return is_key(request.headers.get(KEY_HEADER, ""), self._key)

    def _is_in_networks(self, address: str) -> bool:
        try:
            found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in network for network in self._networks)


def refused() -> Reply:
    """Return what somebody is told who may not call."""
    return error_reply("this address may not call the service", 403)


def is_key(given: str, key: str) -> bool:
    """Whether this is the key; without one nothing is."""
    return bool(key) and hmac.compare_digest(given.encode(errors="surrogateescape"), key.encode())
