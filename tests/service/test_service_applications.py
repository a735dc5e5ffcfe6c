"""Applications and installs as the platform's backend asks for them, in the ways of both versions."""

import time
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web
from pydantic import Field
from structlog.testing import capture_logs
from support.accounts import database_of, opened, opened_at_platform
from support.desk import Desk, Login, desk_service
from support.logins import visit
from support.oauth_server import CLIENT, SECRET, OAuthServer
from support.services import serving as answering
from support.serving import Asked

from applications import Application, Basic
from applications.accounts import Accounts
from applications.forms import Added, AtRunTime
from applications.http.client import Client
from worker.accounts.opening import OpenAccounts
from worker.actions.registry import Registry
from worker.service.service import open_service
from worker.settings.settings import load_settings


@pytest.fixture
async def accounts(tmp_path: Path) -> AsyncIterator[Accounts]:
    Desk.heard = []
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as accounts:
        yield accounts


@pytest.fixture
def ask(accounts: Accounts) -> Asked:
    return desk_service(accounts)


@pytest.fixture
async def server() -> AsyncIterator[OAuthServer]:
    async with OAuthServer().serve() as server:
        yield server


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


async def test_limits_stay_on_when_the_process_itself_is_held_up(tmp_path: Path) -> None:
    async def held_up(request: web.Request) -> web.Response:
        time.sleep(1.2)  # noqa: ASYNC251 - nobody in this process gets on meanwhile
        return web.json_response([])

    url = f"sqlite:///{tmp_path}/notes.sqlite"
    async with answering(held_up) as api, opened_at_platform(api, url, tmp_path) as accounts:
        found = await desk_service(accounts)(
            "POST", "/applications/limits", {"user": "alice", "applications": ["desk"]}
        )
    assert (found.status, found.data) == (200, ["alice|desk;60;100;|desk;3600;5000"])


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


@pytest.mark.parametrize("body", [b"null", b"5", b"", b"{", b'"x"', b'{"authorization_form": null}'])
async def test_settings_that_are_none_are_refused(ask: Asked, body: bytes) -> None:
    await ask("POST", "/applications/desk/users/alice/install")
    assert (await ask("PUT", "/applications/desk/users/alice/settings", body)).status == 400


async def test_an_unknown_application_is_named(ask: Asked) -> None:
    told = "Error occurred: Service with name [hbpf.application.nobody] does not exist!"
    secret = {"formKey": "a", "fieldKey": "b", "password": "c"}
    for method, path, body in (
        ("GET", "", None),
        ("GET", "/sync/list", None),
        ("POST", "/users/alice/install", None),
        ("PUT", "/users/alice/settings", {}),
        ("PUT", "/users/alice/password", secret),
        ("GET", "/users/alice/authorize?redirect_url=http://page.test", None),
    ):
        answer = await ask(method, f"/applications/nobody{path}", body)
        assert (answer.status, answer.data["message"]) == (400, told)


async def test_an_install_is_looked_for_before_its_application(ask: Asked, sdk: str) -> None:
    own = f"/applications/nobody/users/alice{sdk}"
    told = "Error occurred: ApplicationInstall with user [alice] and name [nobody] has not been found!"
    for method, path in (("GET", ""), ("DELETE", "/uninstall"), ("PUT", "/changeState")):
        answer = await ask(method, f"{own}{path}", {"enabled": True})
        assert (answer.status, answer.data["message"]) == (400, told)


async def test_an_install_whose_application_is_gone_can_be_switched_and_deleted(
    ask: Asked, accounts: Accounts, sdk: str
) -> None:
    service = "mine" if sdk else ""
    await accounts.installs.add("alice", "gone", service, is_enabled=True)
    own = f"/applications/gone/users/alice{sdk}"
    shown = await ask("GET", own)
    assert (shown.status, "hbpf.application.gone" in shown.data["message"]) == (400, True)
    assert (await ask("PUT", f"{own}/changeState", {"enabled": False})).data == {}
    kept = await accounts.installs.get("alice", "gone", service)
    assert kept is not None
    assert not kept.is_enabled
    assert (await ask("DELETE", f"{own}/uninstall")).data == {}
    assert await accounts.installs.get("alice", "gone", service) is None


@pytest.mark.parametrize("hook", ["afterInstall", "afterUninstall", "afterEnable", "afterDisable"])
@pytest.mark.parametrize(("body", "status"), [("[]", 200), ("5", 200), ('"x"', 200), ("{}", 200), ("null", 400)])
async def test_a_hook_may_be_called_for_nobody(ask: Asked, hook: str, body: str, status: int) -> None:
    answer = await ask("POST", f"/applications/books/sync/{hook}Callback", body.encode())
    assert answer.status == status
    assert status == 400 or answer.data == {"status": "ok"}


async def test_without_a_key_for_secrets_the_lists_are_complete_and_installs_say_what_lacks() -> None:
    ask = desk_service(None)
    assert [item["key"] for item in (await ask("GET", "/applications")).data["items"]] == ["books", "desk"]
    assert (await ask("POST", "/applications/limits", {"user": "a", "applications": ["desk"]})).data == []
    answer = await ask("POST", "/applications/desk/users/alice/install")
    assert (answer.status, "WORKER_SECRET_KEYS" in answer.data["message"]) == (400, True)


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
