"""`orchesty-worker storage`: what people see of the data storage, and do about it."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from support.databases import MakeDatabase

from worker.cli import cli
from worker.storage.opening import open_storage

Run = Callable[..., Any]


@pytest.fixture(params=["sqlite", "redis"])
async def run(request: pytest.FixtureRequest, make_database: MakeDatabase) -> Run:
    """Run the command on a storage that has something in it; returns output and errors."""
    is_redis = request.param == "redis"
    url = request.getfixturevalue("own_redis").url if is_redis else make_database("sqlite")
    storage = open_storage(url)
    await storage.collection("products", process="r1").write([{"sku": f"[red]{number}"} for number in range(25)])
    await storage.collection("products", user="alice").write(["ž"])
    await storage.collection("rates", application="bank").write([1, 2])
    await storage.close()

    async def command(*arguments: str, status: int = 0, **environment: str) -> tuple[str, str]:
        own = {"WORKER_STORAGE_URL": url, "COLUMNS": "200"} | environment
        # In this process: to start a new one for each command would take most of the test's time.
        ended = await asyncio.to_thread(CliRunner().invoke, cli, ["storage", *arguments], env=own)
        assert ended.exit_code == status, ended.output
        return ended.stdout, ended.stderr

    return command


async def test_collections_are_listed_with_whose_they_are_and_how_many_items_they_have(run: Run) -> None:
    lines = [line.split() for line in (await run("list"))[0].splitlines()]
    assert [line[:-2] for line in lines[1:]] == [
        ["rates", "bank", "2"],
        ["products", "alice", "1"],
        ["products", "r1", "25"],
    ]
    assert "--limit 0 lists all" in (await run("list", "--limit", "2"))[0]
    found = json.loads((await run("list", "--json", "--name", "products"))[0])
    assert [(kept["user"], kept["process"], kept["items"]) for kept in found] == [("alice", "", 1), ("", "r1", 25)]
    assert "Nothing matches." in (await run("list", "--user", "bob"))[0]


async def test_a_collection_is_shown_with_its_first_items(run: Run) -> None:
    text, _ = await run("show", "products", "--process", "r1")
    assert '{"sku": "[red]19"}' in text
    assert '{"sku": "[red]20"}' not in text
    assert "and 5 more" in text
    shown = json.loads((await run("show", "products", "--user", "alice", "--json"))[0])
    assert (shown["name"], shown["items"], shown["content"]) == ("products", 1, ["ž"])
    assert len(json.loads((await run("show", "products", "--user", "", "--limit", "0", "--json"))[0])["content"]) == 25
    assert "several collections are named products" in (await run("show", "products", status=1))[1]
    assert "storage list" in (await run("show", "nothing", status=1))[1]


async def test_only_what_was_chosen_is_purged(run: Run) -> None:
    assert (await run("purge", "--name", "products", "--dry-run"))[0] == "2 collections with 26 items to delete\n"
    assert (await run("purge", "--name", "products", "--yes"))[0] == "2 collections with 26 items deleted\n"
    assert [kept["name"] for kept in json.loads((await run("list", "--json"))[0])] == ["rates"]
    assert "add --yes" in (await run("purge", "--name", "rates", status=2))[1]
    assert "say which" in (await run("purge", status=2))[1]
    assert "say which" in (await run("purge", "--all", "--user", "x", status=2))[1]
    assert (await run("purge", "--all", "-y"))[0] == "1 collection with 2 items deleted\n"
    assert (await run("purge", "--all"))[0] == "0 collections with 0 items to delete\n"
    assert "No collection has items." in (await run("list"))[0]


async def test_a_storage_that_is_away_is_named_without_its_password(run: Run) -> None:
    _, errors = await run("list", status=1, WORKER_STORAGE_URL="redis://:hunter2@127.0.0.1:9/0")
    assert "WORKER_STORAGE_URL" in errors
    assert "hunter2" not in errors
