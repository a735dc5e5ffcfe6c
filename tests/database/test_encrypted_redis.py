"""What is kept in Redis goes there encrypted with `rediss://`, and to no server that cannot prove itself."""

from pathlib import Path

import pytest
from redis.asyncio import Redis
from support.certificates import write_certificate

from connectors import Message
from deploy.ports import free_ports
from deploy.redis import PrivateRedis
from worker.checks.finding import FindingState
from worker.checks.stores import check_redis
from worker.deduplication.marks import Mark, Taken
from worker.deduplication.opening import open_marks
from worker.limits.limit import parse_limits
from worker.limits.reservations import Turn, TurnRequest
from worker.modes.standalone import reservations_of
from worker.settings.settings import load_settings
from worker.storage.opening import open_storage


@pytest.fixture
async def port(own_redis: PrivateRedis, tmp_path: Path) -> int:
    """Where the Redis listens for encrypted connections; the certificate lies in `tmp_path`."""
    (port,) = free_ports(1)
    certificate, private = write_certificate(tmp_path)
    redis = Redis.from_url(own_redis.url)
    wanted = {"tls-cert-file": certificate, "tls-key-file": private, "tls-ca-cert-file": certificate, "tls-port": port}
    parts = [str(part) for pair in wanted.items() for part in pair]
    await redis.execute_command("CONFIG", "SET", "tls-auth-clients", "no", *parts)
    await redis.aclose()
    return port


@pytest.fixture
def url(port: int, tmp_path: Path) -> str:
    return f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={tmp_path / 'redis.crt'}"


async def test_limits_are_kept_over_an_encrypted_connection(url: str) -> None:
    store = reservations_of(load_settings(redis_url=url), lambda: 1)
    try:
        assert isinstance(await store.ask(TurnRequest(parse_limits("a|shop;60;1"), "a|shop", "one")), Turn)
        (state,) = await store.states("a|shop")
        assert state.used == 1
    finally:
        await store.close()


async def test_marks_and_data_are_kept_over_an_encrypted_connection(url: str) -> None:
    marks, storage = open_marks(url), open_storage(url)
    try:
        assert await marks.take(Mark("1" * 64, "2" * 64, 60)) is Taken.OURS
        state = storage.state(Message({"user": "alice", "node-id": "orders"}, "{}"))
        await state.save("17")
        assert await state.load() == "17"
    finally:
        await marks.close()
        await storage.close()


async def test_a_server_that_cannot_prove_itself_is_not_written_to(port: int, url: str) -> None:
    assert (await check_redis(url)).state is FindingState.OK
    found = await check_redis(f"rediss://127.0.0.1:{port}/0")
    assert found.state is FindingState.FAILED
    assert "certificate verify failed" in found.detail
