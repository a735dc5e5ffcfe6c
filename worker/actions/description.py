"""What can be told about an action without calling it: where it is defined, what it takes and gives."""

import inspect
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError

from connectors.action import Action


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


def place_of(action: Action[Any, Any]) -> Place:
    """Return where the action's class, function or declaration stands; without a line where nobody knows it."""
    if (declared := action.declared) is not None:
        return Place(declared.module, action.name, _relative(declared.file), declared.line)
    defined = action.definition
    file, line = "", None
    with suppress(TypeError, OSError):
        file = _relative(inspect.getfile(defined))
        line = inspect.getsourcelines(defined)[1]
    return Place(defined.__module__, defined.__qualname__, file, line)


def _relative(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def types_of(action: Action[Any, Any]) -> tuple[Any, Any]:
    """Return the types of input and output; `Any` for what the action leaves open."""
    return action.input_type, action.output_type


def schema(kind: Any, mode: Literal["validation", "serialization"]) -> dict[str, Any]:
    """Return the JSON schema; for a type that JSON schema has no words for, its name."""
    try:
        return TypeAdapter(kind).json_schema(mode=mode)
    except PydanticUserError as error:
        return {"title": getattr(kind, "__name__", str(kind)), "description": f"no JSON schema: {error.message}"}
