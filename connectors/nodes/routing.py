"""`route`: choose the followers of a message."""

from collections.abc import Iterable, Mapping
from typing import Any, Self

from pydantic import Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from connectors.action import CustomNode
from connectors.configured import FOLLOWERS, Configured
from connectors.message import Message
from connectors.nodes.expression import Languages
from connectors.outcome import Forward

Names = str | tuple[str, ...]


class RouteConfiguration(Languages):
    """The expression, which followers its values mean, and who gets the others."""

    routes: Mapping[str, Names] = Field(default_factory=dict)
    otherwise: Names | None = None

    @model_validator(mode="after")
    def _know_followers(self, info: ValidationInfo) -> Self:
        known = (info.context or {}).get(FOLLOWERS, frozenset())
        wanted = {name for names in self.routes.values() for name in _several(names)} | set(_several(self.otherwise))
        if unknown := sorted(wanted - known):
            text = f"{', '.join(unknown)} is not a follower of the node; it has {', '.join(sorted(known)) or 'none'}"
            raise PydanticCustomError("follower", "{text}", {"text": text})
        return self


class Route(Configured[RouteConfiguration], CustomNode[Any, Any]):
    """Sends a message to the followers that the expression names.

    Configuration: `{"jmespath": "country", "routes": {"CZ": "domestic"}, "otherwise": "abroad"}`. Without `routes` the
    expression gives the follower's name or id itself, or a list of them. A value that means nobody goes to the trash.
    """

    name = "route"
    configuration_type = RouteConfiguration

    async def process(self, message: Message[Any]) -> Forward:
        """Return the message with its followers."""
        value = await self.configuration.expression.of(message)
        return Forward(message, to=tuple(self._followers(value)))

    def _followers(self, value: Any) -> Iterable[str]:
        routes, otherwise = self.configuration.routes, self.configuration.otherwise
        if not routes:
            if value and isinstance(value, str | list) and all(isinstance(name, str) for name in value):
                return _several(value)
        elif (names := routes.get(_text(value))) is not None:
            return _several(names)
        if otherwise is None:
            raise self.configuration.expression.refuse(value, "one of the routes; set `otherwise` for all others")
        return _several(otherwise)


def _several(names: str | Iterable[str] | None) -> tuple[str, ...]:
    return () if names is None else (names,) if isinstance(names, str) else tuple(names)


def _text(value: Any) -> str:
    """Return the text that stands for the value in the file: true, null, 5."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
