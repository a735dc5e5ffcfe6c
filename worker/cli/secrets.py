"""`orchesty-worker secrets`."""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime

import click
from rich.progress import Progress

from applications.errors import ApplicationError
from worker.cli.accounts import installs_option, opened_with_webhooks
from worker.cli.printing import say
from worker.cli.terminal import progress
from worker.settings.settings import Settings, load_settings


@click.command(
    epilog="""\b
Examples:
  orchesty-worker secrets generate > keys.txt
  orchesty-worker secrets generate --id 2027 | cat - keys.txt > newest-first.txt
"""
)
@click.option("--id", "key_id", help="The key's name.  [default: the current time]")
def generate(key_id: str | None) -> None:
    """Make a key. Store it apart from the database: whoever has both can read everything.

    The first key of WORKER_SECRET_KEYS encrypts, so put a new key before the old ones.
    """
    from applications.crypt import Keyring, new_key  # noqa: PLC0415 - not for every command

    key = new_key(key_id or f"{datetime.now(UTC):%Y%m%dT%H%M%S}")
    try:
        Keyring.read(key)
    except ApplicationError:
        raise click.UsageError("an id has up to 32 letters, digits, - and _") from None
    say(key)


@click.command(
    epilog="""\b
Example: put a new key before the old one, rotate, then remove the old one
  orchesty-worker secrets generate | cat - keys.txt > both.txt && mv both.txt keys.txt
  orchesty-worker secrets rotate
"""
)
@installs_option
def rotate(installs_url: str | None) -> None:
    """Re-encrypt everything with the newest key, the first of WORKER_SECRET_KEYS.

    Workers may keep running if they have all keys. The exit status is 1 if something could not be decrypted.
    """
    asyncio.run(_rotate(load_settings(installs_url=installs_url)))


async def _rotate(settings: Settings) -> None:
    failed: list[str] = []
    async with opened_with_webhooks(settings) as (accounts, stored):
        found = await accounts.installs.list()
        webhooks = await stored.ids()
        with progress("rotated", len(found) + len(webhooks)) as bar:
            done = [await _tried(accounts.installs.rotate(install), bar, failed) for install in found]
            called = [await _tried(stored.rotate(webhook), bar, failed) for webhook in webhooks]
    newest = next((f" with the key {name!r}" for name in accounts.installs.keyring.key_ids), "")
    say(f"{sum(done)} of {len(found)} installs re-encrypted{newest}")
    if webhooks:
        say(f"{sum(called)} of {len(webhooks)} webhooks re-encrypted{newest}")
    if failed:
        raise click.ClickException("\n  ".join([f"{len(failed)} could not be re-encrypted:", *failed]))


async def _tried(rotation: Awaitable[bool], bar: Progress, failed: list[str]) -> bool:
    """Return whether something was changed; an error is added to the failed."""
    try:
        return await rotation
    except ApplicationError as error:
        failed.append(str(error))
        return False
    finally:
        bar.advance(bar.task_ids[0])
