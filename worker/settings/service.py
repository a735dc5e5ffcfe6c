"""Settings of the HTTP API that the platform calls."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from worker.settings.installation import InstallationSettings, address_of

PRIVATE: Final = ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
"""Loopback and the private networks of RFC 1918 and RFC 4193."""


def _networks(value: object) -> object:
    given = re.split(r"[,\s]+", value) if isinstance(value, str) else value
    if isinstance(given, list | tuple):
        return tuple(str(ip_network(part, strict=False)) for part in given if part)
    return given


Networks = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_networks)]


class ServiceSettings(InstallationSettings):
    """Who may call, for how long, and how."""

    service_allow: Networks = Field(
        PRIVATE,
        description="Networks whose callers the HTTP API of the service answers, separated by commas. Others get 403, "
        "unless they send `ORCHESTY_API_KEY` in the header `orchesty-api-key`. Probes, metrics and webhooks are "
        "answered to all.",
    )
    service_prefix: SecretStr | None = Field(
        None,
        description="A secret path in front of all routes of the service, such as `/k2n8...`. Register the service "
        "with it: `http://host:8000/k2n8...`.",
    )
    service_timeout: float = Field(
        55, gt=0, le=3600, description="Seconds an action may take that is called over HTTP. The platform waits 60."
    )
    backend_url: str | None = Field(
        default_factory=address_of("backend_url"),
        pattern="^https?://",
        validation_alias=AliasChoices("BACKEND_URL", "BACKEND_DSN", "WORKER_BACKEND_URL"),
        description="The platform's backend, to which services send people back after a login.",
    )
    tls_certificate: Path | None = Field(
        None, description="A PEM file with the certificate, and those between it and the root: HTTP becomes HTTPS."
    )
    tls_key: Path | None = Field(None, description="A PEM file with the certificate's private key, without a password.")
    tls_client_ca: Path | None = Field(
        None, description="A PEM file with the authorities whose clients may connect. Others are turned away (mTLS)."
    )
    app_env: str = Field(
        "prod",
        validation_alias=AliasChoices("APP_ENV", "WORKER_APP_ENV"),
        description="`debug`: the HTTP API tells callers the stack of an error.",
    )

    @field_validator("service_prefix")
    @classmethod
    def _path(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", value.get_secret_value()):
            raise ValueError("must be a path of letters, digits and ._~- that begins with / and does not end with one")
        return value

    @property
    def redirect_uri(self) -> str:
        """Where services send people back to after a login."""
        return f"{(self.backend_url or '').rstrip('/')}/api/applications/authorize/token"

    @property
    def prefix(self) -> str:
        """The secret path; empty without one."""
        return self.service_prefix.get_secret_value() if self.service_prefix else ""

    @property
    def is_debugging(self) -> bool:
        """Whether callers are told stacks."""
        return self.app_env == "debug"
