"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

topology_option: Decorator = click.option(
    "--topology",
    "topology_path",
    type=click.Path(path_type=Path),
    help="Topology file.  [env: TOPOLOGY_JSON]",
)
amqp_option: Decorator = click.option("--amqp-url", help="The broker.  [env: WORKER_AMQP_URL]")
trash_option: Decorator = click.option(
    "--trash-url", help="The trash: sqlite:///path, postgresql://... or mongodb://...  [env: WORKER_TRASH_URL]"
)
json_option: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
