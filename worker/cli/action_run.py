"""`orchesty-worker actions run`: one action, once, against the real service."""

import sys
from typing import IO

import click

from worker.cli.action_options import actions_option, find_action, kind_option, load
from worker.cli.options import json_of, json_option, read_body
from worker.logs import configure_logs
from worker.settings.settings import load_settings


@click.command(
    "run",
    epilog="""\b
Examples:
  orchesty-worker actions run shop-get-order --actions shop --data '{"id": 17}'
  orchesty-worker actions run shop-list-orders --user alice --json | jq '.messages[].body'
  orchesty-worker actions run shop-create-order --file order.json
""",
)
@click.argument("name")
@kind_option
@click.option("--data", help="The body of the message, as JSON (default: {}).")
@click.option("--file", type=click.File(encoding="utf-8"), help="Read any body from this file; - is standard input.")
@click.option("--user", help="The user (tenant) whose installs are used.")
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", help="A header; may be repeated.")
@actions_option
@json_option
def run_(
    name: str,
    kind: str | None,
    data: str | None,
    file: IO[str] | None,
    user: str | None,
    headers: tuple[str, ...],
    actions: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Run an action with a message, and show its requests, the replies and the outcome.

    Calls the real service, once for each page of a batch. Publishes nothing, and does not wait for a repeat. Hides
    secrets. Exit status: 0 if the message goes on or stops, 1 if it would repeat, wait or go to the trash.
    """
    if data is not None and file is not None:
        raise click.UsageError("give either --data or --file")
    settings = load_settings(log_level="warning")  # reasons hold what services say; they are shown without secrets
    configure_logs(settings)
    action = find_action(load(actions), name, kind)
    body = read_body(file) if file else json_of(data)
    from worker.cli.action_report import run_and_show  # noqa: PLC0415 - other commands need not wait for its import

    goes_on = run_and_show(settings, action, body, user, _headers(headers), as_json=as_json)
    sys.exit(0 if goes_on else 1)


def _headers(texts: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for name, equals, _ in pairs:
        if not (name and equals):
            raise click.UsageError(f"--header {name!r}: must be NAME=VALUE")
    return {name: value for name, _, value in pairs}
