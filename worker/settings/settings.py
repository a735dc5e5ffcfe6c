"""Settings of the worker, read from the environment."""

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from worker.errors import SettingsError
from worker.urls import check_storage_url, check_url, checked_url

ENTRY_POINTS = "orchesty_worker.actions"
"""Under this group of entry points installed packages name modules with actions, beside the setting `actions`."""

DEFAULT_STORAGE_URL = "sqlite:///var/storage.sqlite"


class WithoutRedis(StrEnum):
    """What several processes do with limited messages when they share no Redis."""

    REFUSE = "refuse"
    """The messages wait in the broker."""
    DIVIDE = "divide"
    """Each process takes its part of the limit."""


DEFAULT_TRASH_URL = "sqlite:///var/trash.sqlite"
DEFAULT_PROCESS_URL = "sqlite:///var/processes.sqlite"
DEFAULT_MARKS_URL = "sqlite:///var/deduplication.sqlite"

Names = Annotated[tuple[str, ...], NoDecode]


class ModeName(StrEnum):
    """Whose services surround the worker."""

    STANDALONE = "standalone"
    PLATFORM = "platform"


def variable(name: str) -> Any:
    """Name the platform's own variable for a field, beside our `WORKER_` one."""
    return AliasChoices(name, f"WORKER_{name}")


class Settings(BaseSettings):
    """All settings. `docs/settings.md` is generated from these fields."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix="WORKER_", frozen=True, extra="ignore", populate_by_name=True
    )

    topology: Path = Field(
        Path("/srv/app/topology/topology.json"),
        validation_alias=variable("TOPOLOGY_JSON"),
        description="The topology file, version 2.",
    )
    amqp_url: SecretStr | None = Field(
        None,
        description="The broker, `amqp://user:password@host:5672/%2F`. Wins over the topology's own address.",
    )
    mode: ModeName = Field(
        ModeName.STANDALONE,
        description="`standalone`: repeats wait in the broker's delay tiers, limits are kept in the process. "
        "`platform`: the services of the Orchesty platform do it (`pipes.repeater`, `pipes.limiter`, "
        "`pipes.multi-counter`).",
    )
    nodes: Names = Field(
        (), description="Ids or names of the nodes to consume, separated by commas. Empty: every node."
    )
    actions: Names = Field((), description="Modules or packages with actions, separated by commas.")
    stages: Names = Field(
        (),
        description="Stages of your own around each action, `module:name`, the outermost first, separated by commas.",
    )
    http_host: str = Field("0.0.0.0", description="Address to answer HTTP on; `unix:/path` for a socket.")  # noqa: S104 - containers are probed from outside
    http_port: int = Field(
        8000, ge=0, le=65535, description="Port for `/readyz`, `/healthz`, `/metrics` and `/api/process`."
    )
    processes: int = Field(
        1, ge=1, le=256, description="Worker processes on this machine, looked after by one supervisor."
    )
    database_url: SecretStr | None = Field(
        None,
        description="The database of everything that is kept and has no URL of its own: "
        "`postgresql://user:password@host/database`, or `sqlite:///path`.",
    )
    redis_url: SecretStr | None = Field(
        None,
        description="Redis or Valkey, `redis://:password@host:6379/0` or `rediss://`: keeps the limits of all workers "
        "and remembers the messages of nodes with `deduplicate`. Unset: each process keeps limits of its own, which is "
        "right for a single one, and messages are remembered in `WORKER_DATABASE_URL`, else in "
        "`sqlite:///var/deduplication.sqlite`.",
    )
    trash_url: SecretStr | None = Field(
        None,
        description="Where the trash and the user tasks are kept: `sqlite:///path`, "
        "`postgresql://user:password@host/database` or `mongodb://user:password@host/database`. Unset: in platform "
        "mode `MONGODB_DSN`, else `WORKER_DATABASE_URL`, else `sqlite:///var/trash.sqlite`.",
    )
    installs_url: SecretStr | None = Field(
        None,
        description="Where the installs of applications are kept: `sqlite:///path` or "
        "`postgresql://user:password@host/database`. Unset: `WORKER_DATABASE_URL`, else `sqlite:///var/installs.sqlite`.",
    )
    secret_keys: SecretStr | None = Field(
        None,
        description="The keys for the secrets of installs, `id:base64` of 32 bytes, the newest first, separated by "
        "commas. `orchesty-worker secrets generate` makes one.",
    )
    secret_keys_file: Path | None = Field(
        None, description="A file with the keys, one a line, instead of `WORKER_SECRET_KEYS`."
    )
    public_url: str | None = Field(
        None,
        pattern="^https?://",
        description="Under which services reach this worker's HTTP, `https://hooks.example.com`: for webhooks.",
    )
    token_journal: Path = Field(
        Path("var/tokens"),
        description="A directory of this machine for tokens, sealed, on their way into the database.",
    )
    storage_url: SecretStr | None = Field(
        None,
        description="Where the data storage of actions is kept: `sqlite:///path`, "
        "`postgresql://user:password@host/database` or `redis://host:6379/0`. Workers that share a topology share it. "
        "Unset: `WORKER_DATABASE_URL`, else `sqlite:///var/storage.sqlite`.",
    )
    trash_flood_limit: int = Field(
        1000,
        ge=0,
        description="At most so many equal entries (node, correlation id, reason) of the trash are stored in full; "
        "more are counted on the oldest of them. 0: all are stored.",
    )
    trash_keep_days: float = Field(
        30, ge=0, description="Days after which the worker deletes entries that were approved or rejected. 0: never."
    )
    trash_keep_waiting_days: float = Field(
        0, ge=0, description="Days after which the worker deletes entries that nobody has decided. 0: never."
    )
    limits_without_redis: WithoutRedis = Field(
        WithoutRedis.REFUSE,
        description="What several processes on the same queues do with limited messages without `WORKER_REDIS_URL`: "
        "`refuse`, the messages wait in the broker and the log names the cure; `divide`, each takes its part.",
    )
    limit_guard: float = Field(
        0.01,
        ge=0,
        le=10,
        description="By how much the windows of limits are made longer, for the clocks of machines and of services. "
        "Seconds; twice the way to Redis and back where that is more.",
    )
    limit_recovery: float = Field(
        0,
        ge=0,
        description="A limit whose calls the service refuses (429) is halved, and grows back within this time. "
        "Seconds, such as 600; 0: it is not halved.",
    )
    process_state: bool = Field(
        True,
        description="Standalone mode: count each run in `WORKER_DATABASE_URL`, or else in "
        "`sqlite:///var/processes.sqlite`, for `orchesty-worker processes`.",
    )
    process_keep_days: float = Field(
        7, ge=0, description="Days after its end until the worker deletes what it knows of a run. 0: never."
    )
    finished_webhook: SecretStr | None = Field(
        None,
        description="Where process state is on: a URL that gets a POST for each run that ends, with its totals as "
        "JSON; at least once.",
    )
    finished_start: str | None = Field(
        None,
        description="Where process state is on: the id of a node of another topology, which each run that finishes "
        "without a failure starts; at least once, with the same ids.",
    )
    grace: float = Field(30, ge=0, description="Seconds that messages in work may take to finish after SIGTERM.")
    max_failures: int = Field(
        10,
        ge=1,
        description="Rounds in a row that an action may be unreachable before a run goes to the trash.",
    )
    max_message_bytes: int = Field(
        32 * 1024 * 1024, ge=1024, description="A larger message goes to the trash unread. Bytes."
    )
    max_deliveries: int = Field(
        18,
        ge=2,
        description="A message that the broker has delivered this often goes to the trash: quorum queues of "
        "RabbitMQ 4 drop it after 20.",
    )
    silence_seconds: float = Field(10, gt=0, description="How often each consumer is compared with its queue. Seconds.")
    log_format: str = Field(
        "auto",
        pattern="^(auto|json|console)$",
        description="`json`, `console`, or `auto`: console on a terminal, else JSON.",
    )
    log_level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="`debug`, `info`, `warning` or `error`."
    )
    starting_point_dsn: str | None = Field(
        None,
        validation_alias=variable("STARTING_POINT_DSN"),
        description="The platform's starting point, `host:port`: gets a status call for each trashed message.",
    )
    orchesty_api_key: SecretStr | None = Field(
        None,
        validation_alias=variable("ORCHESTY_API_KEY"),
        description="The platform's key: expected from callers of `/api/process`, sent to the starting point.",
    )
    api_host: str | None = Field(
        None,
        pattern=r"^(https?://)?([^/\s:@\[\]]+|\[[0-9A-Fa-f:.]+\])(:\d+)?/?$",
        description="The platform's worker-api, `host:port` or `http://host:port`: gets the log lines that actions "
        "write `for_ui`, and each call of a service, for the user interface. Unset: nothing is sent.",
    )
    mongodb_dsn: SecretStr | None = Field(
        None,
        validation_alias=variable("MONGODB_DSN"),
        description="The platform's MongoDB, for the trash in platform mode where `WORKER_TRASH_URL` is unset.",
    )

    @field_validator("nodes", "actions", "stages", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part for part in re.split(r"[,\s]+", value) if part)
        return value

    @field_validator("amqp_url", "redis_url", "trash_url", "database_url", "mongodb_dsn", "installs_url", "storage_url")
    @classmethod
    def _escaped(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            checked_url(value.get_secret_value())
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("redis://:password@host:6379/0 or rediss://... expected")
        return value

    @field_validator("trash_url", "database_url", "mongodb_dsn")
    @classmethod
    def _known_store(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_url(value.get_secret_value())
        return value

    @field_validator("finished_webhook")
    @classmethod
    def _http_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.match(r"https?://[^/\s]", value.get_secret_value()):
            raise ValueError("must be a URL, https://host/path")
        return value

    @property
    def marks_address(self) -> str:
        """The URL of what `deduplicate` remembers, with its password. Raises `SettingsError` for a MongoDB."""
        chosen = self.redis_url or self.database_url
        url = chosen.get_secret_value() if chosen else DEFAULT_MARKS_URL
        if url.startswith("mongodb"):
            raise SettingsError(
                "a node has `deduplicate`, which a MongoDB in WORKER_DATABASE_URL cannot serve: set WORKER_REDIS_URL, "
                "or give it PostgreSQL or SQLite, and the MongoDB to WORKER_TRASH_URL"
            )
        return url

    @field_validator("storage_url")
    @classmethod
    def _known_storage(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_storage_url(value.get_secret_value())
        return value

    @property
    def storage_address(self) -> str:
        """The URL of the data storage, with its password."""
        if self.storage_url is not None:
            return self.storage_url.get_secret_value()
        shared = self.database_url.get_secret_value() if self.database_url else ""
        return DEFAULT_STORAGE_URL if not shared or shared.startswith("mongodb") else shared

    @property
    def trash_address(self) -> str:
        """The URL of the trash, with its password."""
        platforms = self.mongodb_dsn if self.mode is ModeName.PLATFORM else None
        chosen = self.trash_url or platforms or self.database_url
        return chosen.get_secret_value() if chosen else DEFAULT_TRASH_URL

    @property
    def process_address(self) -> str:
        """The URL of the database that counts runs, with its password."""
        url = self.database_url.get_secret_value() if self.database_url else DEFAULT_PROCESS_URL
        if url.startswith("mongodb"):
            raise SettingsError(
                "WORKER_DATABASE_URL is a MongoDB, which cannot count processes: give it PostgreSQL or SQLite and the "
                "MongoDB to WORKER_TRASH_URL, or set WORKER_PROCESS_STATE=false"
            )
        return url

    def broker_address(self, of_topology: str | None) -> str:
        """Return the broker's URL, with its password, the topology's where there is no own one.

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
        lines = [f"  {_variable_of(problem['loc'])}: {problem['msg']}" for problem in error.errors()]
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
