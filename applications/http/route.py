"""How services are reached: through which proxy, with which certificates, and where nobody may go."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from applications.http.egress import Egress
from applications.http.errors import NeverSent

MAX_HEAD_BYTES: Final = 64 << 10

ENVIRONMENT: Final = "environment"
"""As `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say."""
NO_PROXY: Final = "none"


@dataclass(frozen=True, slots=True)
class Route:
    """The way of all requests to services."""

    egress: Egress = field(default_factory=Egress)
    proxy: str = field(default=ENVIRONMENT, repr=False)
    """`environment`, `none`, or the URL of one for all requests but those to hosts in `NO_PROXY`."""
    ca_file: Path | None = None
    """Certificates of authorities, in PEM, that are trusted besides the usual ones."""
    max_head_bytes: int = MAX_HEAD_BYTES
    """The longest line of a reply's head that is read."""

    def proxy_for(self, origin: str) -> str | None:
        """Return the URL of the proxy to scheme, host and port of a service; None: requests go to it directly.

        Raises `NeverSent` for a proxy that is not of HTTP.
        """
        if self.proxy == NO_PROXY:
            return None
        known = getproxies_environment()
        parts = urlsplit(origin)
        if proxy_bypass(parts.netloc, known):
            return None
        if self.proxy != ENVIRONMENT:
            return self.proxy
        found = known.get(parts.scheme) or known.get("all")
        if found and "://" in found and not found.startswith(("http://", "https://")):
            raise NeverSent("the proxy of the environment is no http:// or https:// one: set WORKER_OUTGOING_PROXY_URL")
        return found if not found or "://" in found else f"http://{found}"
