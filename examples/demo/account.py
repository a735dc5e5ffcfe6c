"""The user of the demonstration: an install with a secret, encrypted with a key that is made for one run."""

from pathlib import Path

from examples.demo.actions import Tally
from worker.accounts.opening import open_accounts
from worker.settings.settings import Settings

USER = "ada"
INSTALLS = Path("var/demo/installs.sqlite")


async def install(settings: Settings, token: str) -> None:
    """Give the user the tally, as `orchesty-worker installs add tally ada token` does."""
    accounts = open_accounts(settings).accounts
    try:
        await accounts.installs.add(USER, Tally.key, is_enabled=True)
        await accounts.save(USER, Tally, {"authorization_form": {"token": token}})
    finally:
        await accounts.close()


def shows(token: str) -> bool:
    """Whether the token can be read in the database, or in what SQLite keeps beside it."""
    return any(token.encode() in path.read_bytes() for path in INSTALLS.parent.glob(f"{INSTALLS.name}*"))
