"""GitHub and Shopify: log in, subscribe, be called, leave; against servers that behave like them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from conftest import MakeTopology, RunWorker
from support.accounts import KEY, install, opened, webhooks_of
from support.queues import Queues
from support.topologies import TopologyFile, pass_on, sink
from support.webhook_services import CLIENT, SECRET, TOKEN, GitHubServer, ShopifyServer
from support.workers import InProcess

from applications import Application
from applications.accounts import Accounts
from applications.catalogue.github import GitHub, GitHubOAuth
from applications.catalogue.shopify import Shopify, ShopifyOAuth
from applications.errors import LoginDead
from worker.webhooks.subscriptions import SubscribeRefused, subscribe, unsubscribe
from worker.webhooks.webhook import Webhook

REDIRECT = "http://127.0.0.1:1/callback"
REPOSITORY = {"owner": "me", "record": "shop"}


@pytest.fixture
async def github() -> AsyncIterator[GitHubServer]:
    server = GitHubServer()
    async with server.serve():
        yield server


@pytest.fixture
async def shop() -> AsyncIterator[ShopifyServer]:
    server = ShopifyServer()
    async with server.serve():
        yield server


@pytest.fixture
async def accounts(tmp_path: Path) -> AsyncIterator[Accounts]:
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as found:
        yield found


@pytest.fixture
def topology(make_topology: MakeTopology) -> TopologyFile:
    return make_topology(pass_on("start", "sink"), sink())


@pytest.fixture
async def worker(topology: TopologyFile, run_worker: RunWorker, tmp_path: Path) -> InProcess:
    own = {"installs_url": f"sqlite:///{tmp_path}/installs.sqlite", "secret_keys": KEY, "token_journal": tmp_path}
    return await run_worker(topology, **own)


def github_at(server: GitHubServer) -> type[Application]:
    """GitHub with a token, at the loopback server."""
    return type("LocalGitHub", (GitHub,), {"base_url": server.base_url})


def github_oauth_at(server: GitHubServer) -> type[Application]:
    """GitHub with an OAuth app, at the loopback server."""
    login = f"{server.base_url}/login/oauth"
    own = replace(
        GitHubOAuth.authentication, authorize_url=f"{login}/authorize", token_url=f"{login}/access_token"
    )  # fmt: skip
    return type("LocalGitHubOAuth", (GitHubOAuth,), {"base_url": server.base_url, "authentication": own})


async def subscribed(
    accounts: Accounts, application: type[Application], name: str, worker: InProcess, topology: TopologyFile,
    *, is_another: bool = False, **parameters: str,
) -> Webhook:  # fmt: skip
    place = {"topology": worker.worker.parts.topology.id, "node": topology.node_id("start")}
    url = f"http://127.0.0.1:{worker.port}"
    chosen = {"public_url": url, "parameters": parameters, "is_another": is_another}
    return await subscribe(accounts, webhooks_of(accounts), application, "alice", name, **chosen, **place)


async def log_in(accounts: Accounts, application: type[Application], **change: str) -> None:
    async with httpx.AsyncClient() as client:
        reply = await client.get(await accounts.logins.start(application, "alice", REDIRECT))
    query = dict(parse_qsl(urlsplit(reply.headers["location"]).query)) | change
    await accounts.finish_login(application, await accounts.logins.read(query, "alice"))


async def test_github_calls_after_subscribing_until_leaving(
    accounts: Accounts, github: GitHubServer, worker: InProcess, topology: TopologyFile, queues: Queues
) -> None:
    application = github_at(github)
    await install(accounts, application, token=TOKEN)
    await subscribed(accounts, application, "issues", worker, topology, **REPOSITORY)
    (number,) = github.hooks
    assert (github.hooks[number]["events"], github.hooks[number]["config"]["content_type"]) == (["issues"], "json")
    client = await accounts.client(application, "alice")
    assert [hook["id"] for hook in (await client.get("/repos/me/shop/hooks")).json()] == [number]
    ping = await github.call(number, "ping", b'{"zen": "Design for failure."}')
    assert (ping.status_code, ping.text) == (200, "pong")
    assert (await github.call(number, "issues", b'{"action":"opened"}', secret="forged")).status_code == 401
    assert (await github.call(number, "issues", b'{"action":"opened"}')).json() == {"status": "started"}
    (message,) = await queues.read(topology.queue("sink"), 1)
    assert message.body == '{"action":"opened"}'
    (webhook,) = await webhooks_of(accounts).list()
    assert webhook.remote_id == f"/repos/me/shop/hooks/{number}"
    await unsubscribe(accounts, webhooks_of(accounts), application, webhook)
    assert (github.hooks, list(await webhooks_of(accounts).list())) == ({}, [])


async def test_github_refuses_to_subscribe(
    accounts: Accounts, github: GitHubServer, worker: InProcess, topology: TopologyFile
) -> None:
    application = github_at(github)
    await install(accounts, application, token="revoked")
    with pytest.raises(SubscribeRefused, match=r"git-hub answered 401: .*Bad credentials"):
        await subscribed(accounts, application, "push", worker, topology, **REPOSITORY)
    await accounts.save("alice", application, {"authorization_form": {"token": TOKEN}})
    with pytest.raises(SubscribeRefused, match=r"git-hub answered 404: .*Not Found"):
        await subscribed(accounts, application, "push", worker, topology, owner="other", record="shop")
    assert not await webhooks_of(accounts).list()
    assert not github.hooks


async def test_a_hook_that_github_has_lost_is_left_nevertheless(
    accounts: Accounts, github: GitHubServer, worker: InProcess, topology: TopologyFile
) -> None:
    application = github_at(github)
    await install(accounts, application, token=TOKEN)
    await subscribed(accounts, application, "push", worker, topology, **REPOSITORY)
    github.hooks.clear()
    (webhook,) = await webhooks_of(accounts).list()
    await unsubscribe(accounts, webhooks_of(accounts), application, webhook)
    assert not await webhooks_of(accounts).list()


async def test_a_person_logs_in_to_github_and_calls_are_made(accounts: Accounts, github: GitHubServer) -> None:
    application = github_oauth_at(github)
    await install(accounts, application, client_id=CLIENT, client_secret=SECRET)
    with pytest.raises(LoginDead, match="bad_verification_code"):
        await log_in(accounts, application, code="guessed")
    await log_in(accounts, application)
    assert github.scopes == "repo admin:repo_hook"
    client = await accounts.client(application, "alice")
    assert (await client.get("/user")).json() == {"login": "alice"}
    found = await accounts.installs.get("alice", application.key)
    assert found is not None
    assert (found.state, found.expires) == ("enabled", 0)


async def test_a_person_logs_in_at_the_own_shop_and_is_called(
    accounts: Accounts, shop: ShopifyServer, worker: InProcess, topology: TopologyFile, queues: Queues
) -> None:
    await install(accounts, ShopifyOAuth, client_id=CLIENT, client_secret=SECRET, shopifyUrl=shop.base_url)
    with pytest.raises(LoginDead, match="invalid_request"):
        await log_in(accounts, ShopifyOAuth, code="guessed")
    await log_in(accounts, ShopifyOAuth)
    assert shop.scopes.startswith("read_orders,write_orders,")
    client = await accounts.client(ShopifyOAuth, "alice")
    assert (await client.get("/shop.json")).json() == {"shop": {"name": "eshop"}}
    await subscribed(accounts, ShopifyOAuth, "orders/create", worker, topology)
    (number,) = shop.hooks
    assert (await shop.call(number, b'{"id":1}', secret="forged")).status_code == 401
    assert (await shop.call(number, b'{"id":1}')).json() == {"status": "started"}
    (message,) = await queues.read(topology.queue("sink"), 1)
    assert message.body == '{"id":1}'


async def test_shopify_refuses_lists_and_lets_go(
    accounts: Accounts, shop: ShopifyServer, worker: InProcess, topology: TopologyFile
) -> None:
    await install(accounts, Shopify, token="revoked", api_secret=SECRET, shopifyUrl=shop.base_url)
    with pytest.raises(SubscribeRefused, match=r"shopify answered 401: .*Invalid API key"):
        await subscribed(accounts, Shopify, "orders/paid", worker, topology)
    await accounts.save("alice", Shopify, {"authorization_form": {"token": TOKEN}})
    await subscribed(accounts, Shopify, "orders/paid", worker, topology)
    with pytest.raises(SubscribeRefused, match=r"shopify answered 422: .*has already been taken"):
        await subscribed(accounts, Shopify, "orders/paid", worker, topology, is_another=True)
    (webhook,) = await webhooks_of(accounts).list()
    (number,) = shop.hooks
    client = await accounts.client(Shopify, "alice")
    listed = (await client.get("/webhooks.json")).json()["webhooks"]
    assert [str(hook["id"]) for hook in listed] == [webhook.remote_id]
    assert (await shop.call(number, b"{}")).status_code == 200
    await unsubscribe(accounts, webhooks_of(accounts), Shopify, webhook)
    assert not shop.hooks
    assert not await webhooks_of(accounts).list()
