"""What can be told about an action without calling it: where it is defined, what it takes and gives."""

import inspect
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError

from connectors import Action
from worker.registry import AnyAction


@dataclass(frozen=True, slots=True)
class Place:
    """Where an action is defined."""

    module: str
    name: str
    file: str
    line: int | None

    def __str__(self) -> str:
        """Show file and line, relative to the current folder where it lies in it."""
        if not self.file:
            return f"{self.module}.{self.name}"
        return f"{self.file}:{self.line}" if self.line else self.file


def place_of(action: AnyAction) -> Place:
    """Return where the action's class is defined; without a line for one that was not written as a class."""
    defined = type(action)
    file, line = "", None
    with suppress(TypeError, OSError):
        path = Path(inspect.getfile(defined))
        file = str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
        line = inspect.getsourcelines(defined)[1]
    return Place(defined.__module__, defined.__qualname__, file, line)


def types_of(action: AnyAction) -> tuple[Any, Any]:
    """Return the types of input and output; `Any` for what the action leaves open."""
    for owner in type(action).__mro__:
        for base in getattr(owner, "__orig_bases__", ()):
            if not issubclass(get_origin(base) or object, Action):
                continue
            arguments = [Any if isinstance(argument, TypeVar) else argument for argument in get_args(base)]
            if arguments and arguments != [Any] * len(arguments):
                return arguments[0], arguments[-1]
    return Any, Any


def schema(kind: Any, mode: Literal["validation", "serialization"]) -> dict[str, Any]:
    """Return the JSON schema; for a type that JSON schema has no words for, its name."""
    try:
        return TypeAdapter(kind).json_schema(mode=mode)
    except PydanticUserError as error:
        return {"title": getattr(kind, "__name__", str(kind)), "description": f"no JSON schema: {error.message}"}
