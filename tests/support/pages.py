"""What the pages of the documentation hold: their snippets, and the actions in them."""

import inspect
import re
from pathlib import Path
from typing import Any

from connectors.action import Action

ROOT = Path(__file__).resolve().parent.parent.parent
AT_ROOT = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
PAGES = [*(ROOT / name for name in AT_ROOT), *sorted((ROOT / "docs").glob("*.md"))]

NAME = "snippet"
"""The module that classes of a snippet say they are of."""


def snippets(page: Path, language: str) -> list[str]:
    """Return the snippets of a page that have no file name, in their order."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def names_of(page: Path) -> dict[str, Any]:
    """Run the Python snippets of a page one after the other, and return what they have defined."""
    namespace: dict[str, Any] = {"__name__": NAME}
    for snippet in snippets(page, "python"):
        exec(compile(snippet, page.name, "exec"), namespace)
    return namespace


def actions_of(page: Path) -> dict[str, Any]:
    """Return the actions that a page defines, by name: classes and instances."""
    return {value.name: value for value in names_of(page).values() if is_action(value)}


def is_action(value: object) -> bool:
    """Whether this is an action, and a page's own if it is a class."""
    if inspect.isclass(value):
        return issubclass(value, Action) and value.__module__ == NAME
    return isinstance(value, Action)
