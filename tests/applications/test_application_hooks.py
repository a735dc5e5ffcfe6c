"""Hooks: what an application does when a user's install changes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.accounts import install_books, log_in, opened
from support.hooked import Hooked
from support.oauth_server import OAuthServer

from applications import lifecycle
from applications.accounts import Accounts
from applications.errors import HookFailed, InstalledAlready, NotInstalled, NotReady, SettingsInvalid
from applications.http.client import Client
from applications.install import Install
from applications.lifecycle import Hook, Lifecycle

Lines = Sequence[Mapping[str, Any]]
ENDS = (SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError(), StopIteration())


@pytest.fixture
async def server() -> AsyncIterator[OAuthServer]:
    async with OAuthServer().serve() as serving:
        yield serving


@pytest.fixture
async def accounts(tmp_path: Path) -> AsyncIterator[Accounts]:
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as found:
        yield found


def asked(server: OAuthServer) -> list[tuple[str, str]]:
    """Return what the hooks have told the service, and with which token."""
    return [(call.path, call.headers["authorization"]) for call in server.api_calls]


async def test_each_change_has_its_hook(accounts: Accounts, server: OAuthServer) -> None:
    await install_books(accounts, server, application=Hooked)
    token = await log_in(accounts, server, application=Hooked)
    changes, by = Lifecycle(accounts), f"Bearer {token.access_token}"
    await changes.switch(Hooked, "alice", is_enabled=False)
    await changes.switch(Hooked, "alice", is_enabled=True)
    await changes.uninstall(Hooked, "alice")
    revoked = f"/api/after_uninstall/True/{token.refresh_token}"
    assert asked(server) == [("/api/after_disable/False", by), ("/api/after_enable/True", by), (revoked, by)]
    assert await accounts.installs.get("alice", "hooked") is None


async def test_an_install_without_login_has_a_client_that_says_so(accounts: Accounts, server: OAuthServer) -> None:
    seen: list[Install] = []

    class New(Hooked):
        async def after_install(self, install: Install, client: Client) -> None:
            seen.append(install)
            with pytest.raises(NotReady, match="has not logged in"):
                await client.get("/anything")

    settings = {"authorization_form": {"client_id": "c", "client_secret": "s", "server": server.base_url}}
    await Lifecycle(accounts).install(New, "alice", settings, is_enabled=False)
    (install,) = seen
    assert (install.user, install.application, install.is_enabled) == ("alice", "hooked", False)
    with pytest.raises(InstalledAlready, match="orchesty-worker installs set hooked alice"):
        await Lifecycle(accounts).install(New, "alice", is_enabled=True)
    assert len(seen) == 1


async def test_what_cannot_be_saved_is_not_installed_and_has_no_hook(accounts: Accounts) -> None:
    class Never(Hooked):
        async def after_install(self, install: Install, client: Client) -> None:
            raise AssertionError("it is not installed")

    with pytest.raises(SettingsInvalid):
        await Lifecycle(accounts).install(Never, "alice", {"authorization_form": {"server": "?"}}, is_enabled=True)
    assert await accounts.installs.get("alice", "hooked") is None


async def test_a_hook_that_fails_is_told_and_the_change_stays(
    accounts: Accounts, server: OAuthServer, log_lines: Lines
) -> None:
    class Failing(Hooked):
        async def after_disable(self, install: Install, client: Client) -> None:
            token = await client.token()
            assert token is not None
            raise KeyError(f"no place for {token.access_token}")

    await install_books(accounts, server, application=Failing)
    token = await log_in(accounts, server, application=Failing)
    with pytest.raises(HookFailed, match=r"after_disable .* KeyError: .*\[hidden\].* in after_disable\)") as failed:
        await Lifecycle(accounts).switch(Failing, "alice", is_enabled=False)
    install = await accounts.installs.get("alice", "hooked")
    assert install is not None
    assert install.state == "disabled"
    (line,) = [line for line in log_lines if line["event"] == "hook_failed"]
    assert (line["application"], line["userId"], line["hook"]) == ("hooked", "alice", "after_disable")
    assert token.access_token not in f"{line} {failed.value}"


async def test_nobody_is_asked_about_an_install_that_is_not_there(accounts: Accounts, server: OAuthServer) -> None:
    changes = Lifecycle(accounts)
    for change in (
        changes.uninstall(Hooked, "alice"),
        changes.switch(Hooked, "alice", is_enabled=True),
        changes.run(Hook.ENABLE, Hooked, "alice"),
    ):
        with pytest.raises(NotInstalled):
            await change
    assert server.api_calls == []


async def test_a_hook_runs_alone_for_a_change_that_somebody_else_made(accounts: Accounts, server: OAuthServer) -> None:
    await install_books(accounts, server, application=Hooked)
    token = await log_in(accounts, server, application=Hooked)
    await accounts.installs.enable("alice", "hooked", is_enabled=False)
    await Lifecycle(accounts).run(Hook.DISABLE, Hooked, "alice")
    assert asked(server) == [("/api/after_disable/False", f"Bearer {token.access_token}")]


async def hang(install: Install, client: Client) -> None:
    await asyncio.Event().wait()


def exits(error: BaseException) -> Callable[..., Any]:
    async def hook(install: Install, client: Client) -> None:
        raise error

    return hook


@pytest.mark.parametrize(
    ("hook", "told"),
    [
        *((exits(error), type(error).__name__) for error in ENDS),
        (hang, "TimeoutError: it took longer than 0.05 s"),
        (exits(TimeoutError("the service is slow")), "TimeoutError: the service is slow"),
        (lambda: None, "TypeError"),
        (exits(ExceptionGroup("both", [KeyError("a")])), "ExceptionGroup: both"),
    ],
)
async def test_whatever_a_hook_does_the_person_is_told_and_the_change_stays(
    hook: Callable[..., Any], told: str, accounts: Accounts, log_lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "HOOK_SECONDS", 0.05)
    odd = type("Odd", (Hooked,), {"after_install": staticmethod(hook)})
    with pytest.raises(HookFailed) as failed:
        await Lifecycle(accounts).install(odd, "alice", is_enabled=True)
    assert told in str(failed.value)
    assert await accounts.installs.get("alice", "hooked") is not None
    assert [line["hook"] for line in log_lines if line["event"] == "hook_failed"] == ["after_install"]


async def test_a_hook_that_is_not_async_is_run_too(accounts: Accounts) -> None:
    heard: list[str] = []
    plain = type("Plain", (Hooked,), {"after_install": lambda self, install, client: heard.append(install.user)})
    await Lifecycle(accounts).install(plain, "alice", is_enabled=True)
    assert heard == ["alice"]


async def test_a_change_that_is_cancelled_is_not_told_as_a_failing_hook(accounts: Accounts, log_lines: Lines) -> None:
    began = asyncio.Event()

    class Slow(Hooked):
        async def after_install(self, install: Install, client: Client) -> None:
            began.set()
            await asyncio.Event().wait()

    change = asyncio.create_task(Lifecycle(accounts).install(Slow, "alice", is_enabled=True))
    await began.wait()
    change.cancel()
    with pytest.raises(asyncio.CancelledError):
        await change
    assert not [line for line in log_lines if line["event"] == "hook_failed"]
