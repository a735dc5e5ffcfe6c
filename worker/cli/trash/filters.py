"""The filters that the commands of the trash share."""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

import click

from worker.cli.options import Age, Decorator
from worker.protocol.message import now_ms
from worker.trash.entry import DECIDED, OPEN, EntryState, EntryType
from worker.trash.store import Search

STATES = {
    "open": OPEN,
    "decided": DECIDED,
    "all": frozenset(EntryState),
    **{state.value: frozenset({state}) for state in EntryState},
}

_OPTIONS = (
    click.option("--node", "nodes", multiple=True, help="Id or name of a node; may be repeated."),
    click.option("--topology", default="", help="Id or name of a topology."),
    click.option("--process", default="", help="Correlation id: the entries of one run."),
    click.option("--user", default="", help="A user (tenant)."),
    click.option("--application", default="", help="Key of the node's application."),
    click.option("--reason", default="", help="Text in the reason."),
    click.option("--older-than", type=Age(), metavar="AGE", help="Older than this: 45m, 2h, 3d."),
    click.option("--newer-than", type=Age(), metavar="AGE", help="Newer than this: 45m, 2h, 3d."),
    click.option(
        "--type",
        "type_",
        type=click.Choice([kind.value for kind in EntryType], case_sensitive=False),
        help="Kind of entry.",
    ),
)


def filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the filters; it gets them as one argument `search`."""

    @wraps(command)
    def with_search(**options: Any) -> Any:
        names = ("nodes", "topology", "process", "user", "application", "reason", "older_than", "newer_than", "type_")
        return command(search=_search(**{name: options.pop(name) for name in names}), **options)

    for option in reversed(_OPTIONS):
        with_search = option(with_search)
    return with_search


def _search(
    nodes: tuple[str, ...],
    topology: str,
    process: str,
    user: str,
    application: str,
    reason: str,
    older_than: timedelta | None,
    newer_than: timedelta | None,
    type_: str | None,
) -> Search:
    return Search(
        nodes=nodes,
        topology=topology,
        process=process,
        user=user,
        application=application,
        reason=reason,
        type=EntryType(type_) if type_ else None,
        created_before=_ago(older_than),
        created_after=_ago(newer_than),
    )


def _ago(age: timedelta | None) -> int | None:
    return None if age is None else now_ms() - int(age.total_seconds() * 1000)


def state_option(default: str) -> Decorator:
    """Return the option that says which states are looked at."""
    return click.option(
        "--state",
        type=click.Choice(list(STATES)),
        default=default,
        show_default=True,
        help="State of the entries; open is waiting or claimed, decided is approved or rejected.",
    )
