"""The client of worker-api's documents, beside a stand-in with the rules of the real one."""

from collections.abc import AsyncIterator

import pytest
from support.installation.worker_api import KEY, WorkerApi

from worker.documents.client import Collection, DocumentClient, DocumentsAway


@pytest.fixture
async def api() -> AsyncIterator[WorkerApi]:
    async with WorkerApi().running() as found:
        yield found


@pytest.fixture
async def client(api: WorkerApi) -> AsyncIterator[DocumentClient]:
    found = DocumentClient(api.url, KEY)
    yield found
    await found.close()


async def users(client: DocumentClient, wanted: dict[str, object], **more: dict[str, object]) -> list[str]:
    found = await client.find(Collection.INSTALLS, wanted, is_fresh=True, **more)  # type: ignore[arg-type]
    return [one["user"] for one in found]


async def test_documents_are_filtered_sorted_and_paged(api: WorkerApi, client: DocumentClient) -> None:
    for number, (user, sdk) in enumerate([("c", "php"), ("a", "php"), ("b", "")]):
        extra = {"sdk": sdk} if sdk else {}
        created = f"2026-01-0{number + 1}T00:00:00.000Z"
        api.add("ApplicationInstall", user=user, key="shop", enabled=user != "a", created=created, **extra)
    assert await users(client, {"enabled": None}) == ["c", "a", "b"]
    assert await users(client, {"enabled": True}) == ["c", "b"]
    assert await users(client, {"sdks": ["php"], "enabled": None}) == ["c", "a"]
    newest = {"created": "desc"}
    assert await users(client, {"enabled": None}, sorter=newest, paging={"limit": 1, "offset": 1}) == ["a"]


async def test_empty_texts_find_nothing_and_are_not_asked_for(api: WorkerApi, client: DocumentClient) -> None:
    assert await client.find(Collection.INSTALLS, {"users": [""], "enabled": None}) == ()
    assert await client.node("") is None
    assert await client.node("not-an-id") is None
    assert api.requests == []
    assert await users(client, {"users": ["", "a"], "enabled": None}) == []


async def test_the_settings_of_a_node_are_read_once_a_second(api: WorkerApi, client: DocumentClient) -> None:
    own_id = api.add("Node", systemConfigs='{"repeater": {"enabled": true}}')
    for _ in range(5):
        assert (await client.node(own_id) or {})["systemConfigs"] == '{"repeater": {"enabled": true}}'
    assert len(api.requests) == 1


async def test_what_is_written_is_read_at_once(api: WorkerApi, client: DocumentClient) -> None:
    await client.save(Collection.WEBHOOKS, {"_id": "", "user": "a", "application": "shop", "deleted": False})
    (found,) = await client.find(Collection.WEBHOOKS, {"users": ["a"]})
    await client.save(Collection.WEBHOOKS, {"_id": found["_id"], "token": "t"})
    (found,) = await client.find(Collection.WEBHOOKS, {"users": ["a"]})
    assert (found["token"], found["application"]) == ("t", "shop")
    await client.delete(Collection.WEBHOOKS, [found["_id"]])
    assert not await client.find(Collection.WEBHOOKS, {"users": ["a"]})


async def test_an_address_where_nobody_is_is_told() -> None:
    client = DocumentClient("http://127.0.0.1:1", KEY)
    with pytest.raises(DocumentsAway, match="does not answer"):
        await client.find(Collection.WEBHOOKS, {})
    await client.close()
