"""`orchesty-worker secrets`."""

import asyncio
from datetime import UTC, datetime

import click

from applications import ApplicationError
from worker.cli.accounts import installs_option, opened
from worker.cli.trash.store import progress
from worker.settings import Settings, load_settings


@click.group(
    epilog="""\b
Examples:
  orchesty-worker secrets generate >> keys.txt
  orchesty-worker secrets rotate
"""
)
def secrets() -> None:
    """Make and change the keys that the settings and tokens of installs are encrypted with."""


@secrets.command(
    epilog="""\b
Examples:
  orchesty-worker secrets generate >> keys.txt
  orchesty-worker secrets generate --id 2027
"""
)
@click.option("--id", "key_id", help="Its name; the time when it was made unless given.")
def generate(key_id: str | None) -> None:
    """Make a key. Keep it where the database is not; who has both reads everything."""
    from applications.crypt import Keyring, new_key  # noqa: PLC0415 - not for every command

    key = new_key(key_id or f"{datetime.now(UTC):%Y%m%dT%H%M%S}")
    try:
        Keyring.read(key)
    except ApplicationError:
        raise click.UsageError("an id has up to 32 letters, digits, - and _") from None
    click.echo(key)


@secrets.command(
    epilog="""\b
Example: put a new key before the old one, rotate, then take the old one away
  orchesty-worker secrets rotate
"""
)
@installs_option
def rotate(installs_url: str | None) -> None:
    """Encrypt everything anew with the newest key, the first of WORKER_SECRET_KEYS.

    Workers may go on meanwhile, when they have all keys. Ends with status 1 when something could not be opened.
    """
    asyncio.run(_rotate(load_settings(installs_url=installs_url)))


async def _rotate(settings: Settings) -> None:
    changed, failed = 0, []
    async with opened(settings) as accounts:
        found = await accounts.installs.list()
        with progress("rotated", len(found)) as bar:
            for install in found:
                try:
                    changed += await accounts.installs.rotate(install)
                except ApplicationError as error:
                    failed.append(str(error))
                bar.advance(bar.task_ids[0])
    click.echo(f"{changed} of {len(found)} installs encrypted anew")
    if failed:
        raise click.ClickException("\n  ".join([f"{len(failed)} could not be:", *failed]))
