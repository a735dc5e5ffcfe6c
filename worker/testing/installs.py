"""An application's install for a test: real accounts, in a folder that goes away."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from applications import Application, Token
from applications.accounts import Accounts
from applications.authentication import TokenAuthentication
from applications.crypt import Keyring, new_key
from applications.forms import FieldFacts
from applications.http.transport import Transport
from connectors.http import FindAccess
from worker.accounts.opening import UserAccess
from worker.accounts.sql import SqlAccounts
from worker.testing.databases import new_installs
from worker.testing.transports import no_network

AN_HOUR: Final = 3600


@asynccontextmanager
async def installed(
    application: type[Application],
    settings: Mapping[str, Any] | None = None,
    *,
    user: str = "alice",
    token: Token | None = None,
    token_endpoint: Transport | None = None,
) -> AsyncIterator[FindAccess]:
    """Install an application for a user: `async with installed(Shop, {"token": "t"}) as access`.

    Give `access` to `run_action` or `InMemoryTopology`, with the same user. `settings` are those of the forms, by
    field; what a login brings, such as an account's id, is named the same way. Required ones that are not given are
    made up. `token` is that of a login, by default an hour old. `token_endpoint` answers when the token is renewed;
    without it a renewal fails the test. Raises `SettingsInvalid` for settings that do not fit their forms.
    """
    with TemporaryDirectory(prefix="orchesty-worker-") as folder:
        keyring = Keyring.read(new_key("test"))
        accounts = Accounts(
            SqlAccounts(new_installs(folder), keyring),
            keyring,
            Path(folder, "journal"),
            token_transport=token_endpoint or no_network(),
        )
        try:
            await _install(accounts, application, user, settings or {}, token or _old_token())
            yield UserAccess(accounts)
        finally:
            await accounts.close()


async def _install(
    accounts: Accounts, application: type[Application], user: str, given: Mapping[str, Any], token: Token
) -> None:
    installs, fields, left = accounts.installs, list(_fields(application)), dict(given)
    await installs.add(user, application.key, is_enabled=True)
    values: dict[str, dict[str, Any]] = {}
    for form, field in fields:
        if field.key in left or field.is_required:
            values.setdefault(form, {})[field.key] = left.pop(field.key, None) or made_up(field)
    await accounts.save(user, application, values)
    install = await installs.get(user, application.key)
    assert install is not None, "it was just added"
    lacking = application.missing_for_calls(application.text_settings(installs.settings(install), left))
    await installs.save_plain(install, left | {name: f"{name} of the test" for name in lacking})
    if isinstance(application.authentication, TokenAuthentication):
        await installs.save_login(user, application.key, token)
    accounts.forget(user, application.key)


def _fields(application: type[Application]) -> list[tuple[str, FieldFacts]]:
    return [(form.key, field) for form in application.form_facts() for field in form.fields]


def made_up(field: FieldFacts) -> Any:
    """Return a value for a field that a test does not name."""
    if field.choices:
        return next(iter(field.choices))
    return {"url": "https://service.example", "number": 1, "checkbox": True}.get(field.type, f"{field.key}-of-the-test")


def _old_token() -> Token:
    return Token("access-token-of-the-test", "refresh-token-of-the-test", obtained=time.time() - AN_HOUR)
