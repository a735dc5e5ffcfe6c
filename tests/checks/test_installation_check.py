"""What `check` says of the platform's installation."""

from collections.abc import AsyncIterator

import pytest
from support.installation.worker_api import KEY, WorkerApi

from deploy.ports import free_ports
from worker.checks.finding import Finding, FindingState
from worker.checks.installation import check_installation
from worker.documents.cipher import PlatformCipher
from worker.settings.settings import load_settings

SECRET = "secret-of-the-platform"


@pytest.fixture
async def api() -> AsyncIterator[WorkerApi]:
    async with WorkerApi().running() as found:
        yield found


async def findings(**settings: object) -> dict[str, Finding]:
    return {one.check: one async for one in check_installation(load_settings(**settings))}


async def test_without_an_installation_nothing_is_asked() -> None:
    assert await findings(api_host="127.0.0.1:1") == {}


async def test_each_service_is_named_with_where_its_address_comes_from(api: WorkerApi) -> None:
    own = {"tenant_id": "local", "dev_ip": "127.0.0.1", "crypt_secret": SECRET, "orchesty_api_key": KEY}
    found = await findings(**own, api_host=api.url, backend_url=api.url)
    assert found["backend"].detail == f"{api.url} (named by itself) answers"
    assert found["worker-api"].detail == f"{api.url} (named by itself) answers and keeps the installs"
    away = found["starting-point"]
    assert away.state is FindingState.FAILED
    assert away.detail.startswith("http://127.0.0.1:82 (from TENANT_ID=local) does not answer")


@pytest.mark.parametrize(
    ("key", "secret", "said"),
    [("wrong", SECRET, "ORCHESTY_API_KEY"), (KEY, "another", "CRYPT_SECRET"), (KEY, "žluť", "CRYPT_SECRET")],
)
async def test_what_does_not_fit_is_told_with_its_cure(api: WorkerApi, key: str, secret: str, said: str) -> None:
    sealed = PlatformCipher(SECRET).seal({"authorization_form": {"token": "canary"}})
    api.add("ApplicationInstall", user="alice", key="shop", enabled=True, encryptedSettings=sealed)
    found = (await findings(api_host=api.url, crypt_secret=secret, orchesty_api_key=key))["worker-api"]
    assert found.state is FindingState.FAILED
    assert said in found.cure
    assert "canary" not in found.detail


async def test_a_backend_that_is_named_is_asked_without_a_tenant(api: WorkerApi) -> None:
    assert (await findings(backend_url=api.url))["backend"].state is FindingState.OK
    assert (await findings(backend_url="http://127.0.0.1:1"))["backend"].state is FindingState.FAILED


async def test_figures_that_have_no_place_are_told_and_stop_nothing() -> None:
    (port,) = free_ports(1)
    own = {"metrics_dsn": f"mongodb://u:canary@127.0.0.1:{port}/metrics?serverSelectionTimeoutMS=100"}
    assert "figures" not in await findings(**own), "standalone mode writes none"
    found = (await findings(**own, mode="platform"))["figures"]
    assert (found.state, "METRICS_DSN" in found.cure) == (FindingState.WARNING, True)
    assert "canary" not in found.detail + found.cure
