"""What an application has written itself: its methods may do anything, and end no more than their own work."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field, SecretStr
from support.accounts import opened

from applications import Application, Form, TokenExchange
from applications.accounts import Accounts
from applications.errors import ServiceAway, SettingsInvalid, TryLater
from applications.forms import Added, AtRunTime, Shown, show
from applications.http.client import Client
from applications.own_code import Exited, called

ENDS = [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()]


@pytest.fixture
async def accounts(tmp_path: Path) -> AsyncIterator[Accounts]:
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as found:
        yield found


class Place(Form):
    company: str = Field("", title="Company")
    note: str = Field("", title="Note")


class Fixed(Application):
    """Its company may not be changed, as only the service knows."""

    key = "fixed"
    forms = (Place,)
    is_fixed = True

    async def choices(self, client: Client) -> AtRunTime:
        """Say so."""
        return {"company": Shown(is_read_only=self.is_fixed), "note": ["a", "b"]}


async def test_what_is_read_only_at_run_time_is_not_saved(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    async def saved(**given: str) -> Mapping[str, Any]:
        await accounts.save("alice", Fixed, {"authorization_form": given})
        install = await accounts.installs.get("alice", "fixed")
        assert install is not None
        return accounts.installs.settings(install)["authorization_form"]

    await accounts.installs.add("alice", "fixed", is_enabled=True)
    monkeypatch.setattr(Fixed, "is_fixed", False)
    assert await saved(company="one", note="a") == {"company": "one", "note": "a"}
    monkeypatch.undo()
    assert await saved(company="two", note="b") == {"company": "one", "note": "b"}
    with pytest.raises(SettingsInvalid):
        await saved(note="c")


class Growing(Application):
    """Asks for a region where a company is filled in, and then for no note."""

    key = "growing"
    base_url = "https://{region}.growing.example"
    forms = (Place,)
    is_away = False

    async def choices(self, client: Client) -> AtRunTime:
        """Say so."""
        if self.is_away:
            raise ServiceAway("it is away", timedelta(seconds=1))
        region = Added(Literal["eu", "us"] | None, Field(None, title="Region"))
        return {"region": region, "seats": Added(int, Field(1, title="Seats", gt=0)), "note": Shown(is_hidden=True)}


async def test_fields_are_added_and_hidden_at_run_time(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Growing, "base_url", "https://growing.example")
    await accounts.installs.add("alice", "growing", is_enabled=True)
    await accounts.save(
        "alice", Growing, {"authorization_form": {"company": "one", "region": "eu", "seats": 3, "note": "x"}}
    )
    install = await accounts.installs.get("alice", "growing")
    assert install is not None
    stored = accounts.installs.settings(install)
    assert stored["authorization_form"] == {"company": "one", "region": "eu", "seats": 3}
    shown = show(Growing.form_facts(await accounts.shown_choices(Growing, install)), stored)["authorization_form"]
    told = [(field["key"], field["type"], field["value"], field["label"]) for field in shown["fields"]]
    assert told == [
        ("company", "text", "one", "Company"), ("region", "selectbox", "eu", "Region"), ("seats", "number", 3, "Seats"),
    ]  # fmt: skip
    monkeypatch.setattr(Growing, "base_url", "https://{region}.growing.example")
    assert (await accounts.access(Growing, "alice")).base_url == "https://eu.growing.example"
    for wrong in ({"region": "cz"}, {"seats": 0}):
        with pytest.raises(SettingsInvalid):
            await accounts.save("alice", Growing, {"authorization_form": wrong})


async def test_added_fields_stay_while_the_service_is_away(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Growing, "base_url", "")
    await accounts.installs.add("alice", "growing", is_enabled=True)
    await accounts.save("alice", Growing, {"authorization_form": {"region": "eu"}})
    monkeypatch.setattr(Growing, "is_away", True)
    with pytest.raises(TryLater):
        await accounts.save("alice", Growing, {"authorization_form": {"company": "two"}})
    await accounts.save("alice", Growing, {"limiter_form": {"useLimit": False}})
    install = await accounts.installs.get("alice", "growing")
    assert install is not None
    assert accounts.installs.settings(install)["authorization_form"] == {"region": "eu"}


def test_a_secret_cannot_be_added_at_run_time() -> None:
    with pytest.raises(TypeError, match="pin is a secret"):
        Growing.form_facts({"pin": Added(SecretStr | None, Field(None, title="PIN"))})


@pytest.mark.parametrize("error", ENDS, ids=lambda error: type(error).__name__)
async def test_choices_that_would_end_the_process_are_an_error(accounts: Accounts, error: BaseException) -> None:
    class Ending(Fixed):
        async def choices(self, client: Client) -> AtRunTime:
            raise error

    await accounts.installs.add("alice", "fixed", is_enabled=True)
    with pytest.raises(Exited, match=type(error).__name__):
        await accounts.choices(Ending, "alice")


@pytest.mark.parametrize("error", ENDS, ids=lambda error: type(error).__name__)
async def test_an_exchange_that_would_end_the_process_is_an_error(error: BaseException) -> None:
    async def exchange(settings: Any, call: Any) -> Any:
        raise error

    async def call(*_: Any, **__: Any) -> Any:
        """Nobody is asked."""

    with pytest.raises(Exited, match=type(error).__name__):
        await TokenExchange(exchange).obtain({}, None, call)


async def test_a_method_may_be_async_or_not() -> None:
    async def waits(number: int) -> int:
        await asyncio.sleep(0)
        return number

    assert [await called(waits, 1), await called(lambda number: number, 2)] == [1, 2]


async def test_who_is_cancelled_is_cancelled() -> None:
    began = asyncio.Event()

    async def waits() -> None:
        began.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(called(waits))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
