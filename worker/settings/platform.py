"""Settings of the place of the platform's worker: where its services are, and how its collections are called."""

from pydantic import Field

from worker.settings.values import MongoAddress, Names, Values, variable

COLLECTION = r"^[A-Za-z_][A-Za-z0-9_.-]*$"


class PlatformSettings(Values):
    """What the place of the platform's worker asks for."""

    services: Names = Field(
        (),
        description="Names (`sdk`) or addresses (`host:port`) of the services whose actions are in this process, "
        "separated by commas. Nodes of other services are called over HTTP, even if an action of that name is here. "
        "Empty: each action that is here is called here.",
    )
    metrics_dsn: MongoAddress | None = Field(
        None,
        validation_alias=variable("METRICS_DSN"),
        description="The platform's MongoDB for figures, `mongodb://host/metrics`. In platform mode it gets a document "
        "for each message that ends at a node.",
    )
    node_measurement: str = Field(
        "pipes_node",
        pattern=COLLECTION,
        validation_alias=variable("NODE_MEASUREMENT"),
        description="The collection of the figures.",
    )
    user_task_collection: str = Field(
        "UserTask",
        pattern=COLLECTION,
        validation_alias=variable("USER_TASK_COLLECTION"),
        description="The collection of the trash and the user tasks in a MongoDB.",
    )
    audit_entity_collection: str = Field(
        "AuditEntity",
        pattern=COLLECTION,
        validation_alias=variable("AUDIT_ENTITY_COLLECTION"),
        description="The collection in `MONGODB_DSN` with the kinds of entities that people have declared.",
    )
    audit_data_collection: str = Field(
        "AuditData",
        pattern=COLLECTION,
        validation_alias=variable("AUDIT_DATA_COLLECTION"),
        description="The collection in `MONGODB_DSN` that gets the entities of messages.",
    )
    limiter_collection: str = Field(
        "limiter",
        pattern=COLLECTION,
        validation_alias=variable("LIMITER_COLLECTION"),
        description="The collection in `MONGODB_DSN` with the messages that the platform's limiter holds.",
    )
    limits_check_interval: float = Field(
        60,
        gt=0,
        le=86_400,
        validation_alias=variable("LIMITS_CHECK_INTERVAL"),
        description="Seconds between two questions to `BACKEND_URL` for the limits of the installation, in platform "
        "mode.",
    )
