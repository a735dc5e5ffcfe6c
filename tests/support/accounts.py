"""Accounts for tests: a database of their own, a key, and installs with tokens."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from applications import Application, Token, read_token
from applications.accounts import Accounts
from applications.crypt import Keyring, new_key
from applications.install import Install
from support.oauth_application import Books
from support.oauth_server import CLIENT, SECRET, OAuthServer
from worker.accounts.sealing import SealedFields
from worker.accounts.sql import InstallsDatabase, SqlAccounts
from worker.webhooks.deliveries import Deliveries
from worker.webhooks.store import Webhooks

KEY = new_key("test")


@asynccontextmanager
async def opened(url: str, directory: Path, key: str = KEY) -> AsyncIterator[Accounts]:
    """Open the accounts of a database."""
    accounts = open_accounts(url, directory, key)
    try:
        yield accounts
    finally:
        await accounts.close()


def open_accounts(url: str, directory: Path, key: str = KEY) -> Accounts:
    """Return the accounts of a database."""
    keyring = Keyring.read(key)
    return Accounts(SqlAccounts(InstallsDatabase(url), keyring), keyring, directory / "journal")


def database_of(accounts: Accounts) -> InstallsDatabase:
    """Return the database that they are kept in."""
    assert isinstance(accounts._store, SqlAccounts)
    return accounts._store.database


def sealed_token_of(install: Install) -> str | None:
    """Return a token as the database has it."""
    assert isinstance(install.sealed, SealedFields)
    return install.sealed.sealed_token


def webhooks_of(accounts: Accounts) -> Webhooks:
    """Return the webhooks beside the accounts."""
    return Webhooks(database_of(accounts), accounts.installs.keyring)


def deliveries_of(accounts: Accounts) -> Deliveries:
    """Return the deliveries beside the accounts, as one more process sees them."""
    return Deliveries(database_of(accounts))


async def install(accounts: Accounts, application: type[Application], user: str = "alice", **settings: Any) -> None:
    """Install with settings of the authorization form."""
    assert await accounts.installs.add(user, application.key, is_enabled=True)
    if settings:
        await accounts.save(user, application, {"authorization_form": settings})


async def install_books(
    accounts: Accounts, server: OAuthServer, user: str = "alice", *, application: type[Application] = Books
) -> None:
    """Install an application of the server, without a login."""
    await install(accounts, application, user, client_id=CLIENT, client_secret=SECRET, server=server.base_url)


async def log_in(
    accounts: Accounts, server: OAuthServer, user: str = "alice", *, age: float = 0,
    application: type[Application] = Books,
) -> Token:  # fmt: skip
    """Put a token of the server into the install, as if it had been issued `age` seconds ago."""
    token = read_token(server.new_token(), time.time() - age)
    await put_token(accounts, user, application.key, token)
    return token


async def put_token(accounts: Accounts, user: str, application: str, token: Token) -> None:
    """Save a token as a login does."""
    assert await accounts.installs.save_login(user, application, token)
    accounts.forget(user, application)


def without_refresh(token: Token) -> Token:
    """Return the token without its refresh token."""
    return replace(token, refresh_token=None)
