"""Settings of the place of the platform's worker: where its services are, and how its collections are called."""

from pydantic import Field

from worker.settings.values import Names, Values, variable

COLLECTION = r"^[A-Za-z_][A-Za-z0-9_.-]*$"


class PlatformSettings(Values):
    """What the place of the platform's worker asks for."""

    services: Names = Field(
        (),
        description="Names (`sdk`) or addresses (`host:port`) of the services whose actions are in this process, "
        "separated by commas. Nodes of other services are called over HTTP, even if an action of that name is here. "
        "Empty: each action that is here is called here.",
    )
    user_task_collection: str = Field(
        "UserTask",
        pattern=COLLECTION,
        validation_alias=variable("USER_TASK_COLLECTION"),
        description="The collection of the trash and the user tasks in a MongoDB.",
    )
