"""What follows from TENANT_ID, CRYPT_SECRET and ORCHESTY_API_KEY."""

from collections.abc import Mapping

import pytest

from worker.accounts.opening import open_accounts, read_keyring
from worker.accounts.platform import PlatformAccounts
from worker.accounts.sql import SqlAccounts
from worker.errors import SettingsError
from worker.settings.environment import environment_of
from worker.settings.settings import Settings, load_settings


def loaded(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load_settings()


@pytest.mark.parametrize(
    ("variables", "backend", "starting_point", "worker_api", "port"),
    [
        ({"TENANT_ID": "docker"}, "http://backend", "http://starting-point:8080", "http://worker-api:8080", 8080),
        (
            {"TENANT_ID": "local", "DEV_IP": "10.0.0.7"},
            "http://10.0.0.7:8080", "http://10.0.0.7:82", "http://10.0.0.7:8081", 8080,
        ),
        (
            {"TENANT_ID": "t1"},
            "https://api-t1.eu1.cloud.orchesty.io", "https://start-t1.eu1.cloud.orchesty.io",
            "https://worker-t1.eu1.cloud.orchesty.io", 8080,
        ),
        (
            {"TENANT_ID": "t1", "CLOUD_REGION": "us2", "BACKEND_DSN": "http://b", "APP_PORT": "81"},
            "http://b", "https://start-t1.us2.cloud.orchesty.io", "https://worker-t1.us2.cloud.orchesty.io", 81,
        ),
        (
            {"TENANT_ID": "docker", "STARTING_POINT_URL": "http://s", "WORKER_API_HOST": "w:1", "PORT": "82"},
            "http://backend", "http://s", "http://w:1", 82,
        ),
        ({}, None, None, "", 8000),
    ],
)  # fmt: skip
def test_addresses_follow_from_the_tenant_unless_they_are_named(
    monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str], backend: str, starting_point: str, worker_api: str,
    port: int,
) -> None:  # fmt: skip
    found = loaded(monkeypatch, **variables)
    assert (found.backend_url, found.starting_point_dsn, found.worker_api_url) == (backend, starting_point, worker_api)
    assert found.http_port == port
    assert set(environment_of(found).values()) == set(variables.values()), "another process derives the rest itself"


async def test_three_variables_open_the_installs_of_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, TENANT_ID="docker", CRYPT_SECRET="s", ORCHESTY_API_KEY="k")
    opened = open_accounts(settings)
    assert isinstance(opened.accounts._store, PlatformAccounts)
    await opened.close()


async def test_without_the_secret_installs_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, TENANT_ID="docker", ORCHESTY_API_KEY="k")
    opened = open_accounts(settings)
    assert isinstance(opened.accounts._store, SqlAccounts)
    await opened.close()


def test_the_key_of_our_own_secrets_follows_from_that_of_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    first, again = (read_keyring(loaded(monkeypatch, CRYPT_SECRET=secret)) for secret in ("s", "s"))
    assert again.open(first.seal(b"x", "here"), "here") == b"x"
    assert first.key_ids == ["crypt-secret"]


@pytest.mark.parametrize(("name", "value"), [("TENANT_ID", "a.b/c"), ("CLOUD_REGION", "a b"), ("DEV_IP", "x y")])
def test_a_wrong_one_is_named_alone(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    with pytest.raises(SettingsError) as raised:
        loaded(monkeypatch, **{name: value})
    assert str(raised.value).count("\n") == 1
    assert name in str(raised.value)


def test_a_secret_that_no_sdk_can_use_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="CRYPT_SECRET"):
        open_accounts(loaded(monkeypatch, TENANT_ID="docker", CRYPT_SECRET="sécret"))


@pytest.mark.parametrize(
    ("name", "usual"),
    [
        ("USER_TASK_COLLECTION", "UserTask"),
        ("LIMITER_COLLECTION", "limiter"),
        ("NODE_MEASUREMENT", "pipes_node"),
        ("AUDIT_ENTITY_COLLECTION", "AuditEntity"),
        ("AUDIT_DATA_COLLECTION", "AuditData"),
    ],
)
def test_collections_have_the_names_that_the_platform_gives_them(
    monkeypatch: pytest.MonkeyPatch, name: str, usual: str
) -> None:
    assert getattr(loaded(monkeypatch), name.lower()) == usual
    assert getattr(loaded(monkeypatch, **{name: "theirs"}), name.lower()) == "theirs"
    with pytest.raises(SettingsError, match=name):
        loaded(monkeypatch, **{name: "$theirs"})
