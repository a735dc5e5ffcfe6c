"""Settings of the worker, read from the environment."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, Field, SecretStr, ValidationError

from worker.errors import SettingsError
from worker.settings.installation import address_of, port_of
from worker.settings.platform import PlatformSettings
from worker.settings.route import RouteSettings
from worker.settings.service import ServiceSettings
from worker.settings.stores import StoreSettings
from worker.settings.values import (
    BrokerAddress,
    HttpAddress,
    Names,
    StoreAddress,
    variable,
)
from worker.urls import MONGODB, http_url, secrets_in

ENTRY_POINTS = "orchesty_worker.actions"
"""The group of entry points with which installed packages name modules with actions, beside the setting `actions`."""

_NOT_DERIVED = "default_factory_not_called"
"""What pydantic says of a setting that follows from others, when any of all is wrong."""

MOST_DAYS = 36_500
MOST_SECONDS = 366 * 86_400
MOST = 2**31 - 1
"""More than anybody needs, and less than what clocks and databases hold."""


class WithoutRedis(StrEnum):
    """What several processes do with limited messages when they share no Redis."""

    REFUSE = "refuse"
    """The messages wait in the broker."""
    DIVIDE = "divide"
    """Each process takes its part of the limit."""


class ModeName(StrEnum):
    """Whose services surround the worker."""

    STANDALONE = "standalone"
    PLATFORM = "platform"


def _topology_file() -> Path:
    """Return where the file is expected that nobody has named."""
    here = Path("topology.json")
    return here if here.exists() else Path("/srv/app/topology/topology.json")


class Settings(PlatformSettings, ServiceSettings, RouteSettings, StoreSettings):
    """All settings. `docs/settings.md` is generated from these fields."""

    topology: Path = Field(
        default_factory=_topology_file,
        validation_alias=variable("TOPOLOGY_JSON"),
        description="The topology file, version 2. Unset: `topology.json` in the folder of the start, or "
        "`/srv/app/topology/topology.json`, where the platform's image has it.",
    )
    amqp_url: BrokerAddress | None = Field(
        None,
        description="The broker, `amqp://user:password@host:5672/%2F`. Takes precedence over that of the topology.",
    )
    mode: ModeName = Field(
        ModeName.STANDALONE,
        description="`standalone`: repeats wait in the broker's delay tiers, and workers keep limits and count runs. "
        "`platform`: the services of the Orchesty platform do so (`pipes.repeater`, `pipes.limiter`, "
        "`pipes.multi-counter`).",
    )
    nodes: Names = Field((), description="Ids or names of the nodes to consume, separated by commas. Empty: all nodes.")
    actions: Names = Field((), description="Modules or packages with actions, separated by commas.")
    node_variables: Names = Field(
        (),
        description="Environment variables from which nodes of topologies may read the address of a database or broker "
        "(`url_variable`), separated by commas. Those of the worker (`WORKER_*`) are refused.",
    )
    stages: Names = Field(
        (),
        description="Stages of your own around each action, `module:name`, the outermost first, separated by commas.",
    )
    http_host: str = Field("0.0.0.0", description="Address to listen on for HTTP; `unix:/path` for a socket.")  # noqa: S104 - containers are probed from outside
    http_port: int = Field(
        default_factory=port_of,
        ge=0,
        le=65535,
        validation_alias=AliasChoices("WORKER_HTTP_PORT", "APP_PORT", "PORT"),
        description="Port for `/readyz`, `/healthz`, `/metrics`, `/api/process` and the HTTP API of the service. "
        "Unset: 8000, or 8080 with `TENANT_ID`. `APP_PORT` and `PORT` name it, too.",
    )
    processes: int = Field(
        1, ge=1, le=256, description="Number of worker processes on this machine. One supervisor looks after them."
    )
    trash_url: StoreAddress | None = Field(
        None,
        description="The database of the trash and the user tasks: `sqlite:///path`, "
        "`postgresql://user:password@host/database` or `mongodb://user:password@host/database` (experimental). Unset: "
        "`MONGODB_DSN` in platform mode, otherwise `WORKER_DATABASE_URL`, otherwise `sqlite:///var/trash.sqlite`.",
    )
    secret_keys: SecretStr | None = Field(
        None,
        description="The keys that encrypt the secrets of installs: `id:base64` of 32 bytes each, separated by commas, "
        "newest first. `orchesty-worker secrets generate` makes one.",
    )
    secret_keys_file: Path | None = Field(
        None, description="A file with the keys, one per line, instead of `WORKER_SECRET_KEYS`."
    )
    public_url: str | None = Field(
        None,
        pattern="^https?://",
        description="The address at which services reach this worker for webhooks, `https://hooks.example.com`.",
    )
    token_journal: Path = Field(
        Path("var/tokens"),
        description="A directory on this machine for renewed tokens, encrypted, until the database has them.",
    )
    trash_flood_limit: int = Field(
        1000,
        ge=0,
        le=MOST,
        description="How many equal entries (same node, correlation id and reason) the trash stores in full. More are "
        "counted on the oldest one. 0: all are stored.",
    )
    trash_keep_days: float = Field(
        30,
        ge=0,
        le=MOST_DAYS,
        description="Days after which the worker deletes approved and rejected entries. 0: never.",
    )
    trash_keep_waiting_days: float = Field(
        0, ge=0, le=MOST_DAYS, description="Days after which the worker deletes undecided entries. 0: never."
    )
    limits_without_redis: WithoutRedis = Field(
        WithoutRedis.REFUSE,
        description="What several processes on the same queues do with limited messages if `WORKER_REDIS_URL` is not "
        "set. `refuse`: the messages wait in the broker, and the log says why. `divide`: each process takes its part.",
    )
    limit_guard: float = Field(
        0.01,
        ge=0,
        le=10,
        description="Seconds by which windows of limits are longer, because clocks of machines and services differ. "
        "If two round trips to Redis take longer, they count instead.",
    )
    limit_recovery: float = Field(
        0,
        ge=0,
        le=MOST_SECONDS,
        description="Seconds, such as 600. If a service refuses a call (429), its limit is halved and grows back "
        "within this time. 0: it is not halved.",
    )
    process_state: bool = Field(
        True,
        description="Whether the worker counts each run for `orchesty-worker processes` (standalone mode), in "
        "`WORKER_DATABASE_URL`, otherwise in `sqlite:///var/processes.sqlite`.",
    )
    process_keep_days: float = Field(
        7, ge=0, le=MOST_DAYS, description="Days after the end of a run until the worker deletes its counts. 0: never."
    )
    finished_webhook: HttpAddress | None = Field(
        None,
        description="A URL that gets a POST for each run that ends, with its totals as JSON, at least once. Needs "
        "`WORKER_PROCESS_STATE`.",
    )
    finished_start: str | None = Field(
        None,
        description="The id of a node of another topology. Each run that finishes without a failure starts it, at "
        "least once, with the same ids each time. Needs `WORKER_PROCESS_STATE`.",
    )
    grace: float = Field(
        30, ge=0, le=MOST_SECONDS, description="Seconds that messages in work have to finish after SIGTERM."
    )
    blocked_seconds: float = Field(
        60,
        ge=0,
        le=MOST_SECONDS,
        description="Seconds for which one action may block the event loop. Then the log shows where it stands, and "
        "the process ends. 0: for ever, such as while you debug.",
    )
    max_failures: int = Field(
        10,
        ge=0,
        le=MOST,
        description="How many rounds in a row an action may be unreachable before a run goes to the trash. 0: it is "
        "called until it answers.",
    )
    max_message_bytes: int = Field(
        32 * 1024 * 1024,
        ge=1024,
        le=MOST,
        description="Bytes. A larger message goes to the trash, unread when it arrives, instead of being sent on.",
    )
    max_deliveries: int = Field(
        18,
        ge=2,
        le=MOST,
        description="A message that the broker has delivered this often goes to the trash. Quorum queues of RabbitMQ 4 "
        "drop it after 20.",
    )
    silence_seconds: float = Field(
        10, gt=0, le=MOST_SECONDS, description="Seconds between looks at the queue of each consumer."
    )
    log_format: str = Field(
        "auto",
        pattern="^(auto|json|console)$",
        description="`json`, `console`, or `auto`: console on a terminal, otherwise JSON.",
    )
    log_level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="`debug`, `info`, `warning` or `error`."
    )
    starting_point_dsn: str | None = Field(
        default_factory=address_of("starting_point_dsn"),
        validation_alias=AliasChoices("STARTING_POINT_DSN", "STARTING_POINT_URL", "WORKER_STARTING_POINT_DSN"),
        description="The platform's starting point, `host:port` or `http://host:port`. It gets a status call for each "
        "trashed message.",
    )
    orchesty_api_key: SecretStr | None = Field(
        None,
        validation_alias=variable("ORCHESTY_API_KEY"),
        description="The platform's key. Callers of `/api/process` have to send it; the starting point receives it.",
    )
    api_host: str | None = Field(
        default_factory=address_of("api_host"),
        pattern=r"^(https?://)?([^/\s:@\[\]]+|\[[0-9A-Fa-f:.]+\])(:\d+)?/?$",
        description="The platform's worker-api, `host:port` or `http://host:port`. It gets the log lines that actions "
        "write `for_ui` and each call of a service, for the user interface, and with `CRYPT_SECRET` it keeps the "
        "installs. Unset: nothing is sent.",
    )
    mongodb_dsn: StoreAddress | None = Field(
        None,
        validation_alias=variable("MONGODB_DSN"),
        description="The platform's MongoDB, in platform mode: for the trash if `WORKER_TRASH_URL` is not set, the "
        "audit, and the settings that people make in the editor.",
    )

    @property
    def trash_address(self) -> str:
        """The URL of the trash, with its password."""
        platforms = self.mongodb_dsn if self.mode is ModeName.PLATFORM else None
        chosen = self.trash_url or platforms or self.database_url
        return chosen.get_secret_value() if chosen else self._own_file("trash")

    @property
    def platforms_mongodb(self) -> str | None:
        """The URL of the platform's MongoDB, with its password, if there is one."""
        url = self.mongodb_dsn.get_secret_value() if self.mongodb_dsn else ""
        return url if url.partition("://")[0] in MONGODB else None

    @property
    def figures_address(self) -> str | None:
        """The URL of the MongoDB that gets the figures of nodes, with its password: those of the platform's mode."""
        used = self.metrics_dsn if self.mode is ModeName.PLATFORM else None
        return used.get_secret_value() if used else None

    @property
    def process_address(self) -> str:
        """The URL of the database that counts runs, with its password."""
        url = self.database_url.get_secret_value() if self.database_url else self._own_file("processes")
        if url.startswith("mongodb"):
            raise SettingsError(
                "WORKER_DATABASE_URL is a MongoDB, which cannot count processes: give it PostgreSQL or SQLite and the "
                "MongoDB to WORKER_TRASH_URL, or set WORKER_PROCESS_STATE=false"
            )
        return url

    @property
    def webhook_base(self) -> str:
        """The address that services get for webhooks: the worker's own, else the starting point's."""
        point = self.starting_point_dsn or ""
        return self.public_url or (point if "://" in point or not point else f"http://{point}")

    def broker_address(self, of_topology: str | None) -> str:
        """Return the broker's URL, with its password; the topology's if the settings have none.

        Raises `SettingsError` when there is neither.
        """
        if self.amqp_url is not None:
            return self.amqp_url.get_secret_value()
        if of_topology is None:
            raise SettingsError(
                "no broker: set WORKER_AMQP_URL=amqp://user:password@host:5672/%2F or give the topology a rabbitMq dsn"
            )
        return of_topology

    @property
    def secrets(self) -> Iterator[str]:
        """What nobody may read: keys, and the passwords of addresses."""
        for name in type(self).model_fields:
            if isinstance(value := getattr(self, name), SecretStr):
                yield from secrets_in(value.get_secret_value())

    @property
    def worker_api_url(self) -> str:
        """The URL of the platform's worker-api; empty without one."""
        return http_url(self.api_host) if self.api_host else ""

    @property
    def shares_installs(self) -> bool:
        """Whether installs are documents of the platform."""
        return self.crypt_secret is not None and bool(self.api_host)

    @property
    def platform_key(self) -> str:
        """The platform's key; empty without one."""
        return self.orchesty_api_key.get_secret_value() if self.orchesty_api_key else ""

    @property
    def counts_processes(self) -> bool:
        """Whether the worker counts runs itself."""
        return self.process_state and self.mode is ModeName.STANDALONE


def load_settings(**overrides: Any) -> Settings:
    """Read the settings from the environment; `overrides` are given on the command line.

    Raises `SettingsError` with one line for each wrong variable.
    """
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        wrong = [problem for problem in error.errors() if problem["type"] != _NOT_DERIVED]
        lines = [f"  {_variable_of(problem['loc'])}: {problem['msg']}" for problem in wrong]
        raise SettingsError("Settings are wrong:\n" + "\n".join(lines)) from None


def _variable_of(location: tuple[int | str, ...]) -> str:
    name = str(location[0])
    return environment_names().get(name, name)


def environment_names() -> Mapping[str, str]:
    """Return the environment variable of each field."""
    return {
        name: str(field.validation_alias.choices[0])
        if isinstance(field.validation_alias, AliasChoices)
        else f"WORKER_{name.upper()}"
        for name, field in Settings.model_fields.items()
    }
