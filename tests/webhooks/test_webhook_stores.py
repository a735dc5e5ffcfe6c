"""What every store of webhooks promises, and how the documents of the platform look to its other services."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.accounts import opened_as, opened_at_platform, webhooks_of
from support.databases import MakeDatabase
from support.installation.worker_api import WorkerApi

from applications.accounts import Accounts


@pytest.fixture(params=["sqlite", "postgresql", "platform"])
async def accounts(
    request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path: Path
) -> AsyncIterator[Accounts]:
    async with opened_as(request.param, make_database, tmp_path) as found:
        yield found


async def test_a_webhook_keeps_its_token_and_secret(accounts: Accounts) -> None:
    store = webhooks_of(accounts)
    made = await store.add("alice", "git-hub", "issues", "t1", "n1")
    await store.subscribed(made, "42")
    (found,) = await store.list(topology="t1", node="n1")
    assert (store.secrets(found), found.remote_id) == (store.secrets(made), "42")
    token = store.secrets(found).token
    assert len(token) == 50
    assert await store.called([token, "0" * 50]) == {token: found}
    assert not await store.list(topology="t1", node="n2")
    await store.remove(found)
    assert not await store.list()
    assert not await store.called([token])


async def test_webhooks_are_found_by_what_they_are_for(accounts: Accounts) -> None:
    store = webhooks_of(accounts)
    first = await store.add("alice", "git-hub", "issues", "t1", "n1", {"owner": "me"}, sdk="php")
    second = await store.add("bob", "git-hub", "issues", "t1", "n1")
    assert await store.list(user="alice", application="git-hub", parameters='{"owner": "me"}') == [first]
    assert set(await store.ids(topology="t1")) == {first.id, second.id}
    assert not await store.list(name="pushes")
    assert store.secrets(first) != store.secrets(second)
    await store.unsubscribe_failed(second)
    assert [one.is_unsubscribe_failed for one in await store.list(user="bob")] == [True]
    assert not await store.rotate(first.id)


async def test_the_editor_and_the_starting_point_find_what_they_look_for(tmp_path: Path) -> None:
    async with WorkerApi().running() as api:
        async with opened_at_platform(api.url, f"sqlite:///{tmp_path}/notes.sqlite", tmp_path) as accounts:
            store = webhooks_of(accounts)
            made = await store.add("alice", "git-hub", "issues", "t1", "n1", sdk="php")
            await store.subscribed(made, "42")
            own = store.secrets(made)
            (document,) = api.kept("Webhook")
            assert own.secret not in str(document)
        wanted = {
            "name": "issues", "user": "alice", "token": own.token, "node": "n1", "topology": "t1",
            "application": "git-hub", "webhookId": "42", "unsubscribeFailed": False, "deleted": False, "sdk": "php",
        }  # fmt: skip
        assert {name: document[name] for name in wanted} == wanted


async def test_a_webhook_that_another_service_has_made_has_no_secret_of_ours(tmp_path: Path) -> None:
    async with WorkerApi().running() as api:
        api.add("Webhook", name="issues", user="alice", token="t" * 50, node="n", topology="t", application="git-hub")
        async with opened_at_platform(api.url, f"sqlite:///{tmp_path}/notes.sqlite", tmp_path) as accounts:
            store = webhooks_of(accounts)
            (found,) = await store.list(application="git-hub")
            assert (store.secrets(found).secret, found.remote_id) == ("", "")
            assert await store.called(["t" * 50, "u" * 50]) == {"t" * 50: found}
