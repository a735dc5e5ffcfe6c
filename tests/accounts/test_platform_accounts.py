"""Installs in the documents of the platform, which other services change as well."""

import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from support.accounts import CRYPT_SECRET, install, install_books, log_in, opened_at_platform
from support.installation.worker_api import WorkerApi
from support.oauth_application import Books
from support.oauth_server import CLIENT, SECRET, OAuthServer

from applications import Token
from applications.accounts import Accounts
from applications.catalogue.github import GitHub
from applications.errors import CannotDecrypt, InstallsAway, NeedsReconnect
from applications.installs import ChangedMeanwhile
from worker.accounts.platform_settings import read_token, written_token
from worker.documents.cipher import PlatformCipher
from worker.documents.client import DocumentTooLarge

CIPHER = PlatformCipher(CRYPT_SECRET)


@pytest.fixture
async def api() -> AsyncIterator[WorkerApi]:
    async with WorkerApi().running() as found:
        yield found


@pytest.fixture
async def accounts(api: WorkerApi, tmp_path: Path) -> AsyncIterator[Accounts]:
    async with opened_at_platform(api.url, f"sqlite:///{tmp_path}/notes.sqlite", tmp_path) as found:
        yield found


@pytest.fixture
async def server() -> AsyncIterator[OAuthServer]:
    async with OAuthServer().serve() as found:
        yield found


def settings_in(api: WorkerApi) -> Any:
    (document,) = api.kept("ApplicationInstall")
    return CIPHER.open(document["encryptedSettings"])


def change(api: WorkerApi, **forms: Mapping[str, Any]) -> None:
    """Change settings as a service of Node.js does: it merges, and writes the whole document."""
    (document,) = api.kept("ApplicationInstall")
    held = CIPHER.open(document["encryptedSettings"])
    merged = {form: {**(held.get(form) or {}), **forms.get(form, {})} for form in {**held, **forms}}
    document["encryptedSettings"] = CIPHER.seal(merged)


def node_token(access: str, refresh: str, expires: float) -> dict[str, Any]:
    return written_token(Token(access, refresh, expires=expires, others={"token_type": "Bearer"}), None)


async def test_a_document_is_as_the_sdks_write_it(api: WorkerApi, accounts: Accounts) -> None:
    await install(accounts, GitHub, token="canary")
    assert await accounts.installs.add("bob", "git-hub", "php", is_enabled=False)
    first, second = api.kept("ApplicationInstall")
    assert CIPHER.open(first["encryptedSettings"]) == {"authorization_form": {"token": "canary"}}
    assert {name: first[name] for name in ("user", "key", "enabled", "deleted", "nonEncryptedSettings")} == {
        "user": "alice", "key": "git-hub", "enabled": True, "deleted": False, "nonEncryptedSettings": {},
    }  # fmt: skip
    assert ("sdk" in first, second["sdk"], second["encryptedSettings"], second["enabled"]) == (False, "php", "", False)
    assert first["created"].endswith(".000Z")


@pytest.mark.parametrize("user", ["a/b", "50%", "a:b", "a b", "a+b", "a&b#c", 'q"\\', "žluť"])
async def test_each_user_finds_only_the_own_install(api: WorkerApi, accounts: Accounts, user: str) -> None:
    for one in (user, "a b", user.replace("+", " ")):
        await accounts.installs.add(one, "git-hub", is_enabled=True)
    found = await accounts.installs.get(user, "git-hub")
    assert found is not None
    assert found.user == user
    assert [one.user for one in await accounts.installs.among([user], ["git-hub"])] == [user]
    assert await accounts.installs.remove(user, "git-hub")
    assert await accounts.installs.get(user, "git-hub") is None


async def test_what_another_service_saves_is_read_and_not_overwritten(api: WorkerApi, accounts: Accounts) -> None:
    await install(accounts, GitHub, token="first")
    before = await accounts.installs.get("alice", "git-hub")
    assert before is not None
    change(api, authorization_form={"token": "of node"}, limiter_form={"useLimit": "true", "value": "10", "time": "60"})
    with pytest.raises(ChangedMeanwhile):
        await accounts.installs.save_settings(before, {}, keeps_token=True)
    accounts.forget("alice", "git-hub")
    assert (await accounts.access(GitHub, "alice")).fields["token"] == "of node"
    assert await accounts.limits("alice", [GitHub]) == "alice|git-hub;60;10"
    await accounts.save("alice", GitHub, {"limiter_form": {"value": 5}})
    assert settings_in(api)["authorization_form"] == {"token": "of node"}


async def test_a_token_that_another_service_has_renewed_is_used(
    api: WorkerApi, accounts: Accounts, server: OAuthServer
) -> None:
    await install_books(accounts, server)
    await log_in(accounts, server, age=4000)
    before = await accounts.installs.get("alice", "books")
    assert before is not None
    fresh = server.new_token()
    renewed = node_token(fresh["access_token"], fresh["refresh_token"], time.time() + 3600)
    change(api, authorization_form={"token": renewed, "frontend_redirect_url": "https://page"})
    assert await accounts.installs.lease(before) is None
    assert not await accounts.installs.mark_dead(before, "the old refresh token is used up")
    client = await accounts.client(Books, "alice")
    assert (await client.get("/orders")).status == 200
    assert server.calls == []


async def test_what_a_refresh_brings_leaves_all_else_as_others_have_written_it(
    api: WorkerApi, accounts: Accounts, server: OAuthServer
) -> None:
    await install_books(accounts, server)
    await log_in(accounts, server, age=4000)
    change(api, authorization_form={"frontend_redirect_url": "https://page"}, own={"of": "node"})
    client = await accounts.client(Books, "alice")
    assert (await client.get("/orders")).status == 200
    held = settings_in(api)
    token = held["authorization_form"].pop("token")
    assert held == {
        "authorization_form": {
            "client_id": CLIENT, "client_secret": SECRET, "server": server.base_url,
            "frontend_redirect_url": "https://page",
        },
        "own": {"of": "node"},
    }  # fmt: skip
    assert token["accessToken"] == server.issued[-1]
    assert token["expires"].endswith("GMT+0000 (Coordinated Universal Time)")
    (document,) = api.kept("ApplicationInstall")
    assert document["expires"].endswith(".000Z")


async def test_a_renewed_token_survives_a_service_that_writes_the_old_one_over_it(
    api: WorkerApi, accounts: Accounts, server: OAuthServer
) -> None:
    await install_books(accounts, server)
    await log_in(accounts, server, age=4000)
    (document,) = api.kept("ApplicationInstall")
    stale, save = document["encryptedSettings"], api._save
    writes = 0

    def overwritten(collection: str, written: dict[str, Any]) -> None:
        nonlocal writes
        writes += 1
        save(collection, written)
        if writes == 1:
            document["encryptedSettings"] = stale

    api._save = overwritten  # type: ignore[method-assign]
    client = await accounts.client(Books, "alice")
    assert (await client.get("/orders")).status == 200
    assert (writes, len(server.calls)) == (2, 1)
    assert settings_in(api)["authorization_form"]["token"]["accessToken"] == server.issued[-1]


async def test_new_settings_or_a_new_login_of_another_service_heal_a_dead_login(
    api: WorkerApi, accounts: Accounts, server: OAuthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.documents.client.FRESH_SECONDS", 0)
    await install_books(accounts, server)
    for healing in ({"client_secret": "another"}, {"token": node_token("new", "new", time.time() + 3600)}):
        await log_in(accounts, server)
        found = await accounts.installs.get("alice", "books")
        assert found is not None
        assert await accounts.installs.mark_dead(found, "revoked")
        with pytest.raises(NeedsReconnect):
            await accounts.access(Books, "alice")
        change(api, authorization_form=healing)
        await accounts.access(Books, "alice")


async def test_of_installs_that_exist_twice_the_one_that_is_on_is_used(
    api: WorkerApi, accounts: Accounts, log_lines: Sequence[Mapping[str, Any]]
) -> None:
    for enabled, token in ((False, "off"), (True, "on"), (True, "later")):
        sealed = CIPHER.seal({"authorization_form": {"token": token}})
        api.add(
            "ApplicationInstall", user="alice", key="git-hub", enabled=enabled, encryptedSettings=sealed,
            nonEncryptedSettings={},
        )  # fmt: skip
    assert (await accounts.access(GitHub, "alice")).fields["token"] == "on"
    assert "install_twice" in [line["event"] for line in log_lines]
    assert len(await accounts.installs.list()) == 1
    assert await accounts.installs.remove("alice", "git-hub")
    assert api.kept("ApplicationInstall") == []


async def test_an_install_that_does_not_open_is_told_and_breaks_no_other(api: WorkerApi, accounts: Accounts) -> None:
    await install(accounts, GitHub, token="t")
    sealed = PlatformCipher("another").seal({"authorization_form": {"token": "canary"}})
    api.add("ApplicationInstall", user="bob", key="git-hub", enabled=True, encryptedSettings=sealed)
    assert [one.user for one in await accounts.installs.list()] == ["alice", "bob"]
    with pytest.raises(CannotDecrypt, match="bob / git-hub does not open: CRYPT_SECRET"):
        await accounts.access(GitHub, "bob")
    with pytest.raises(CannotDecrypt):
        await accounts.save("bob", GitHub, {"authorization_form": {"token": "x"}})
    assert api.kept("ApplicationInstall")[1]["encryptedSettings"] == sealed
    assert (await accounts.access(GitHub, "alice")).fields["token"] == "t"


async def test_settings_that_are_too_large_are_refused_and_nothing_is_lost(api: WorkerApi, accounts: Accounts) -> None:
    await install(accounts, GitHub, token="t")
    with pytest.raises(DocumentTooLarge, match="takes 102400"):
        await accounts.save("alice", GitHub, {"authorization_form": {"token": "x" * 100_000}})
    assert settings_in(api) == {"authorization_form": {"token": "t"}}
    accounts.forget("alice", "git-hub")
    assert (await accounts.access(GitHub, "alice")).fields["token"] == "t"


@pytest.mark.parametrize(
    ("reply", "said", "requests"),
    [
        (web.Response(status=500, text="{}"), "answered 500", 3),
        (web.Response(text="<html>", content_type="text/html"), "without JSON", 3),
        (web.json_response({"message": "Bad credentials"}, status=401), "ORCHESTY_API_KEY", 1),
        (web.json_response({"message": {"error": "mongo"}}), "mongo", 1),
        (web.json_response({"not": "a list"}), "no list", 1),
    ],
)
async def test_a_platform_that_does_not_answer_well_is_told(
    api: WorkerApi, accounts: Accounts, reply: web.Response, said: str, requests: int
) -> None:
    await install(accounts, GitHub, token="t")
    accounts.forget("alice", "git-hub")
    api.failing = reply
    api.requests.clear()
    with pytest.raises(InstallsAway, match=said):
        await accounts.installs.list()
    assert len(api.requests) == requests
    with pytest.raises(InstallsAway):
        await accounts.installs.enable("alice", "git-hub", is_enabled=False)
    api.failing = None
    assert (await accounts.access(GitHub, "alice")).fields["token"] == "t"


async def test_an_install_that_is_removed_meanwhile_is_not_saved(api: WorkerApi, accounts: Accounts) -> None:
    await install(accounts, GitHub, token="t")
    found = await accounts.installs.get("alice", "git-hub")
    assert found is not None
    save = api._save

    def removed(collection: str, written: dict[str, Any]) -> None:
        api.documents[collection].clear()
        save(collection, written)

    api._save = removed  # type: ignore[method-assign]
    with pytest.raises(ChangedMeanwhile):
        await accounts.installs.save_settings(found, {}, keeps_token=True)


async def test_nothing_secret_is_readable_at_the_platform_or_in_the_notes(
    api: WorkerApi, accounts: Accounts, server: OAuthServer, tmp_path: Path
) -> None:
    await install_books(accounts, server)
    await log_in(accounts, server, age=4000)
    await (await accounts.client(Books, "alice")).get("/orders")
    kept = json.dumps(api.documents) + str(api.requests)
    notes = files_of(tmp_path)
    for secret in (SECRET, *server.issued, *server.refresh_tokens):
        assert secret not in kept
        assert secret.encode() not in notes


def files_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("notes.sqlite*"))


@pytest.mark.parametrize(
    ("expires", "seconds"),
    [
        ("Tue Nov 24 2026 04:15:01 GMT+0000 (Coordinated Universal Time)", 1795493701.0),
        ("Tue Nov 24 2026 05:15:01 GMT+0100 (Central European Standard Time)", 1795493701.0),
        ("2026-11-24T04:15:01.000Z", 1795493701.0),
        (1795493701, 1795493701.0),
        (1795493701000, 1795493701.0),
        ("", None),
        ("soon", None),
        (None, None),
    ],
)
def test_the_end_of_a_token_is_read_as_sdks_write_it(expires: Any, seconds: float | None) -> None:
    found = read_token({"accessToken": "a", "expires": expires})
    assert found is not None
    assert found.expires == seconds


def test_a_token_of_php_stays_one() -> None:
    held = {"access_token": "a", "refresh_token": "r", "token_type": "Bearer", "expires": 1795493701, "others": []}
    token = read_token(held)
    assert token == Token("a", "r", expires=1795493701.0, others={"token_type": "Bearer"})
    assert written_token(Token("b", "s", expires=1.5), held) == {
        "access_token": "b", "refresh_token": "s", "token_type": "", "expires": 1, "others": {},
    }  # fmt: skip
