"""One application that a user has in several services, told apart by the service's registered name."""

import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from support.accounts import KEY, opened, opened_as, put_token, webhooks_of
from support.databases import MakeDatabase
from support.oauth_application import Books
from support.visits import node, visit
from test_installs_store import connected

import applications
from applications import Application, Form, Token
from applications.accounts import Accounts
from applications.crypt import Keyring
from applications.errors import CannotDecrypt, NotAuthorized, NotInstalled
from applications.journal import Arrived, Journal
from connectors import Connector, Message
from connectors.topologies import Start
from worker.accounts.sealing import SealedFields
from worker.accounts.tables import CHAIN
from worker.database.migrate import bring_up_to_date
from worker.limits.limit import KeyedLimit, limits_of
from worker.modes.standalone import headers_of
from worker.protocol.topology import Role
from worker.testing.action import NODE, topology_of
from worker.testing.installs import installed
from worker.testing.topology import InMemoryTopology


class Account(Form):
    """What a user fills in."""

    token: SecretStr


class Shop(Application):
    """An application with limits."""

    key = "shop"
    forms = (Account,)
    headers = {"Authorization": "Bearer {token}"}  # noqa: RUF012 - as an author writes it
    limit = applications.Limit(seconds=10, amount=3)
    group_limit = applications.Limit(seconds=1, amount=50)


SERVICES = ("", "php", "py;%|")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, make_database: MakeDatabase) -> str:
    return make_database(request.param)


@pytest.fixture(params=["sqlite", "postgresql", "platform"])
async def accounts(
    request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path: Path
) -> AsyncIterator[Accounts]:
    async with opened_as(request.param, make_database, tmp_path) as found:
        yield found


async def install(accounts: Accounts, services: Sequence[str] = SERVICES) -> None:
    for sdk in services:
        assert await accounts.installs.add("alice", "shop", sdk, is_enabled=True)
        await accounts.save("alice", Shop, {"authorization_form": {"token": f"<{sdk}>"}}, sdk=sdk)


async def sent(accounts: Accounts, sdk: str) -> Mapping[str, str]:
    return (await accounts.access(Shop, "alice", sdk)).headers


async def test_each_service_has_an_install_of_its_own(accounts: Accounts) -> None:
    await install(accounts)
    assert not await accounts.installs.add("alice", "shop", "php", is_enabled=True)
    assert [(await sent(accounts, sdk))["Authorization"] for sdk in SERVICES] == [f"Bearer <{sdk}>" for sdk in SERVICES]
    assert [one.sdk for one in await accounts.installs.list("alice", "shop")] == list(SERVICES)
    assert [one.sdk for one in await accounts.installs.list(sdk="php")] == ["php"]
    assert await accounts.installs.enable("alice", "shop", "php", is_enabled=False)
    assert [one.is_enabled for one in await accounts.installs.list()] == [True, False, True]
    assert await accounts.installs.remove("alice", "shop", "php")
    assert [one.sdk for one in await accounts.installs.among(["alice"], ["shop"])] == ["", "py;%|"]


async def test_an_install_that_knows_no_services_serves_all_that_have_none_of_their_own(accounts: Accounts) -> None:
    await install(accounts, ["", "php"])
    assert (await sent(accounts, "python"))["Authorization"] == "Bearer <>"
    assert await accounts.installs.remove("alice", "shop")
    with pytest.raises(NotInstalled, match=r"service 'java'.*installs add shop alice --sdk java"):
        await accounts.access(Shop, "alice", "java")


async def test_a_secret_does_not_open_in_another_service(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as accounts:
        await install(accounts)
        plain, php, other = await accounts.installs.list()
    for sealed, place in ((php.sealed, other.place), (php.sealed, plain.place), (plain.sealed, php.place)):
        assert isinstance(sealed, SealedFields)
        with pytest.raises(CannotDecrypt):
            replace(sealed, place=place).settings()


async def test_logins_and_tokens_of_services_do_not_meet(accounts: Accounts, tmp_path: Path) -> None:
    for sdk in ("", "php"):
        assert await accounts.installs.add("alice", "books", sdk, is_enabled=True)
        given = {"client_id": "id", "client_secret": "s", "server": "http://127.0.0.1:1"}
        await accounts.save("alice", Books, {"authorization_form": given}, sdk=sdk)
    now = time.time()
    assert await accounts.installs.save_login("alice", "books", Token("of php", obtained=now), sdk="php")
    assert (await accounts.tokens.get(Books, "alice", sdk="php")).access_token == "of php"
    with pytest.raises(NotAuthorized):
        await accounts.access(Books, "alice")
    await put_token(accounts, "alice", "books", Token("of none", obtained=now))
    (_, php) = await accounts.installs.list()
    fence = await accounts.installs.lease(php)
    assert fence is not None
    sealed = accounts.installs.seal_token("alice", "books", Token("late", obtained=now), sdk="php")
    Journal(tmp_path / "journal").write(Arrived("alice", "books", fence, sealed, None, "php"))
    await accounts.tokens.recover("alice", "books")
    accounts.forget("alice", "books", "php")
    assert (await accounts.tokens.get(Books, "alice", sdk="php")).access_token == "late"
    assert (await accounts.tokens.get(Books, "alice")).access_token == "of none"


async def test_limits_are_named_by_the_service(accounts: Accounts) -> None:
    await install(accounts)
    assert [await accounts.limits("alice", [Shop], sdk) for sdk in SERVICES] == [
        "alice|shop;10;3;|shop;1;50",
        "alice|php:shop;10;3;|php:shop;1;50",
        "alice|py%3B%25%7C:shop;10;3;|py%3B%25%7C:shop;1;50",
    ]


@pytest.mark.parametrize("sdk", SERVICES[1:])
async def test_a_limit_of_the_service_holds_for_its_messages_only(sdk: str) -> None:
    at = node("next", role=Role.CONNECTOR, application="shop")
    key = Shop.limits("alice", {}, sdk)
    mine, others = visit(at, sdk=sdk, limiter_key=key), visit(at, sdk="other", limiter_key=key)
    assert [limit.amount for limit in limits_of(mine)] == [3, 50]
    assert limits_of(others) == ()
    own: Message[Any] = Message(mine.headers, "").with_limit("shop", 7, 10)
    assert [limit.amount for limit in limits_of(visit(at, sdk=sdk, limiter_key=own.headers["limiter-key"]))] == [7, 50]
    named = KeyedLimit("alice|other:shop", 10, 3), KeyedLimit("|other:shop", 1, 50)
    assert limits_of(others, Shop.limit, Shop.group_limit) == named


class Who(Connector[Any, Any]):
    """Says with which header a request would be sent."""

    name = "who"
    application = Shop

    async def process(self, message: Message[Any]) -> Message[Any]:
        return message.with_data((await self.access()).headers["Authorization"])


@pytest.mark.parametrize(
    ("of_node", "of_message", "used"), [("", "php", "php"), ("php", "", "php"), ("php", "x", "php")]
)
async def test_the_header_sdk_finds_the_install_of_a_call(of_node: str, of_message: str, used: str) -> None:
    async with installed(Shop, {"token": "none"}) as find:
        asked: list[str] = []

        async def access(application: type[Application], user: str, sdk: str) -> Any:
            asked.append(sdk)
            return await find(application, user, sdk)

        file = topology_of(Who(), ["next"])
        if of_node:
            file["nodes"][0]["settings"]["headers"] = {"sdk": of_node}
        async with InMemoryTopology(file, [Who()], access=access) as topology:
            await topology.start(NODE, {}, user="alice", headers={"sdk": of_message} if of_message else {})
            await topology.run()
            (message,) = topology.messages("next")
    assert set(asked) == {used}
    assert message.headers["sdk"] == used


async def test_a_run_that_an_action_starts_is_of_the_same_service() -> None:
    by = {"process-id": "p", "node-id": "n", "sdk": "php", "user": "alice"}
    assert headers_of(Start("invoices", "start", False, "{}", "alice", by), node())["sdk"] == "php"


async def test_a_webhook_belongs_to_a_service(accounts: Accounts) -> None:
    store = webhooks_of(accounts)
    made = await store.add("alice", "shop", "order", "t1", "n1", sdk="php")
    token = store.secrets(made).token
    assert await store.called([token]) == {token: made}
    assert made.sdk == "php"


async def test_installs_of_the_version_before_belong_to_no_service(url: str, tmp_path: Path) -> None:
    bring_up_to_date(url, replace(CHAIN, head="0002"))
    sealed = Keyring.read(KEY).seal(b'"old"', "alice", "shop", "authorization_form", "token")
    settings = json.dumps({"authorization_form": {"token": sealed}})
    with closing(connected(url)) as connection:
        connection.execute(insertion("alice", settings))
        connection.execute(insertion("bob", "{}"))
        connection.commit()
    async with opened(url, tmp_path) as accounts:
        assert (await sent(accounts, ""))["Authorization"] == "Bearer old"
        assert [(one.user, one.sdk, one.token_fence) for one in await accounts.installs.list()] == [
            ("alice", "", 7),
            ("bob", "", 7),
        ]
        await install(accounts, ["php"])
    with closing(connected(url)) as before:  # as a worker of the version before adds and reads
        before.execute(insertion("carol", "{}") + " ON CONFLICT DO NOTHING")
        before.commit()
    async with opened(url, tmp_path) as accounts:
        assert await accounts.installs.get("carol", "shop") is not None


def insertion(user: str, settings: str) -> str:
    """Return the statement with which the version before adds an install."""
    return f"""
        INSERT INTO installs ("user", application, is_enabled, plain, settings, problem, expires, fence, token_fence,
            lease_until, failures, retry_at, version, created, updated)
        VALUES ('{user}', 'shop', true, '{{}}', '{settings}', '', 0, 7, 7, 0, 0, 0, 1, 1, 1)"""
