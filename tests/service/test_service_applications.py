"""Applications and installs as the platform's backend asks for them, in the ways of both versions."""

import asyncio
import json
import re
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import Field, SecretStr
from structlog.testing import capture_logs
from support.accounts import database_of, opened
from support.logins import visit
from support.oauth_application import Books
from support.oauth_server import CLIENT, SECRET, OAuthServer
from support.serving import Asked

from applications import Application, Basic, Form, Limit, Subscription, SyncCall, TextReply, sync_method
from applications.accounts import Accounts
from applications.application import ApplicationType, CustomAction
from applications.forms import Added, AtRunTime
from applications.http.client import Client
from applications.install import Install
from worker.accounts.opening import OpenAccounts
from worker.actions.registry import Registry
from worker.service.service import open_service
from worker.settings.settings import load_settings


class Login(Form):
    """What a user fills in."""

    user: str = Field(title="User")
    password: SecretStr = Field(title="Password")
    pages: int = Field(10, title="Pages")
    drafts: bool = Field(False, title="Drafts")
    tags: list[str] = Field([], title="Tags")


class Desk(Application):
    """A service with hooks, limits, buttons and webhooks."""

    key = "desk"
    name = "Desk"
    description = "Tickets"
    authentication = Basic()
    forms = (Login,)
    kind = ApplicationType.WEBHOOK
    limit = Limit(60, 100)
    group_limit = Limit(3600, 5000)
    custom_actions = (CustomAction("Read all", "call", topology="read", node="start"),)
    webhooks = (Subscription("opened", "A ticket was opened", ("queue",)),)
    heard: list[tuple[str, str]]

    async def subscribe(self, client: Client, name: str, url: str, secret: str, parameters: Mapping[str, str]) -> str:
        """Note it."""
        type(self).heard.append((name, url))
        return "remote-1"

    async def unsubscribe(self, client: Client, remote_id: str) -> None:
        """Note it."""
        type(self).heard.append(("end", remote_id))

    async def after_install(self, install: Install, client: Client) -> None:
        """Note it."""
        type(self).heard.append(("install", install.user))

    async def after_uninstall(self, install: Install, client: Client) -> None:
        """Note it."""
        type(self).heard.append(("uninstall", install.user))

    async def after_enable(self, install: Install, client: Client) -> None:
        """Fail."""
        raise RuntimeError("the desk is closed")


@pytest.fixture
async def accounts(tmp_path: Path) -> AsyncIterator[Accounts]:
    Desk.heard = []
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as accounts:
        yield accounts


def asking(accounts: Accounts | None) -> Asked:
    registry = Registry()
    registry.applications |= {"desk": Desk, "books": Books}
    settings = load_settings(backend_url="http://backend.test", starting_point_dsn="start.test", egress="none")
    found = OpenAccounts(accounts, database_of(accounts)) if accounts else None
    return Asked(open_service(settings, registry, found))


@pytest.fixture
def ask(accounts: Accounts) -> Asked:
    return asking(accounts)


@pytest.fixture
async def server() -> AsyncIterator[OAuthServer]:
    async with OAuthServer().serve() as server:
        yield server


@pytest.fixture
def desk_calls(ask: Asked) -> list[tuple[str, str]]:
    return Desk.heard


@pytest.fixture(params=["", "/sdk/mine"])
def sdk(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def values(answer: Any, form: str = "authorization_form") -> dict[str, Any]:
    return {field["key"]: field["value"] for field in answer.data["applicationSettings"][form]["fields"]}


async def test_the_marketplace_lists_each_key_that_the_backend_reads(ask: Asked) -> None:
    books, desk = (await ask("GET", "/applications")).data["items"]
    assert desk == {
        "name": "Desk", "authorization_type": "basic", "application_type": "webhook", "key": "desk",
        "description": "Tickets", "info": "", "logo": None, "isInstallable": True,
    }  # fmt: skip
    assert books["logo"].startswith("data:image/svg+xml;base64, ")


async def test_an_application_says_its_methods(ask: Asked) -> None:
    hooks = ["afterDisableCallback", "afterEnableCallback", "afterInstallCallback", "afterUninstallCallback"]
    assert (await ask("GET", "/applications/desk")).data["syncMethods"] == hooks
    assert (await ask("GET", "/applications/books/sync/list")).data == ["orders", "whatIsAsked", *hooks]


async def test_an_install_lives_through_all_its_states(ask: Asked, sdk: str) -> None:
    own = f"/applications/desk/users/alice{sdk}"
    installed = await ask("POST", f"{own}/install")
    assert (installed.status, installed.data["authorized"]) == (201, False)
    saved = await ask("PUT", f"{own}/settings", {"authorization_form": {"user": "al", "password": "pw", "pages": 7}})
    assert values(saved) == {"user": "al", "password": True, "pages": 7, "drafts": False, "tags": []}
    assert (await ask("PUT", f"{own}/changeState", {"enabled": True})).data == {}
    (item,) = (await ask("GET", f"/applications/users/alice{sdk}")).data["items"]
    assert (item["key"], item["enabled"], item["authorized"]) == ("desk", True, True)
    detail = await ask("GET", own)
    assert detail.data["customActions"] == [
        {"name": "Read all", "action": "call", "topologyName": "read", "nodeName": "start"}
    ]
    again = await ask("POST", f"{own}/install")
    assert (again.status, "already" in again.data["message"]) == (400, True)
    assert (await ask("DELETE", f"{own}/uninstall")).data == {}
    gone = await ask("GET", own)
    told = "Error occurred: ApplicationInstall with user [alice] and name [desk] has not been found!"
    assert (gone.status, gone.data["message"]) == (400, told)


async def test_services_have_installs_of_their_own(ask: Asked) -> None:
    await ask("POST", "/applications/desk/users/alice/sdk/mine/install")
    assert (await ask("GET", "/applications/users/alice/sdk/other")).data == {"items": []}
    assert (await ask("GET", "/applications/desk/users/alice/sdk/other")).status == 400


async def test_the_texts_of_the_editor_overwrite_nothing(ask: Asked) -> None:
    own = "/applications/desk/users/alice/sdk/mine"
    await ask("POST", f"{own}/install")
    await ask("PUT", f"{own}/settings", {"authorization_form": {"user": "al", "password": "pw"}})
    texts = {"user": "al", "password": "true", "pages": "12", "drafts": "true", "tags": '["a"]', "redirect_url": "x"}
    saved = await ask(
        "PUT", f"{own}/settings", {"authorization_form": texts, "limiter_form": {"value": "", "time": ""}}
    )
    assert values(saved) == {"user": "al", "password": True, "pages": 12, "drafts": True, "tags": ["a"]}
    assert saved.data["authorized"] is True
    untouched = await ask("PUT", f"{own}/settings", {"authorization_form": {"password": "", "drafts": "false"}})
    assert values(untouched) == {"user": "al", "password": True, "pages": 12, "drafts": False, "tags": ["a"]}


async def test_one_secret_can_be_saved_alone(ask: Asked, sdk: str) -> None:
    own = f"/applications/desk/users/alice{sdk}"
    await ask("POST", f"{own}/install")
    sent = {"formKey": "authorization_form", "fieldKey": "password", "password": "pw"}
    assert values(await ask("PUT", f"{own}/password", sent))["password"] is True
    lacking = await ask("PUT", f"{own}/password", {"password": "pw"})
    told = "Error occurred: Missing required parameters [password, formKey, fieldKey] in body."
    assert (lacking.status, lacking.data["message"]) == (400, told)


@pytest.mark.parametrize("user", ["a/b", "a%b", "a:b", "a b", "a+b", "a#b", "čeč", 'a"b', "a\x00b"])
async def test_any_name_is_a_user(ask: Asked, user: str) -> None:
    own = f"/applications/desk/users/{quote(user, safe='')}/sdk/mine"
    installed = await ask("POST", f"{own}/install")
    if "\x00" in user:
        assert installed.status == 400
        return
    assert installed.status == 201
    (item,) = (await ask("GET", f"/applications/users/{quote(user, safe='')}/sdk/mine")).data["items"]
    assert item["user"] == user


async def test_hooks_are_run_when_the_platform_calls_for_them(ask: Asked) -> None:
    own, sync = "/applications/desk/users/alice/sdk/mine", "/applications/desk/sync"
    said = {"user": "alice", "name": "desk", "sdk": "mine"}
    await ask("POST", f"{own}/install")
    assert (await ask("POST", f"{sync}/afterInstallCallback", said)).data == {"status": "ok"}
    failed = await ask("POST", f"{sync}/afterEnableCallback", said)
    assert (failed.status, "the desk is closed" in failed.data["message"]) == (400, True)
    assert (await ask("POST", f"{sync}/afterDisableCallback", said)).data == {"status": "ok"}
    await ask("DELETE", f"{own}/uninstall")
    assert (await ask("POST", f"{sync}/afterUninstallCallback", said)).data == {"status": "ok"}
    assert Desk.heard == [("install", "alice"), ("uninstall", "alice")]


async def test_the_picker_of_webhooks_is_told_the_events(ask: Asked) -> None:
    events = await ask("GET", "/applications/desk/sync/listWebhookEvents?user=system&sdk=mine")
    assert events.data == [{"name": "opened", "parameters": ["queue"], "description": "A ticket was opened"}]
    unknown = await ask("GET", "/applications/desk/sync/nothing")
    told = "Error occurred: Method [syncNothing] has not been found in application [desk]."
    assert (unknown.status, unknown.data["message"]) == (400, told)


async def test_a_method_answers_json_or_text_or_a_plain_success(ask: Asked) -> None:
    path = "/applications/books/sync/whatIsAsked"
    assert (await ask("GET", path)).data == {"status": "ok"}
    page = await ask("POST", f"{path}?user=alice", {"lang": "cs"})
    assert (page.reply.body, page.reply.content_type) == (b"<p>POST alice cs</p>", "text/html; charset=utf-8")
    failed = await ask("PATCH", path, b"no json")
    assert (failed.status, failed.data["status"]) == (400, "Error")


async def test_limits_are_those_of_enabled_installs(ask: Asked, sdk: str) -> None:
    name = "mine:desk" if sdk else "desk"
    own, asked = f"/applications/desk/users/alice{sdk}", {"user": "alice", "applications": ["desk", "books", "nobody"]}
    await ask("POST", f"{own}/install")
    assert (await ask("POST", f"/applications{sdk}/limits", asked)).data == []
    await ask("PUT", f"{own}/changeState", {"enabled": True})
    found = await ask("POST", f"/applications{sdk}/limits", asked)
    assert found.data == [f"alice|{name};60;100;|{name};3600;5000"]
    await ask("PUT", f"{own}/settings", {"limiter_form": {"useLimit": "true", "value": "5", "time": "10"}})
    found = await ask("POST", f"/applications{sdk}/limits", asked)
    assert found.data == [f"alice|{name};10;5;|{name};3600;5000"]


async def test_limits_stay_on_while_the_installs_are_away(ask: Asked, accounts: Accounts, tmp_path: Path) -> None:
    asked = {"user": "alice", "applications": ["desk"]}
    await ask("POST", "/applications/desk/users/alice/sdk/mine/install")
    await accounts.close()
    (tmp_path / "installs.sqlite").write_bytes(b"no database" * 1000)
    with capture_logs() as logs:
        found = await ask("POST", "/applications/sdk/mine/limits", asked)
    assert found.data == ["alice|mine:desk;60;100;|mine:desk;3600;5000"], "what the application declares"
    assert "limits_from_memory" in [line["event"] for line in logs]


@pytest.mark.parametrize("asked", [{}, [], {"user": 1, "applications": []}, {"user": "a", "applications": "desk"}])
async def test_a_question_for_limits_that_is_none_is_refused(ask: Asked, asked: object) -> None:
    assert (await ask("POST", "/applications/limits", asked)).status == 400


async def test_a_login_goes_through_the_backend_and_back(ask: Asked, server: OAuthServer, sdk: str) -> None:
    own = f"/applications/books/users/alice{sdk}"
    await ask("POST", f"{own}/install")
    filled = {"client_id": CLIENT, "client_secret": SECRET, "server": server.base_url}
    saved = await ask("PUT", f"{own}/settings", {"authorization_form": filled})
    assert values(saved)["redirect_url"] == "http://backend.test/api/applications/authorize/token"
    begun = await ask("GET", f"{own}/authorize?redirect_url=http://page.test/x?sdk=mine&tab=2")
    back = await visit(begun.data["authorizeUrl"])
    parts = urlsafe_b64decode(back["state"] + "==").decode().split(":")
    assert parts[:3] == ["alice", "books", "mine" if sdk else ""]
    path = f"{own}/authorize/token" if sdk else "/applications/authorize/token"
    query = f"?code={quote(back['code'])}&state={back['state']}"
    assert (await ask("GET", path + query)).data == {"redirectUrl": "http://page.test/x?sdk=mine&tab=2"}
    assert (await ask("GET", own)).data["authorized"] is True
    replayed = await ask("GET", path + query)
    assert (replayed.status, "finished before" in replayed.data["message"]) == (400, True)


@pytest.mark.parametrize("state", ["", "x", "YWxpY2U6Ym9va3M", "YWxpY2U6Ym9va3M6bWluZTpmb3JnZWQ", "č", "!!!"])
async def test_a_forged_state_logs_nobody_in(ask: Asked, state: str) -> None:
    answer = await ask("GET", f"/applications/authorize/token?code=x&state={quote(state)}")
    assert (answer.status, "not issued here" in answer.data["message"]) == (400, True)


@pytest.mark.parametrize("query", ["", "?redirect_url=", "?redirect_url=javascript:alert(1)"])
async def test_a_login_has_to_say_which_page_it_leads_back_to(ask: Asked, query: str) -> None:
    await ask("POST", "/applications/books/users/alice/install")
    answer = await ask("GET", f"/applications/books/users/alice/authorize{query}")
    assert (answer.status, "redirect_url" in answer.data["message"]) == (400, True)


@pytest.mark.parametrize("body", [b"null", b"5", b"", b"{", b'"x"'])
async def test_settings_that_are_none_are_refused(ask: Asked, body: bytes) -> None:
    await ask("POST", "/applications/desk/users/alice/install")
    assert (await ask("PUT", "/applications/desk/users/alice/settings", body)).status == 400


async def test_an_unknown_application_is_named(ask: Asked) -> None:
    told = "Error occurred: Service with name [hbpf.application.nobody] does not exist!"
    for method, path in (
        ("GET", ""),
        ("GET", "/sync/list"),
        ("POST", "/users/alice/install"),
        ("GET", "/users/a/sdk/x"),
    ):
        answer = await ask(method, f"/applications/nobody{path}")
        assert (answer.status, answer.data["message"]) == (400, told)


async def test_without_a_key_for_secrets_the_lists_are_complete_and_installs_say_what_lacks() -> None:
    ask = asking(None)
    assert [item["key"] for item in (await ask("GET", "/applications")).data["items"]] == ["books", "desk"]
    assert (await ask("POST", "/applications/limits", {"user": "a", "applications": ["desk"]})).data == []
    answer = await ask("POST", "/applications/desk/users/alice/install")
    assert (answer.status, "WORKER_SECRET_KEYS" in answer.data["message"]) == (400, True)


async def test_a_topology_is_subscribed_when_it_is_switched_on(ask: Asked, desk_calls: list[tuple[str, str]]) -> None:
    own = "/webhook/applications/desk/users/alice/sdk/mine"
    await ask("POST", "/applications/desk/users/alice/sdk/mine/install")
    filled = {"authorization_form": {"user": "al", "password": "pw"}}
    await ask("PUT", "/applications/desk/users/alice/sdk/mine/settings", filled)
    await ask("PUT", "/applications/desk/users/alice/sdk/mine/changeState", {"enabled": True})
    wanted = {"name": "opened", "topology": "t1", "node": "n1", "parameters": {"queue": "first"}}
    for _ in range(2):
        subscribed = await ask("POST", f"{own}/subscribe", wanted)
        assert (subscribed.status, subscribed.data) == (200, [])
    ((event, url),) = desk_calls
    assert event == "opened"
    assert re.fullmatch(r"http://start\.test/topologies/t1/nodes/n1/token/[0-9a-f]+/run", url)
    detail = await ask("GET", "/applications/desk/users/alice/sdk/mine")
    assert detail.data["webhookSettings"] == [{"name": "opened", "default": False, "enabled": True, "topology": "t1"}]
    assert (await ask("POST", f"{own}/unsubscribe", {**wanted, "node": "n2"})).data == []
    assert (await ask("POST", f"{own}/unsubscribe", wanted)).data == ["remote-1"]
    assert desk_calls[1:] == [("end", "remote-1")]


async def test_the_methods_of_webhooks_do_the_same(ask: Asked, desk_calls: list[tuple[str, str]]) -> None:
    await ask("POST", "/applications/desk/users/alice/sdk/mine/install")
    filled = {"authorization_form": {"user": "al", "password": "pw"}}
    await ask("PUT", "/applications/desk/users/alice/sdk/mine/settings", filled)
    await ask("PUT", "/applications/desk/users/alice/sdk/mine/changeState", {"enabled": True})
    wanted = {"name": "opened", "topology": "t1", "node": "n1", "user": "alice", "sdk": "mine"}
    wanted |= {"parameters": {"queue": "a"}}
    for method, found in (("subscribeWebhook", "remote-1"), ("unsubscribeWebhook", "remote-1")):
        answer = await ask("POST", f"/applications/desk/sync/{method}", wanted)
        assert answer.data == {"status": "ok", "webhooks": [found]}
    assert [event for event, _ in desk_calls] == ["opened", "end"]


@pytest.mark.parametrize("body", [{}, [], {"node": "n"}, b"{", b""])
async def test_a_subscription_to_nothing_is_refused(ask: Asked, body: object) -> None:
    for what in ("subscribe", "unsubscribe"):
        assert (await ask("POST", f"/webhook/applications/desk/users/alice/{what}", body)).status == 400


async def test_applications_that_nobody_calls_or_that_are_not_filled_in_subscribe_to_nothing(ask: Asked) -> None:
    for key in ("desk", "books"):
        await ask("POST", f"/applications/{key}/users/alice/install")
        answer = await ask("POST", f"/webhook/applications/{key}/users/alice/subscribe", {"name": "opened"})
        assert (answer.status, answer.data) == (200, [])


def asking_about(accounts: Accounts, **methods: Any) -> Asked:
    """Return a service with one application, which has these synchronous methods."""
    registry = Registry()
    own = {name: sync_method(name)(method) for name, method in methods.items()}
    registry.applications["odd"] = type("Odd", (Application,), {"key": "odd", **own})
    settings = load_settings(backend_url="http://backend.test", egress="none")
    return Asked(open_service(settings, registry, OpenAccounts(accounts, database_of(accounts))))


@pytest.mark.parametrize(
    "error",
    [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError(), StopIteration(), KeyError("x")],
    ids=lambda error: type(error).__name__,
)
async def test_a_method_may_raise_anything_and_ends_no_more_than_its_call(
    accounts: Accounts, error: BaseException
) -> None:
    async def fails(self: Any, call: SyncCall) -> Any:
        raise error

    failed = await asking_about(accounts, fails=fails)("GET", "/applications/odd/sync/fails")
    assert failed.status == 400
    assert type(error).__name__ in failed.reply.body.decode()


@pytest.mark.parametrize("verb", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
async def test_a_method_is_given_the_request_as_it_came(accounts: Accounts, verb: str) -> None:
    def echoes(self: Any, call: SyncCall) -> Any:
        return [call.method, call.user, call.sdk, dict(call.query), call.headers["x-own"], call.body.hex()]

    path = "/applications/odd/sync/echoes?user=al%20ice&sdk=mine&a=1&a=2&b="
    found = await asking_about(accounts, echoes=echoes)(verb, path, b"\x00\xff{", x_own="ž")
    query = {"user": "al ice", "sdk": "mine", "a": "1", "b": ""}
    told = [verb, "al ice", "mine", query, "ž", "00ff7b"]
    assert (found.status, found.reply.body) == (
        200,
        b"" if verb == "HEAD" else json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode(),
    )


@pytest.mark.parametrize(
    ("result", "status", "text"),
    [
        (None, 200, '{"status":"ok"}'),
        ([], 200, "[]"),
        ("", 200, '""'),
        (0, 200, "0"),
        (TextReply(""), 200, ""),
        (TextReply("a\ud800", "text/x; charset=utf-8"), 200, "a\\ud800"),
        (object(), 400, "PydanticSerializationError"),
        (float("nan"), 400, "ValueError"),
    ],
)
async def test_a_method_may_answer_anything(accounts: Accounts, result: object, status: int, text: str) -> None:
    async def answers(self: Any, call: SyncCall) -> Any:
        return result

    found = await asking_about(accounts, answers=answers)("GET", "/applications/odd/sync/answers")
    assert found.status == status
    assert text in found.reply.body.decode()
    assert status == 400 or found.reply.body.decode() == text


@pytest.mark.parametrize("kind", ["", "html", "text/html\r\nX-Own: 1", "text/ž"])
def test_what_is_no_content_type_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="is no content type"):
        TextReply("x", kind)


class Growing(Application):
    """Has a field that only the run time knows."""

    key = "growing"
    authentication = Basic()
    forms = (Login,)

    async def choices(self, client: Client) -> AtRunTime:
        """Add it."""
        return {"seats": Added(int, Field(1, title="Seats"))}


async def test_the_editor_saves_fields_that_were_added_at_run_time(accounts: Accounts) -> None:
    registry = Registry()
    registry.applications["growing"] = Growing
    settings = load_settings(backend_url="http://backend.test", egress="none")
    ask = Asked(open_service(settings, registry, OpenAccounts(accounts, database_of(accounts))))
    own = "/applications/growing/users/alice"
    await ask("POST", f"{own}/install")
    first = {"user": "u", "password": "p", "pages": "10", "drafts": "false", "tags": "[]"}
    before = values(await ask("PUT", f"{own}/settings", {"authorization_form": first | {"other": "x"}}))
    assert (before["seats"], "other" in before) == (1, False)
    told = await ask("PUT", f"{own}/settings", {"authorization_form": first | {"password": "true", "seats": "3"}})
    assert (values(told)["seats"], values(told)["password"]) == (3, True)
    assert values(await ask("GET", own))["seats"] == 3
