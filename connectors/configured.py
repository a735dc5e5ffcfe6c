"""Actions that a node of the topology configures: `settings.configuration`."""

import copy
from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict

ConfigurationType = TypeVar("ConfigurationType", bound="Configuration")

FOLLOWERS = "followers"
"""Where a configuration finds the names and ids of the node's followers in pydantic's context."""

VARIABLES = "variables"
"""Where it finds the environment variables that nodes may read; None: all but the worker's own."""


class Configuration(BaseModel):
    """What a node may say to its action. A name that is not there is an error when the worker starts."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Configured(Generic[ConfigurationType]):
    """Beside `CustomNode`, `Connector` or `Batch`: an action with settings of the node.

    Name the model as `configuration_type`; `self.configuration` holds the node's. Each node has an instance of its
    own.
    """

    configuration_type: ClassVar[type[Configuration]]

    configuration: ConfigurationType

    def configured(
        self, values: Mapping[str, Any], followers: Iterable[str] = (), variables: Collection[str] | None = None
    ) -> Self:
        """Return a copy for one node, whose followers have these names and ids, and which may read these variables.

        Raises pydantic's `ValidationError` with the place.
        """
        own = copy.copy(self)
        context = {FOLLOWERS: frozenset(followers), VARIABLES: variables}
        own.configuration = self.configuration_type.model_validate(dict(values), context=context)  # type: ignore[assignment]  # the class says which
        return own
