"""Settings of how services are reached: where nobody may go, through which proxy, and whom to trust."""

from ipaddress import ip_network
from pathlib import Path

from pydantic import Field, field_validator

from worker.settings.values import Names, ProxyAddress, Values


class RouteSettings(Values):
    """The way of all requests of actions and applications, and of those to token endpoints."""

    egress: str = Field(
        "installs",
        pattern="^(installs|all|none)$",
        description="Which URLs may not lead to private, loopback, link-local and metadata addresses. `installs`: "
        "those with values of users' installs in them, token endpoints, and redirects to another host. `all`: all that "
        "actions call. `none`: none.",
    )
    egress_allow: Names = Field((), description="Networks that these URLs may still reach, `10.1.0.0/16,192.168.1.7`.")
    outgoing_proxy_url: ProxyAddress | None = Field(
        None,
        description="The proxy to services, `http://user:password@host:3128`, for all hosts that `NO_PROXY` does not "
        "name; `none` for none. Unset: as `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say.",
    )
    ca_file: Path | None = Field(
        None,
        description="A file with certificates of authorities in PEM, which are trusted besides the usual ones, such as "
        "that of a proxy that looks into TLS.",
    )
    max_head_bytes: int = Field(
        64 * 1024,
        ge=8190,
        le=16 * 1024 * 1024,
        description="The longest line in the head of a reply. A reply with a longer one cannot be read.",
    )

    @field_validator("egress_allow")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ip_network(network, strict=False)
        return value
