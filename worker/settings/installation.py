"""The installation of the platform that the worker belongs to, and the addresses that follow from it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from pydantic import Field, SecretStr

from worker.settings.values import Values, variable

ADDRESSES: Final = {
    "backend_url": ("backend", "api", 8080),
    "starting_point_dsn": ("starting-point", "start", 82),
    "api_host": ("worker-api", "worker", 8081),
}
"""By setting: the name of the service in Docker, in the cloud, and its port on a machine for development."""
_DOCKER_PORTS: Final = {"backend": ""}


@dataclass(frozen=True, slots=True)
class Derived:
    """An address of the platform, and where it comes from."""

    service: str
    url: str
    source: str


def address_of(setting: str) -> Callable[[dict[str, Any]], str | None]:
    """Return what derives an address of the platform from the settings before it; None without a tenant."""
    in_docker, in_cloud, port = ADDRESSES[setting]

    def derive(given: dict[str, Any]) -> str | None:
        match tenant := given.get("tenant_id"):
            case None:
                return None
            case "docker":
                return f"http://{in_docker}{_DOCKER_PORTS.get(in_docker, ':8080')}"
            case "local":
                return f"http://{given.get('dev_ip')}:{port}"
        return f"https://{in_cloud}-{tenant}.{given.get('cloud_region')}.cloud.orchesty.io"

    return derive


def port_of(given: dict[str, Any]) -> int:
    """Return the port on which a service of an installation is expected, or that of a worker alone."""
    return 8000 if given.get("tenant_id") is None else 8080


class InstallationSettings(Values):
    """What the platform's admin hands out."""

    tenant_id: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$",
        validation_alias=variable("TENANT_ID"),
        description="The installation of the platform, from which the addresses of backend, starting point and "
        "worker-api follow: `docker`, `local`, or that of a tenant in the cloud. Each may be named by itself instead.",
    )
    cloud_region: str = Field(
        "eu1",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$",
        validation_alias=variable("CLOUD_REGION"),
        description="The region of a tenant in the cloud.",
    )
    dev_ip: str = Field(
        "127.0.0.1",
        pattern=r"^[A-Za-z0-9.-]+$",
        validation_alias=variable("DEV_IP"),
        description="The machine on which the platform runs, for `TENANT_ID=local`.",
    )
    crypt_secret: SecretStr | None = Field(
        None,
        validation_alias=variable("CRYPT_SECRET"),
        description="The secret with which the platform's services encrypt installs. With it and worker-api, installs "
        "and webhooks are documents of the platform, and `WORKER_INSTALLS_URL` has only notes on who renews tokens. If "
        "`WORKER_SECRET_KEYS` is not set, its key follows from it.",
    )

    def derived(self) -> Iterator[Derived]:
        """Yield the addresses of the platform that are known, and from what."""
        for setting, (service, *_) in ADDRESSES.items():
            if url := getattr(self, setting, None):
                named = setting in self.model_fields_set
                yield Derived(service, url, "named by itself" if named else f"from TENANT_ID={self.tenant_id}")
