"""Applications, installs and secrets from the terminal."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from conftest import MakeTopology
from support.accounts import KEY, install_books, log_in, opened, webhooks_of
from support.hooked import Hooked
from support.oauth_application import Books
from support.oauth_server import CLIENT, SECRET, OAuthServer
from support.queues import Queues
from support.terminal import Terminal, authorize
from support.topologies import sink

from applications.accounts import Accounts
from applications.crypt import new_key

ACTIONS = ("--actions", "support.books")
CANARY = "canary-5f3a"


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


@pytest.fixture
async def server() -> AsyncIterator[OAuthServer]:
    async with OAuthServer().serve() as serving:
        yield serving


@pytest.fixture
async def accounts(terminal: Terminal, tmp_path: Path) -> AsyncIterator[Accounts]:
    async with opened(terminal.url, tmp_path) as found:
        yield found


def test_applications_are_listed_and_shown(terminal: Terminal) -> None:
    keys = {one["key"]: one for one in terminal.json("applications", "list", *ACTIONS)}
    assert {"git-hub", "shopify", "shopify-oauth", "xero", "books"} <= set(keys)
    assert keys["xero"]["login"] == "OAuth2"
    text = terminal.run("applications", "show", "shopify")
    assert "shopifyUrl  url" in text
    assert "useLimit  checkbox" in text
    assert "github-list-issues" in terminal.run("applications", "show", "git-hub")
    forms = terminal.json("applications", "show", "xero")["forms"]
    assert [field["key"] for field in forms["authorization_form"]["fields"]] == ["client_id", "client_secret"]
    assert "did you mean 'shopify'" in terminal.run("applications", "show", "shopfy", status=2)


def test_a_user_gets_an_application_and_loses_it(terminal: Terminal) -> None:
    words = ("shopify", "a/b + č", "shopifyUrl=https://eshop.myshopify.com", "token")
    text = terminal.run("installs", "add", *words, text_in=f"{CANARY}\n")
    assert "shopify of user a/b + č is saved." in text
    (install,) = terminal.json("installs", "list")
    assert (install["user"], install["state"]) == ("a/b + č", "enabled")
    assert install["settings"] == {"authorization_form": ["shopifyUrl", "token"]}
    terminal.run("installs", "disable", "shopify", "a/b + č")
    assert "disabled" in terminal.run("installs", "list")
    terminal.run("installs", "enable", "shopify", "a/b + č")
    assert "has shopify already" in terminal.run("installs", "add", "shopify", "a/b + č", status=1)
    terminal.run("installs", "remove", "shopify", "a/b + č", "--yes")
    assert "Nothing is installed" in terminal.run("installs", "list")
    for command in ("enable", "disable"):
        assert "has not installed" in terminal.run("installs", command, "shopify", "a/b + č", status=1)


def test_an_install_without_its_login_is_listed_as_such(terminal: Terminal) -> None:
    terminal.run("installs", "add", "xero", "alice", "client_id=4F2A", "client_secret=x")
    assert "needs login" in terminal.run("installs", "list")
    assert [one["state"] for one in terminal.json("installs", "list")] == ["needs login"]
    terminal.run("installs", "disable", "xero", "alice")
    assert [one["state"] for one in terminal.json("installs", "list")] == ["disabled"]


def test_wrong_settings_are_told_beside_their_fields_and_nothing_is_saved(terminal: Terminal) -> None:
    text = terminal.run("installs", "add", "shopify", "alice", "shopifyUrl=nonsense", "value=-1", status=1)
    assert "authorization_form.shopifyUrl: Input should be a valid URL" in text
    assert "limiter_form.value: Input should be greater than 0" in text
    assert not terminal.json("installs", "list")
    text = terminal.run("installs", "add", "shopify", "alice", "shop=x", status=2)
    assert "shopify has no field 'shop'; it has token, api_secret, shopifyUrl, useLimit, value, time" in text


def test_what_is_missing_is_said_and_set_later(terminal: Terminal) -> None:
    assert "Still missing: shopifyUrl" in terminal.run("installs", "add", "shopify", "alice", f"token={CANARY}")
    assert "missing" not in terminal.run("installs", "set", "shopify", "alice", "shopifyUrl=https://a.myshopify.com")
    assert "has not installed" in terminal.run("installs", "set", "shopify", "bob", "token=x", status=1)


def test_commands_that_are_told_work_when_they_are_pasted(terminal: Terminal) -> None:
    words = ("a b; c", "client_id=1", "client_secret=2")
    assert "installs authorize xero 'a b; c'\n" in terminal.run("installs", "add", "xero", *words)
    assert "installs set xero 'a b; c'\n" in terminal.run("installs", "add", "xero", *words, status=1)


def test_a_value_is_cleared(terminal: Terminal) -> None:
    terminal.run("installs", "add", "git-hub", "alice", f"token={CANARY}", "useLimit=true", "time=1", "value=2")
    assert "Still missing: token" in terminal.run(
        "installs", "set", "git-hub", "alice", "token=", "value=", "useLimit="
    )
    forms = terminal.json("installs", "show", "git-hub", "alice")["forms"]
    values = {field["key"]: field["value"] for form in forms.values() for field in form["fields"]}
    assert (values["token"], values["value"], values["time"]) == (None, None, 1)
    text = terminal.run("installs", "show", "git-hub", "alice")
    assert "\n\nLimiter (limiter_form)\n" in text
    assert "\\n" not in text


def test_a_user_without_a_name_gets_nothing(terminal: Terminal) -> None:
    assert "USER is empty" in terminal.run("installs", "add", "git-hub", "", "token=t", status=2)


async def test_an_install_with_webhooks_is_not_removed_by_the_way(terminal: Terminal, accounts: Accounts) -> None:
    terminal.run("installs", "add", "git-hub", "alice", "token=t")
    terminal.run("installs", "add", "git-hub", "bob", "token=t")
    webhook = await webhooks_of(accounts).add("alice", "git-hub", "issues", "t", "n")
    text = terminal.run("installs", "remove", "git-hub", "alice", "--yes", status=1)
    assert f"orchesty-worker webhooks unsubscribe {webhook.id[:8]}\n" in text
    assert len(terminal.json("installs", "list")) == 2
    terminal.run("installs", "remove", "git-hub", "bob", "--yes")
    terminal.run("installs", "remove", "git-hub", "alice", "--yes", "--keep-webhooks")
    assert terminal.json("installs", "list") == []
    assert len(await webhooks_of(accounts).ids()) == 1


@pytest.mark.parametrize("folder", ["/proc/nope", "/etc/passwd"])
def test_a_place_where_no_database_can_be_is_told(terminal: Terminal, folder: str) -> None:
    text = terminal.run("installs", "list", "--installs-url", f"sqlite:///{folder}/installs.sqlite", status=1)
    assert "the database of the installs refuses" in text
    assert folder in text


def test_without_a_key_nothing_is_saved_and_the_cure_is_named(terminal: Terminal) -> None:
    text = terminal.run("installs", "add", "git-hub", "alice", f"token={CANARY}", status=1, WORKER_SECRET_KEYS="")
    assert "orchesty-worker secrets generate" in text
    assert not terminal.json("installs", "list")
    assert "key 1 is not id:key" in terminal.run("installs", "list", status=2, WORKER_SECRET_KEYS=CANARY)
    text = terminal.run("installs", "list", status=2, WORKER_INSTALLS_URL="redis://localhost")
    assert "must be sqlite:///path or postgresql://" in text


async def test_a_person_logs_in_with_the_browser(terminal: Terminal, server: OAuthServer, accounts: Accounts) -> None:
    words = (f"client_id={CLIENT}", f"client_secret={SECRET}", f"server={server.base_url}")
    text = terminal.run("installs", "add", "books", "alice", *words, *ACTIONS)
    assert "Log in with: orchesty-worker installs authorize books alice" in text
    login = await authorize(terminal, "books", "alice", "--port", "0", *ACTIONS)
    url = login.url
    async with httpx.AsyncClient(follow_redirects=True) as browser:
        forged = url_of(url, "redirect_uri") + "?code=x&state=forged"
        assert (await browser.get(forged)).status_code == 400
        await install_books(accounts, server, "bob")
        others = await accounts.logins.start(Books, "bob", url_of(url, "redirect_uri"))
        assert "begun for user 'bob', not for 'alice'" in (await browser.get(others)).text
        assert (await browser.get(url)).text == "You are logged in. You may close this window."
    status, shown = await login.ended()
    assert status == 0
    assert "User alice is logged in to books." in shown
    assert "trash approve --user alice --application books --reason 'needs reconnect'" in shown
    assert (await accounts.access(Books, "alice")).base_url == f"{server.base_url}/api"
    assert server.issued[0] not in shown


async def test_a_person_who_refuses_ends_the_command(terminal: Terminal, server: OAuthServer) -> None:
    words = (f"client_id={CLIENT}", f"client_secret={SECRET}", f"server={server.base_url}")
    terminal.run("installs", "add", "books", "alice", *words, *ACTIONS)
    login = await authorize(terminal, "books", "alice", "--port", "0", *ACTIONS)
    url = login.url
    async with httpx.AsyncClient() as browser:
        query = {"error": "access_denied", "state": url_of(url, "state")}
        assert (await browser.get(url_of(url, "redirect_uri"), params=query)).status_code == 400
    status, shown = await login.ended()
    assert status == 1
    assert "the service says access_denied" in shown


def url_of(url: str, name: str) -> str:
    return httpx.URL(url).params[name]


async def test_keys_are_changed_without_a_loss(
    terminal: Terminal, server: OAuthServer, accounts: Accounts, tmp_path: Path
) -> None:
    words = (f"client_id={CLIENT}", f"client_secret={SECRET}", f"server={server.base_url}")
    terminal.run("installs", "add", "books", "alice", *words, *ACTIONS)
    await log_in(accounts, server)
    webhook = await webhooks_of(accounts).add("alice", "books", "order", "t", "n")
    new = terminal.run("secrets", "generate", "--id", "2027").strip()
    assert new.startswith("2027:")
    assert "keys here: none" in terminal.run("secrets", "rotate", status=1, WORKER_SECRET_KEYS="")
    text = terminal.run("secrets", "rotate", WORKER_SECRET_KEYS=f"{new},{KEY}")
    assert "1 of 1 installs re-encrypted with the key '2027'" in text
    assert "1 of 1 webhooks re-encrypted" in text
    assert "0 of 1 installs re-encrypted" in terminal.run("secrets", "rotate", WORKER_SECRET_KEYS=f"{new},{KEY}")
    text = terminal.run("secrets", "rotate", status=1, WORKER_SECRET_KEYS=new_key("other"))
    assert "2 could not be re-encrypted:" in text
    assert "alice / books" in text
    async with opened(terminal.url, tmp_path, new) as later:
        (found,) = await webhooks_of(later).list()
        assert webhooks_of(later).secrets(found) == webhooks_of(accounts).secrets(webhook)
    terminal.run("installs", "set", "books", "alice", f"client_id={CLIENT}", *ACTIONS, WORKER_SECRET_KEYS=new)


def test_keys_may_stand_in_a_file(terminal: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "keys.txt"
    path.write_text(f"{new_key('b')}\n{KEY}\n")
    del terminal.environment["WORKER_SECRET_KEYS"]
    terminal.environment["WORKER_SECRET_KEYS_FILE"] = str(path)
    terminal.run("installs", "add", "git-hub", "alice", "token=x")
    path.unlink()
    assert "WORKER_SECRET_KEYS_FILE" in terminal.run("installs", "list", status=2)


async def test_an_application_is_asked_as_a_user(terminal: Terminal, server: OAuthServer, accounts: Accounts) -> None:
    await install_books(accounts, server)
    await log_in(accounts, server, age=4000)
    call = ("applications", "call", "books", "orders", "--user", "alice", "state=open", *ACTIONS)
    answer, _ = json.JSONDecoder().raw_decode(await asyncio.to_thread(terminal.run, *call))  # the log comes after it
    assert answer == {"ok": True}
    assert server.api_calls[0].query["state"] == "open"
    terminal.run("installs", "set", "books", "alice", "server=http://127.0.0.1:1", *ACTIONS)
    assert "books did not answer well: " in await asyncio.to_thread(terminal.run, *call, status=1)
    wrong = ("applications", "call", "books", "nothing", "--user", "alice", *ACTIONS)
    assert "has no synchronous method 'nothing'; it has whatIsAsked, orders" in terminal.run(*wrong, status=2)
    assert terminal.json("applications", "show", "books", *ACTIONS)["logo"].startswith("data:image/svg+xml;base64,")
    assert terminal.json("applications", "show", "xero")["logo"] is None


def test_wrong_ids_of_keys_are_refused(terminal: Terminal) -> None:
    assert "32 letters" in terminal.run("secrets", "generate", "--id", "a:b", status=2)


async def test_hooks_run_and_one_that_fails_is_told(
    terminal: Terminal, server: OAuthServer, accounts: Accounts
) -> None:
    hooked, away = ("hooked", "alice", "--actions", "support.hooked"), f"server={server.base_url}"
    terminal.run("installs", "add", *hooked, f"client_id={CLIENT}", f"client_secret={SECRET}", away)
    text = await asyncio.to_thread(terminal.run, "installs", "disable", *hooked, status=1)
    assert "changed as asked, but after_disable of the application failed: NotAuthorized" in text
    assert terminal.json("installs", "list")[0]["state"] == "disabled"
    await log_in(accounts, server, application=Hooked)
    await asyncio.to_thread(terminal.run, "installs", "enable", *hooked)
    await asyncio.to_thread(terminal.run, "installs", "remove", *hooked, "--yes")
    assert [call.path.split("/")[2] for call in server.api_calls] == ["after_enable", "after_uninstall"]


async def test_a_hook_starts_a_topology(
    terminal: Terminal, make_topology: MakeTopology, queues: Queues, broker_url: str
) -> None:
    topology = make_topology(sink("start"))
    await queues.declare(topology.exchange("start"), topology.queue("start"))
    worker = {"WORKER_TOPOLOGY": str(topology.path), "WORKER_AMQP_URL": broker_url}
    words = ("client_id=1", "client_secret=2", "--actions", "support.hooked")
    add = ("installs", "add", "hooked", "alice", *words)
    await asyncio.to_thread(terminal.run, *add, **worker, HOOKED_TOPOLOGY="faults")
    (started,) = await queues.read(topology.queue("start"), 1)
    assert (started.data, started.headers["user"]) == ({"new": "alice"}, "alice")
    other = ("installs", "add", "hooked", "bob", *words)
    text = await asyncio.to_thread(terminal.run, *other, **worker, HOOKED_TOPOLOGY="nobody", status=1)
    assert "after_install of the application failed: ApplicationError: nobody was not started" in text


def test_an_application_answers_who_is_nobody(terminal: Terminal) -> None:
    call = ("applications", "call", "books", "whatIsAsked", *ACTIONS)
    assert terminal.run(*call, "--data", '{"lang": "cs"}') == "<p>POST nobody cs</p>\n"
    assert terminal.run(*call) == "null\n"


def test_what_is_left_of_an_application_that_is_gone_can_be_removed(terminal: Terminal) -> None:
    words = ("client_id=1", "client_secret=2", "--actions", "support.hooked")
    terminal.run("installs", "add", "hooked", "alice", *words)
    assert "its hooks do not run" in terminal.run("installs", "disable", "hooked", "alice")
    assert "its hooks do not run" in terminal.run("installs", "remove", "hooked", "alice", "--yes")
    assert "has not installed nothing" in terminal.run("installs", "disable", "nothing", "alice", status=1)
