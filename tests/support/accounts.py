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
from support.databases import MakeDatabase
from support.installation.worker_api import KEY as API_KEY
from support.installation.worker_api import WorkerApi
from support.oauth_application import Books
from support.oauth_server import CLIENT, SECRET, OAuthServer
from worker.accounts.platform import PlatformAccounts
from worker.accounts.sealing import SealedFields
from worker.accounts.sql import InstallsDatabase, SqlAccounts
from worker.documents.cipher import PlatformCipher
from worker.documents.client import DocumentClient
from worker.webhooks.deliveries import Deliveries
from worker.webhooks.documents import PlatformWebhooks
from worker.webhooks.sql import SqlWebhooks
from worker.webhooks.store import Webhooks

KEY = new_key("test")
CRYPT_SECRET = "secret-of-the-platform"


@asynccontextmanager
async def opened(url: str, directory: Path, key: str = KEY) -> AsyncIterator[Accounts]:
    """Open the accounts of a database."""
    accounts = open_accounts(url, directory, key)
    try:
        yield accounts
    finally:
        await accounts.close()


@asynccontextmanager
async def opened_at_platform(
    api_url: str, url: str, directory: Path, secret: str = CRYPT_SECRET, key: str = KEY
) -> AsyncIterator[Accounts]:
    """Open the accounts of a platform, with notes in a database."""
    keyring = Keyring.read(key)
    notes, client = SqlAccounts(InstallsDatabase(url), keyring), DocumentClient(api_url, API_KEY)
    store = PlatformAccounts(client, PlatformCipher(secret), notes, keyring)
    accounts = Accounts(store, keyring, directory / "journal")
    try:
        yield accounts
    finally:
        await accounts.close()


@asynccontextmanager
async def opened_as(kind: str, make_database: MakeDatabase, directory: Path) -> AsyncIterator[Accounts]:
    """Open accounts in a database of their own: `sqlite`, `postgresql`, or at a `platform` of their own."""
    if kind != "platform":
        async with opened(make_database(kind), directory) as found:
            yield found
        return
    async with WorkerApi().running() as api, opened_at_platform(api.url, make_database("sqlite"), directory) as found:
        yield found


def open_accounts(url: str, directory: Path, key: str = KEY) -> Accounts:
    """Return the accounts of a database."""
    keyring = Keyring.read(key)
    return Accounts(SqlAccounts(InstallsDatabase(url), keyring), keyring, directory / "journal")


def database_of(accounts: Accounts) -> InstallsDatabase:
    """Return the database that they are kept in."""
    store = accounts._store._notes if isinstance(accounts._store, PlatformAccounts) else accounts._store
    assert isinstance(store, SqlAccounts)
    return store.database


def sealed_token_of(install: Install) -> str | None:
    """Return a token as the database has it."""
    assert isinstance(install.sealed, SealedFields)
    return install.sealed.sealed_token


def webhooks_of(accounts: Accounts) -> Webhooks:
    """Return the webhooks beside the accounts."""
    if isinstance(accounts._store, PlatformAccounts):
        return PlatformWebhooks(accounts._store._documents, accounts.installs.keyring)
    return SqlWebhooks(database_of(accounts), accounts.installs.keyring)


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
