"""The users' accounts at services, as the worker opens them."""

import ssl
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from applications import Application
from applications.access import Access
from applications.authentication import TokenAuthentication
from applications.errors import KeyMissing
from applications.http.egress import Egress, Guarded
from applications.http.route import ENVIRONMENT, Route
from connectors.http import of_class
from connectors.secrets import keep_own
from worker.errors import SettingsError
from worker.settings.settings import Settings
from worker.urls import secrets_in

if TYPE_CHECKING:
    from applications.accounts import Accounts
    from applications.crypt import Keyring
    from applications.store import AccountStore
    from worker.accounts.sql import InstallsDatabase, SqlAccounts
    from worker.documents.client import DocumentClient

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class OpenAccounts:
    """The accounts, with the database that they share with webhooks."""

    accounts: "Accounts"
    database: "InstallsDatabase"
    documents: "DocumentClient | None" = None
    """The platform's, where it keeps the installs."""

    async def close(self) -> None:
        """Let refreshes end, then close the connections."""
        await self.accounts.close()


def read_keyring(settings: Settings) -> "Keyring":
    """Read the keys from the environment or the file. Raises `SettingsError` for what is no key."""
    # Imported here, as below: who uses no application need not wait for it.
    from applications.crypt import Keyring  # noqa: PLC0415 - see above

    try:
        if settings.secret_keys is not None:
            return Keyring.read(settings.secret_keys.get_secret_value())
        if settings.secret_keys_file is None and settings.crypt_secret is not None:
            return Keyring.derived("crypt-secret", settings.crypt_secret.get_secret_value())
        keys = settings.secret_keys_file.read_text() if settings.secret_keys_file else ""
        keep_own(secrets_in(keys))
        return Keyring.read(keys)
    except OSError as error:
        raise SettingsError(f"WORKER_SECRET_KEYS_FILE: {error.filename}: {error.strerror}") from None
    except KeyMissing as error:
        raise SettingsError(str(error)) from None


def has_keys(settings: Settings) -> bool:
    """Whether keys for secrets are named, without which nothing can be installed."""
    named = (settings.secret_keys, settings.secret_keys_file, settings.crypt_secret)
    return any(one is not None for one in named)


def route_to_services(settings: Settings) -> Route:
    """Return how all requests to services are sent. Raises `SettingsError` for a file without certificates."""
    try:
        if settings.ca_file is not None:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(settings.ca_file)
    except OSError as error:
        raise SettingsError(f"WORKER_CA_FILE has no certificates in PEM: {error.strerror or error}") from None
    egress = Egress(Guarded(settings.egress), settings.egress_allow)
    named = settings.outgoing_proxy_url
    proxy = named.get_secret_value() if named else ENVIRONMENT
    return Route(egress, proxy, settings.ca_file, settings.max_head_bytes)


def open_accounts(settings: Settings) -> OpenAccounts:
    """Open the accounts. Raises `SettingsError` for another kind of database."""
    from applications.accounts import Accounts  # noqa: PLC0415 - as above
    from worker.accounts.sql import InstallsDatabase, SqlAccounts  # noqa: PLC0415 - as above

    try:
        database = InstallsDatabase(settings.installs_address)
        keyring = read_keyring(settings)
        documents = _documents(settings)
        own = SqlAccounts(database, keyring)
        store = _shared(settings, documents, own, keyring) if documents else own
        accounts = Accounts(store, keyring, settings.token_journal)
        accounts.take(route_to_services(settings))
        return OpenAccounts(accounts, database, documents)
    except ValueError as error:
        raise SettingsError(f"WORKER_INSTALLS_URL (else WORKER_DATABASE_URL) {error}") from None


def _documents(settings: Settings) -> "DocumentClient | None":
    if not settings.shares_installs:
        return None
    from worker.documents.client import DocumentClient  # noqa: PLC0415 - as above

    return DocumentClient(settings.worker_api_url, settings.platform_key)


def _shared(
    settings: Settings, documents: "DocumentClient", notes: "SqlAccounts", keyring: "Keyring"
) -> "AccountStore":
    """Return the installs in the documents of the platform, with notes in our own database."""
    from worker.accounts.platform import PlatformAccounts  # noqa: PLC0415 - as above
    from worker.documents.cipher import PlatformCipher  # noqa: PLC0415 - as above

    try:
        cipher = PlatformCipher(settings.crypt_secret.get_secret_value() if settings.crypt_secret else "")
    except KeyMissing as error:
        raise SettingsError(str(error)) from None
    return PlatformAccounts(documents, cipher, notes, keyring)


def open_needed(settings: Settings, needing: Collection[type[Application]]) -> OpenAccounts | None:
    """Open the accounts where applications need an install; None when none of them does.

    With a key they are opened in any case: services may call.

    Raises `SettingsError` when there is no key for the secrets.
    """
    if not needing and not has_keys(settings):
        return None
    if not read_keyring(settings).key_ids:
        keys = ", ".join(sorted(found.key for found in needing))
        raise SettingsError(
            f"the users' settings of {keys} are kept encrypted, and there is no key for them. Set WORKER_SECRET_KEYS "
            "or WORKER_SECRET_KEYS_FILE; make a key with: orchesty-worker secrets generate"
        )
    if any(isinstance(found.authentication, TokenAuthentication) for found in needing):
        _try_journal(settings)
    return open_accounts(settings)


def _try_journal(settings: Settings) -> None:
    from applications.journal import Journal  # noqa: PLC0415 - as above

    if problem := Journal(settings.token_journal).problem():
        log.warning("token_journal_unwritable", cause=problem, cure="Set WORKER_TOKEN_JOURNAL")


async def without_installs(application: type[Application], user: str, sdk: str = "") -> Access:
    """Find the way to a service where nobody can have an install. Raises `KeyMissing` if the application needs one."""
    if not application.needs_install():
        return await of_class(application, user, sdk)
    raise KeyMissing(
        f"{application.key} needs an install, and there is no key to keep one: set WORKER_SECRET_KEYS or "
        "WORKER_SECRET_KEYS_FILE; make a key with: orchesty-worker secrets generate"
    )


class UserAccess:
    """Finds the way of a user to a service: by the user's install, where the application needs one."""

    def __init__(self, accounts: "Accounts") -> None:
        self.accounts = accounts

    async def __call__(self, application: type[Application], user: str, sdk: str = "") -> Access:
        """Return the way. Raises as `Accounts.access`."""
        return await (self.accounts.access if application.needs_install() else of_class)(application, user, sdk)
