"""Options that several commands share."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _topology_file(name: str) -> Decorator:
    path = click.Path(path_type=Path)
    return click.option(name, "topology_path", type=path, help="Topology file.  [env: TOPOLOGY_JSON]")


topology_option = _topology_file("--topology")
topology_file_option = _topology_file("--topology-file")
"""For commands whose `--topology` is a filter."""
amqp_option: Decorator = click.option("--amqp-url", help="The broker.  [env: WORKER_AMQP_URL]")
trash_option: Decorator = click.option(
    "--trash-url", help="The trash: sqlite:///path, postgresql://... or mongodb://...  [env: WORKER_TRASH_URL]"
)
json_option: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def json_of(data: str | None) -> str:
    """Return what `--data` says. Raises a `UsageError` for text that is not JSON, which most often a shell has cut."""
    if data is None:
        return "{}"
    try:
        json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(
            f"--data is not JSON: {error}. Other bodies are read by --file; - is standard input."
        ) from None
    return data


def _refuse(constant: str) -> None:
    raise ValueError(f"JSON has no {constant}")


def read_body(file: IO[str]) -> str:
    """Read a body from a file that an option names. Raises a `ClickException` that names what is wrong with it."""
    try:
        return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file.name}: the body must be UTF-8 text: {error}") from None


_AGE = r"(\d{1,6}(?:\.\d+)?)([smhdw])"
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Age(click.ParamType[timedelta]):
    """A time span: `2h`, `3d`, `1d12h`."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read the text."""
        text = str(value).lower().replace(" ", "")
        if not re.fullmatch(rf"(?:{_AGE})+", text):
            self.fail(f"{value} is not an age; write 45m, 2h, 3d or 1d12h", param, ctx)
        parts = re.findall(_AGE, text)
        return sum((timedelta(**{UNITS[unit]: float(number)}) for number, unit in parts), timedelta())
