"""What only the service knows is checked before it is saved."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.accounts import install, opened
from support.hooks import Shouter, ShouterServer

from applications.accounts import Accounts
from applications.errors import SettingsInvalid, TryLater


@pytest.fixture
async def server() -> AsyncIterator[ShouterServer]:
    async with ShouterServer().serve() as serving:
        yield serving


@pytest.fixture
async def accounts(tmp_path: Path) -> AsyncIterator[Accounts]:
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as found:
        yield found


async def save(accounts: Accounts, **given: Any) -> None:
    await accounts.save("alice", Shouter, {"authorization_form": given})


async def room(accounts: Accounts) -> Any:
    found = await accounts.installs.get("alice", "shouter")
    assert found is not None
    return accounts.installs.settings(found)["authorization_form"].get("room")


async def test_a_choice_that_the_service_does_not_have_is_told_beside_its_field(
    accounts: Accounts, server: ShouterServer
) -> None:
    await install(accounts, Shouter, server=server.base_url, token="t")
    await save(accounts, room="2")
    with pytest.raises(SettingsInvalid) as raised:
        await save(accounts, room="3")
    assert raised.value.errors == {"authorization_form": {"room": "'3' is none of 1, 2"}}
    assert await room(accounts) == "2"
    await save(accounts, room=None)
    assert await room(accounts) is None


async def test_the_service_is_asked_with_the_settings_that_come_along(
    accounts: Accounts, server: ShouterServer
) -> None:
    await install(accounts, Shouter, server="http://127.0.0.1:1/", token="t")
    with pytest.raises(SettingsInvalid, match=r"authorization_form\.room"):
        await save(accounts, server=server.base_url, room="3")
    await save(accounts, server=server.base_url, room="1")
    assert await room(accounts) == "1"


async def test_nothing_is_saved_while_the_service_does_not_tell(accounts: Accounts, server: ShouterServer) -> None:
    await install(accounts, Shouter, server=server.base_url, token="t")
    server.status = 500
    with pytest.raises(TryLater, match="shouter did not tell what can be chosen"):
        await save(accounts, room="1")
    assert await room(accounts) is None
    await save(accounts, token="another")  # nothing to choose


async def test_before_the_settings_suffice_for_a_call_nobody_is_asked(accounts: Accounts) -> None:
    await install(accounts, Shouter, room="7")
    assert await room(accounts) == "7"
