"""`orchesty-worker check`, on a real broker."""

import asyncio
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import MakeTopology
from redis.asyncio import Redis
from sqlalchemy import text
from support.accounts import KEY, opened
from support.command import command_async
from support.databases import MakeDatabase
from support.queues import Queues
from support.rabbitmqctl import add_user, rabbitmqctl, setting
from support.topologies import TopologyFile, connector, custom_node, pass_on

from applications.crypt import new_key
from deploy.broker import Broker
from deploy.ports import free_ports
from deploy.redis import PrivateRedis
from worker.accounts import tables as accounts
from worker.broker.delays import LOST
from worker.checks.broker import NAMES
from worker.checks.clock import compare_clocks
from worker.checks.files import check_disk, check_file, check_journal, check_modes
from worker.checks.finding import Finding, FindingState
from worker.checks.stores import check_databases, check_installs, check_redis, check_storage, check_tables, check_trash
from worker.database.engine import sync_engine
from worker.database.migrate import bring_up_to_date
from worker.deduplication import tables as deduplication
from worker.runs.store import RunStore
from worker.runs.tables import CHAIN, messages
from worker.settings.settings import load_settings
from worker.storage import tables as storage
from worker.trash import tables as trash


async def check(
    topology: TopologyFile | None, url: str, *arguments: str, status: int = 0, **environment: str
) -> Mapping[str, Mapping[str, str]]:
    """Run the command; return the findings by check."""
    own = {"WORKER_AMQP_URL": url, "PYTHONPATH": str(Path(__file__).parent.parent)}
    if topology is not None:
        own |= {
            "TOPOLOGY_JSON": str(topology.path),
            "WORKER_TRASH_URL": f"sqlite:///{topology.path.with_suffix('.sqlite')}",
        }
    done = await command_async("check", "--json", *arguments, **own | environment)
    assert done.returncode == status, done.stdout + done.stderr
    return {finding["check"]: finding for finding in json.loads(done.stdout)}


def states(findings: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return {check: finding["state"] for check, finding in findings.items()}


async def test_all_is_well(make_topology: MakeTopology, queues: Queues, broker_url: str) -> None:
    topology = make_topology(pass_on("start", "copy"), custom_node("copy", "copy"))
    await queues.declare(topology.exchange("start"), topology.queue("start"))
    await queues.delete_queue(LOST)  # what other tests have left
    found = await check(topology, broker_url, WORKER_ACTIONS="support.actions")
    assert states(found) == {
        "settings": "ok",
        "topology": "ok",
        "actions": "ok",
        "consumer timeout": "ok",
        "broker": "ok",
        "plugin": "ok",
        "may configure": "ok",
        "may write": "ok",
        "may read": "ok",
        "broker's clock": "unknown",
        "lost messages": "ok",
        "channels": "ok",
        "followers": "ok",
        "queues": "ok",
        "leftovers": "ok",
        "trash": "ok",
        "disk": "ok",
        "storage": "ok",
        "process state": "ok",
        "file modes": "ok",
    }
    there, of_all = map(int, found["queues"]["detail"].partition(" are there")[0].split(" of "))
    assert 1 <= there < of_all == 53  # the tiers are shared with other tests
    with pytest.raises(Exception, match="NOT_FOUND"):
        await queues.length(topology.queue("copy"))  # the check has created nothing


async def test_the_table_has_a_line_for_each_finding_and_its_cure(make_topology: MakeTopology, broker_url: str) -> None:
    topology = make_topology(custom_node("copy", "no-such-action"))
    done = await command_async(
        "check", TOPOLOGY_JSON=str(topology.path), WORKER_AMQP_URL=broker_url, WORKER_ACTION="x", COLUMNS="200"
    )
    assert done.returncode == 1
    assert "did you mean WORKER_ACTIONS?" in done.stdout
    assert "wants the action" in done.stdout
    assert "→ Add the module with --actions" in done.stdout


async def test_a_broker_that_is_away_is_named_with_its_cure(make_topology: MakeTopology) -> None:
    found = await check(make_topology(pass_on("start")), "amqp://127.0.0.1:1/", status=1)
    assert states(found)["broker"] == "failed"
    assert "127.0.0.1:1" in found["broker"]["detail"]
    assert "WORKER_AMQP_URL" in found["broker"]["cure"]
    assert states(found)["trash"] == "ok"


async def test_a_wrong_password_and_a_missing_virtual_host_have_cures_of_their_own(
    make_topology: MakeTopology, own_broker: Broker
) -> None:
    topology = make_topology(pass_on("start"))
    found = await check(topology, own_broker.url.replace(":guest@", ":wrong@"), status=1)
    assert "authenticate_user" in found["broker"]["cure"]
    assert "wrong" not in found["broker"]["detail"]
    found = await check(topology, own_broker.url.replace("%2F", "nowhere"), status=1)
    assert "add_vhost" in found["broker"]["cure"]


@pytest.mark.parametrize("missing", ["configure", "write", "read"])
async def test_a_missing_permission_is_found_by_trying(
    make_topology: MakeTopology, own_broker: Broker, missing: str
) -> None:
    url = add_user(own_broker, **{missing: "^$"})
    found = await check(make_topology(pass_on("start")), url, status=1)
    assert states(found)[f"may {missing}"] == "failed"
    assert "rabbitmqctl set_permissions -p '/' 'user-" in found[f"may {missing}"]["cure"]


async def test_the_permissions_that_the_cure_gives_are_enough(make_topology: MakeTopology, own_broker: Broker) -> None:
    url = add_user(own_broker, configure=NAMES, write=NAMES, read=NAMES)
    found = await check(make_topology(pass_on("start")), url)
    assert "failed" not in states(found).values()


async def test_followers_that_cannot_be_published_to_are_found(
    make_topology: MakeTopology, queues: Queues, own_broker: Broker
) -> None:
    topology = make_topology(pass_on("start", "missing", "internal", "closed", "own"), pass_on("own"))
    channel = await queues.channel()
    await channel.exchange_declare(
        topology.exchange("internal"), exchange_type="x-consistent-hash", durable=True, internal=True
    )
    await queues.declare(topology.exchange("closed"), topology.queue("closed"))
    others = rf"^(?!{topology.exchange('closed')}$).*"
    found = (await check(topology, add_user(own_broker, write=others), status=1))["followers"]
    assert found["state"] == "failed"
    missing, internal, closed = found["detail"].split("; ")
    assert f"missing ({topology.exchange('missing')}): does not exist" in missing
    assert "is internal" in internal
    assert "ACCESS_REFUSED" in closed
    assert f"access to exchange '{topology.exchange('closed')}'" in closed


async def test_too_few_channels_are_found_with_the_figure(make_topology: MakeTopology, own_broker: Broker) -> None:
    topology = make_topology(custom_node("work", "copy", orderBy="body:key"))
    with setting(own_broker, "channel_max", 20):
        found = (await check(topology, own_broker.url, status=1))["channels"]
    assert (found["state"], found["detail"].split(" that")[0]) == (
        "failed",
        "the nodes need 22 of the 20 channels",
    )
    assert "channel_max = 22" in found["cure"]


async def test_causes_of_tls_have_cures_of_their_own(make_topology: MakeTopology, own_broker: Broker) -> None:
    topology = make_topology(pass_on("start"))
    plain = own_broker.url.replace("amqp://", "amqps://")
    found = (await check(topology, plain, status=1))["broker"]
    assert "TLS: " in found["detail"]
    assert "cafile" in found["cure"]
    found = (await check(topology, f"{plain}?cafile=/no/such/ca.pem", status=1))["broker"]
    assert "cafile=/no/such/ca.pem of the broker's address: No such file or directory" in found["detail"]
    assert "Correct the option" in found["cure"]


@pytest.mark.parametrize("arguments", [{"x-queue-type": "classic"}, {"x-queue-type": "quorum", "x-max-length": 9}])
async def test_a_queue_with_other_arguments_fails_until_its_cure_was_run(
    make_topology: MakeTopology, queues: Queues, own_broker: Broker, arguments: Mapping[str, object]
) -> None:
    topology = make_topology(pass_on("start"))
    await queues.declare(topology.exchange("start"), topology.queue("start"), arguments)
    found = await check(topology, own_broker.url, status=1)
    assert topology.queue("start") in found["queues"]["detail"]
    assert "when no message is left" in found["queues"]["cure"]
    command = found["queues"]["cure"].rpartition("rabbitmqctl ")[2]
    await asyncio.to_thread(rabbitmqctl, own_broker, *command.split())
    assert (await check(topology, own_broker.url))["queues"]["state"] == "ok"


async def test_partitions_are_compared_too(make_topology: MakeTopology, queues: Queues, broker_url: str) -> None:
    topology = make_topology(custom_node("work", "copy", orderBy="body:key"))
    partition = f"node.{topology.node_id('work')}.order.3"
    await queues.declare(topology.exchange("work"), partition, {"x-queue-type": "classic"})
    found = await check(topology, broker_url, status=1)
    await queues.delete_queue(partition)
    assert f"{partition}: inequivalent arg 'x-queue-type'" in found["queues"]["detail"]


async def test_an_action_that_may_take_longer_than_the_broker_waits_is_warned_of(
    make_topology: MakeTopology, broker_url: str
) -> None:
    topology = make_topology(connector("slow", "copy", timeout=3600))
    found = await check(topology, broker_url, WORKER_ACTIONS="support.actions")
    assert states(found)["consumer timeout"] == "warning"
    assert "consumer_timeout = " in found["consumer timeout"]["cure"]


async def test_wrong_settings_are_a_finding(broker_url: str) -> None:
    found = await check(None, broker_url, status=1, WORKER_HTTP_PORT="eighty")
    assert states(found)["settings"] == "failed"
    assert "WORKER_HTTP_PORT" in found["settings"]["detail"]
    assert states(found)["broker"] == "unknown"


def test_a_trash_that_cannot_be_written_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no database, and no folder")
    assert check_file(tmp_path / "file" / "trash.sqlite").state is FindingState.FAILED
    assert check_file(tmp_path / "file").state is FindingState.FAILED
    assert check_file(Path("/proc/trash.sqlite")).state is FindingState.FAILED


def test_a_trash_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    assert check_file(tmp_path / "new" / "trash.sqlite").state is FindingState.OK
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["postgresql", "mongodb"])
async def test_a_trash_in_a_database_is_reached_and_its_clock_compared(kind: str, make_database: MakeDatabase) -> None:
    found = [finding async for finding in check_trash(make_database(kind))]
    assert [(finding.check, finding.state) for finding in found] == [
        ("trash", FindingState.OK),
        ("trash's clock", FindingState.OK),
    ]


async def test_a_database_that_is_away_fails_and_its_password_stays_hidden() -> None:
    (port,) = free_ports(1)
    url = f"postgresql://shop:s3cret@127.0.0.1:{port}/shop"
    (found,) = [finding async for finding in check_trash(url)]
    assert (found.state, "WORKER_TRASH_URL" in found.cure) == (FindingState.FAILED, True)
    assert "s3cret" not in str(found)


def test_a_full_disk_fails() -> None:
    assert check_disk("sqlite:////proc/trash.sqlite").state is FindingState.FAILED


async def test_the_journal_of_tokens_is_tried_where_there_are_keys(
    make_topology: MakeTopology, broker_url: str, tmp_path: Path
) -> None:
    assert check_journal(tmp_path / "a" / "b").state is FindingState.OK
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").touch()
    own = {"WORKER_TOKEN_JOURNAL": str(tmp_path / "file" / "journal"), "WORKER_SECRET_KEYS": new_key("a")}
    found = await check(make_topology(pass_on("start")), broker_url, **own)
    assert found["token journal"]["state"] == "warning"
    assert "WORKER_TOKEN_JOURNAL" in found["token journal"]["cure"]


def test_files_that_others_can_read_are_named_with_their_cure(tmp_path: Path) -> None:
    database, folder = tmp_path / "trash.sqlite", tmp_path / "closed"
    folder.mkdir(mode=0o700)
    for path in (database, tmp_path / "trash.sqlite-wal", folder / "keys"):
        path.touch(mode=0o644)
    for place in tmp_path.parents[: len(tmp_path.parents) - 2]:
        place.chmod(place.stat().st_mode | 0o001)
    tmp_path.chmod(0o755)
    found = check_modes([database, folder / "keys", tmp_path / "missing"])
    assert (found.state, found.cure) == (FindingState.WARNING, f"chmod 600 {database} {database}-wal")
    database.chmod(0o640)
    (tmp_path / "trash.sqlite-wal").chmod(0o600)
    assert check_modes([database, folder / "keys"]).state is FindingState.OK


def test_the_disk_beside_a_mongodb_of_several_hosts_is_looked_at() -> None:
    assert check_disk("mongodb://one:27017,two:27017/worker").check == "disk"


@pytest.mark.parametrize(
    ("seconds", "state", "said"),
    [
        (0, FindingState.OK, "0.0 s"),
        (-1.5, FindingState.OK, "1.5 s behind"),
        (60, FindingState.WARNING, "60.0 s ahead of"),
    ],
)
def test_clocks_are_compared(seconds: float, state: FindingState, said: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    found = compare_clocks("clock", now + timedelta(seconds=seconds), now)
    assert (found.state, said in found.detail) == (state, True)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_database_of_processes_is_reached_before_and_after_its_tables_are_made(
    kind: str, make_database: MakeDatabase
) -> None:
    url = make_database(kind)
    found = check_tables("process state", url, CHAIN, messages)
    assert (found.state, "up to date" in found.detail) == (FindingState.OK, False)
    with closing(RunStore(url)) as store:
        store.write([])
    found = check_tables("process state", url, CHAIN, messages)
    assert (found.state, "up to date" in found.detail) == (FindingState.OK, True)


def test_nothing_is_made_in_a_database_that_others_use(tmp_path: Path) -> None:
    path = tmp_path / "shared.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (number INTEGER)")
        assert check_tables("process state", f"sqlite:///{path}", CHAIN, messages).state is FindingState.OK
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]


def test_a_database_that_may_only_be_read_fails(make_database: MakeDatabase) -> None:
    url = make_database("postgresql")
    read_only = f"{url}{'&' if '?' in url else '?'}options=-cdefault_transaction_read_only%3Don"
    found = check_tables("process state", read_only, CHAIN, messages)
    assert (found.state, "WORKER_DATABASE_URL" in found.cure) == (FindingState.FAILED, True)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_missing_tables_and_columns_are_named_with_a_cure(kind: str, make_database: MakeDatabase) -> None:
    url = make_database(kind)
    bring_up_to_date(url, trash.CHAIN)
    bring_up_to_date(url, storage.CHAIN)
    states = {finding.check: finding.state async for finding in check_trash(url)}
    assert set(states.values()) == {(await check_storage(url)).state} == {FindingState.OK}
    engine = sync_engine(url)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE trash DROP COLUMN raw"))
        connection.execute(text("DROP TABLE storage_values"))
        connection.execute(text("ALTER TABLE storage_groups DROP COLUMN closed_by"))
    engine.dispose()
    (found,) = [finding async for finding in check_trash(url)]
    assert (found.state, found.detail.endswith("lacks trash.raw")) == (FindingState.FAILED, True)
    assert "drop all of trash_version, trash:" in found.cure
    found = await check_storage(url)
    assert found.state is FindingState.FAILED
    assert "storage_groups.closed_by" in found.detail
    assert "storage_values" in found.detail.split(" lacks ")[1].split(", ")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_what_remembers_duplicates_is_checked_where_a_node_asks_for_it(
    make_topology: MakeTopology, broker_url: str, make_database: MakeDatabase, kind: str
) -> None:
    url = make_database(kind)
    plain, once = (
        make_topology(custom_node("copy", "copy", **wanted)) for wanted in ({}, {"deduplicate": {"seconds": 60}})
    )
    own = {"WORKER_ACTIONS": "support.actions", "WORKER_DATABASE_URL": url, "WORKER_PROCESS_STATE": "false"}
    assert "deduplication" not in await check(plain, broker_url, **own)
    found = await check(once, broker_url, **own)
    assert found["deduplication"]["state"] == "ok"
    bring_up_to_date(url, deduplication.CHAIN)
    found = await check(once, broker_url, **own)
    assert "up to date" in found["deduplication"]["detail"]
    engine = sync_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE deduplication_mark"))
    engine.dispose()
    found = await check(once, broker_url, status=1, **own)
    assert found["deduplication"]["detail"].endswith("lacks deduplication_mark")
    assert "deduplication_version, deduplication_mark" in found["deduplication"]["cure"]


@pytest.mark.parametrize(
    ("memory", "policy", "state"),
    [
        ("100mb", "allkeys-lru", FindingState.WARNING),
        ("100mb", "volatile-ttl", FindingState.WARNING),
        ("100mb", "noeviction", FindingState.OK),
        ("0", "allkeys-lru", FindingState.OK),
    ],
)
async def test_a_redis_that_throws_keys_away_is_told(
    own_redis: PrivateRedis, memory: str, policy: str, state: FindingState
) -> None:
    redis = Redis.from_url(own_redis.url)
    await redis.config_set("maxmemory", memory)
    await redis.config_set("maxmemory-policy", policy)
    await redis.aclose()
    found = await check_redis(own_redis.url)
    assert found.state is state
    assert (policy in found.detail) == (state is FindingState.WARNING)


async def test_a_user_who_may_not_ask_how_redis_evicts_is_served_all_the_same(own_redis: PrivateRedis) -> None:
    redis = Redis.from_url(own_redis.url)
    await redis.config_set("maxmemory", "100mb")
    await redis.config_set("maxmemory-policy", "allkeys-lru")
    await redis.execute_command("ACL", "SETUSER", "worker", "on", ">s3cret", "~*", "+@all", "-info")
    await redis.aclose()
    assert (await check_redis(own_redis.url.replace("redis://", "redis://worker:s3cret@"))).state is FindingState.OK


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_installs_are_checked_where_there_are_keys(
    make_database: MakeDatabase, kind: str, tmp_path: Path
) -> None:
    url = make_database(kind)
    own = {"database_url": url, "process_state": False}
    assert not [finding async for finding in check_databases(load_settings(**own), ())]

    async def found() -> Finding:
        (finding,) = [finding async for finding in check_databases(load_settings(**own, secret_keys=KEY), ())]
        assert finding.check == "installs"
        return finding

    assert (await found()).state is FindingState.OK
    bring_up_to_date(url, replace(accounts.CHAIN, head="0001"))
    assert "version 0001 will be updated to 0003" in (await found()).detail
    async with opened(url, tmp_path) as users:
        await users.installs.list()
    assert "up to date" in (await found()).detail
    engine = sync_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE webhook_deliveries"))
    engine.dispose()
    assert ((await found()).state, "lacks webhook_deliveries" in (await found()).detail) == (FindingState.FAILED, True)


@pytest.mark.parametrize("url", ["redis://:s3cret@127.0.0.1/0", "s3cret"])
def test_an_address_that_is_none_of_a_database_of_installs_fails_and_its_password_stays_hidden(url: str) -> None:
    found = check_installs(url)
    assert (found.state, "WORKER_INSTALLS_URL" in found.cure) == (FindingState.FAILED, True)
    assert "s3cret" not in f"{found.detail}{found.cure}"


async def test_redis_is_written_and_one_that_is_away_fails(redis_url: str) -> None:
    assert (await check_redis(redis_url)).state is FindingState.OK
    (port,) = free_ports(1)
    found = await check_redis(f"redis://:s3cret@127.0.0.1:{port}/0")
    assert (found.state, "WORKER_REDIS_URL" in found.cure, "s3cret" in str(found)) == (FindingState.FAILED, True, False)
