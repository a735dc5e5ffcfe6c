"""Documents of the platform with a field of another type, as a service in another language may write them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.accounts import CRYPT_SECRET, opened_at_platform, webhooks_of
from support.installation.worker_api import WorkerApi

from applications.accounts import Accounts
from applications.catalogue.github import GitHub
from applications.errors import ApplicationError
from worker.documents.cipher import PlatformCipher

ODD: tuple[Any, ...] = (None, 5, True, "x", [], ["x"], {}, {"a": 1}, 1.5, "\0", 1e300)
SEALED = PlatformCipher(CRYPT_SECRET).seal({"authorization_form": {"token": "t"}})
HOSTILE = (
    "user",
    "key",
    "sdk",
    "encryptedSettings",
    "settings",
    "nonEncryptedSettings",
    "created",
    "expires",
    "enabled",
)


@pytest.fixture
async def api() -> AsyncIterator[WorkerApi]:
    async with WorkerApi().running() as found:
        yield found


@pytest.fixture
async def accounts(api: WorkerApi, tmp_path: Path) -> AsyncIterator[Accounts]:
    async with opened_at_platform(api.url, f"sqlite:///{tmp_path}/notes.sqlite", tmp_path) as found:
        yield found


async def settings_of(accounts: Accounts, user: str) -> object:
    """Return the settings of an install, or the error that tells of it."""
    try:
        found = await accounts.installs.find(user, "git-hub")
        return None if found is None else (dict(found.plain), accounts.installs.settings(found))
    except ApplicationError as error:
        return error


@pytest.mark.parametrize("field", HOSTILE)
async def test_a_field_of_another_type_spoils_no_other_install(api: WorkerApi, accounts: Accounts, field: str) -> None:
    alice = {"user": "alice", "key": "git-hub", "enabled": True, "encryptedSettings": SEALED}
    api.add("ApplicationInstall", **alice)
    for at, odd in enumerate(ODD):
        plain = {"nonEncryptedSettings": {"since": 1}, "encryptedSettings": "" if field == "settings" else SEALED}
        api.add("ApplicationInstall", **{"user": f"user-{at}", "key": "git-hub", "enabled": True, **plain, field: odd})
    api.documents["ApplicationInstall"].append({"user": "nobody's", "deleted": False})
    users = {install.user for install in await accounts.installs.list()}
    assert users <= {"alice", "x", *(f"user-{at}" for at in range(len(ODD)))}
    assert (await accounts.access(GitHub, "alice")).fields["token"] == "t"
    assert {one.user for one in await accounts.installs.among(["alice", "user-0"], ["git-hub"])} >= {"alice"}
    for user in sorted(users):
        await settings_of(accounts, user)


@pytest.mark.parametrize("expires", [*ODD, "Infinity", "nan", "9" * 400, -5, "1e99"])
async def test_a_token_ends_when_its_document_says_so_or_at_no_known_time(
    api: WorkerApi, accounts: Accounts, expires: Any
) -> None:
    token = {"accessToken": "a", "expires": expires, "others": {"expires_in": expires}}
    sealed = PlatformCipher(CRYPT_SECRET).seal({"authorization_form": {"token": token}})
    api.add("ApplicationInstall", user="alice", key="git-hub", enabled=True, encryptedSettings=sealed)
    (found,) = await accounts.installs.list()
    assert found.sealed.has_token


async def test_a_webhook_of_another_shape_hides_no_other(api: WorkerApi, accounts: Accounts) -> None:
    store = webhooks_of(accounts)
    made = await store.add("alice", "shop", "order", "t1", "n1")
    for odd in ODD:
        spoilt = dict.fromkeys(("user", "application", "node", "token", "parameters", "workerSecret"), odd)
        api.add("Webhook", **spoilt)
    token = store.secrets(made).token
    assert await store.called([token]) == {token: made}
    assert made in await store.list()
    for webhook in await store.list():
        if webhook != made:
            assert webhook.user in {"", *map(str, ODD)}
