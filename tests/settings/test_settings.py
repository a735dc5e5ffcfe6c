"""Settings: names, errors, and the page about them."""

from pathlib import Path

import pytest

from worker.errors import SettingsError
from worker.settings.environment import environment_of, unknown_variables
from worker.settings.page import settings_page
from worker.settings.settings import ModeName, load_settings

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORKER_AMQP_URL", "WORKER_TEST_AMQP_URL", "TOPOLOGY_JSON"):
        monkeypatch.delenv(name, raising=False)


def test_the_platforms_names_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPOLOGY_JSON", "/tmp/topology.json")
    monkeypatch.setenv("STARTING_POINT_DSN", "starting-point:8080")
    monkeypatch.setenv("ORCHESTY_API_KEY", "hunter2")
    settings = load_settings()
    assert settings.topology == Path("/tmp/topology.json")
    assert settings.starting_point_dsn == "starting-point:8080"
    assert settings.orchesty_api_key is not None
    assert "hunter2" not in repr(settings)


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_NODES", "one, two,three")
    assert load_settings().nodes == ("one", "two", "three")


def test_the_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_MODE", "platform")
    assert load_settings(mode="standalone").mode is ModeName.STANDALONE
    assert load_settings(mode=None).mode is ModeName.PLATFORM


def test_every_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_HTTP_PORT", "eighty")
    monkeypatch.setenv("WORKER_MODE", "cloud")
    monkeypatch.setenv("WORKER_TRASH_URL", "mysql://x")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    for name in ("WORKER_HTTP_PORT: ", "WORKER_MODE: ", "WORKER_TRASH_URL: "):
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({}, "sqlite:///var/trash.sqlite"),
        ({"MONGODB_DSN": "mongodb://platform/db"}, "sqlite:///var/trash.sqlite"),
        ({"WORKER_DATABASE_URL": "postgresql://db/worker"}, "postgresql://db/worker"),
        ({"WORKER_DATABASE_URL": "postgresql://db/worker", "WORKER_TRASH_URL": "sqlite:///t"}, "sqlite:///t"),
        ({"WORKER_MODE": "platform", "MONGODB_DSN": "mongodb://platform/db"}, "mongodb://platform/db"),
        (
            {"WORKER_MODE": "platform", "MONGODB_DSN": "mongodb://p/db", "WORKER_DATABASE_URL": "postgresql://db/w"},
            "mongodb://p/db",
        ),
        (
            {"WORKER_MODE": "platform", "MONGODB_DSN": "mongodb://p/db", "WORKER_TRASH_URL": "sqlite:///t"},
            "sqlite:///t",
        ),
    ],
)
def test_the_trash_is_chosen(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], address: str) -> None:
    for name in ("WORKER_TRASH_URL", "WORKER_DATABASE_URL", "WORKER_MODE", "MONGODB_DSN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert load_settings().trash_address == address


def test_a_wrong_address_of_the_trash_is_told_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("mysql://x", "sqlite://x", "postgresql://", "postgresql://db:port/x", "/var/trash"):
        monkeypatch.setenv("WORKER_DATABASE_URL", wrong)
        with pytest.raises(SettingsError, match="WORKER_DATABASE_URL: "):
            load_settings()


VARIABLES = {
    "WORKER_AMQP_URL": "amqp",
    "WORKER_TRASH_URL": "mongodb",
    "WORKER_DATABASE_URL": "postgresql",
    "MONGODB_DSN": "mongodb",
    "WORKER_REDIS_URL": "redis",
    "WORKER_STORAGE_URL": "redis",
    "WORKER_INSTALLS_URL": "postgresql",
}


@pytest.mark.parametrize("password", ["SECRET/SECRET", "SECRET@SECRET", "SECRET#SECRET", "SECRET?SECRET", "1/SECRET"])
@pytest.mark.parametrize(("name", "scheme"), VARIABLES.items())
def test_a_password_that_is_not_escaped_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, scheme: str, password: str
) -> None:
    monkeypatch.setenv(name, f"{scheme}://worker:{password}@localhost:1/x")
    with pytest.raises(SettingsError, match=f"{name}: .*%2F %40 %23") as caught:
        load_settings()
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("WORKER_AMQP_URL", "amqp://a%40b:pa%2Fss@[::1]:5672/%2F?heartbeat=10"),
        ("WORKER_TRASH_URL", "mongodb://worker:p@a:27017,b:27017,c/orchesty?replicaSet=rs"),
        ("WORKER_TRASH_URL", "mongodb+srv://worker:p@cluster/orchesty"),
        ("WORKER_DATABASE_URL", "postgresql:///worker?host=/run/postgresql"),
        ("WORKER_DATABASE_URL", "sqlite:////home/me@work/a#b.sqlite"),
        ("WORKER_REDIS_URL", "unix:///run/redis.sock?db=1"),
    ],
)
def test_addresses_of_all_kinds_are_taken(monkeypatch: pytest.MonkeyPatch, name: str, url: str) -> None:
    monkeypatch.setenv(name, url)
    assert url in environment_of(load_settings()).values()


def test_the_password_of_a_database_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_DATABASE_URL", "postgresql://worker:hunter2@db/worker")
    monkeypatch.setenv("WORKER_TRASH_URL", "postgresql://worker:hunter2@db/worker")
    assert "hunter2" not in repr(load_settings())


def test_the_page_in_the_docs_is_up_to_date() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == settings_page(), "run: make docs"


@pytest.mark.parametrize(
    ("name", "closest"),
    [
        ("WORKER_HTTP_PROT", "WORKER_HTTP_PORT"),
        ("WORKER_TRASH", "WORKER_TRASH_URL"),
        ("worker_amqp_ur", "WORKER_AMQP_URL"),
        ("WORKER_XYZZY_QUUX", None),
    ],
)
def test_a_misspelt_variable_is_found(name: str, closest: str | None) -> None:
    (unknown,) = unknown_variables({name: "x", "PATH": "/bin"})
    assert (unknown.name, unknown.closest) == (name, closest)


def test_what_kubernetes_and_others_set_is_not_taken_for_a_setting() -> None:
    known = ("WORKER_AMQP_URL", "worker_amqp_url", "TOPOLOGY_JSON", "WORKER_TOPOLOGY_JSON", "WORKER_TEST_AMQP_URL")
    links = ("WORKER_SHOP_SERVICE_HOST", "WORKER_SHOP_SERVICE_PORT_HTTP", "WORKER_SHOP_PORT_80_TCP_ADDR")
    assert list(unknown_variables(dict.fromkeys((*known, *links), "x"))) == []


def test_settings_can_be_given_to_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(
        amqp_url="amqp://guest:secret@localhost/", nodes="a,b", actions=("x", "y"), grace=1.5, topology=Path("t.json")
    )
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings
