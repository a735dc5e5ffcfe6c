"""Settings: names, errors, and the page about them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import SettingsError
from worker.settings.environment import environment_of, unknown_variables
from worker.settings.page import settings_page
from worker.settings.settings import ModeName, Settings, environment_names, load_settings
from worker.urls import absolute_url

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


def test_the_topology_of_the_folder_comes_before_that_of_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings().topology == Path("/srv/app/topology/topology.json")
    (tmp_path / "topology.json").touch()
    assert load_settings().topology == tmp_path / "topology.json"


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
        ({}, f"sqlite:///{Path.cwd()}/var/trash.sqlite"),
        ({"MONGODB_DSN": "mongodb://platform/db"}, f"sqlite:///{Path.cwd()}/var/trash.sqlite"),
        ({"WORKER_DATABASE_URL": "postgresql://db/worker"}, "postgresql://db/worker"),
        (
            {"WORKER_DATABASE_URL": "postgresql://db/worker", "WORKER_TRASH_URL": "sqlite:///t"},
            f"sqlite:///{Path.cwd()}/t",
        ),
        ({"WORKER_MODE": "platform", "MONGODB_DSN": "mongodb://platform/db"}, "mongodb://platform/db"),
        (
            {"WORKER_MODE": "platform", "MONGODB_DSN": "mongodb://p/db", "WORKER_DATABASE_URL": "postgresql://db/w"},
            "mongodb://p/db",
        ),
        (
            {"WORKER_MODE": "platform", "MONGODB_DSN": "mongodb://p/db", "WORKER_TRASH_URL": "sqlite:///t"},
            f"sqlite:///{Path.cwd()}/t",
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
    "METRICS_DSN": "mongodb",
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


SECRETS = {
    name: f"{VARIABLES.get(variable, 'https')}://host/x" if name.endswith(("url", "dsn", "webhook")) else "k1:abc"
    for name, variable in environment_names().items()
    if "SecretStr" in str(Settings.model_fields[name].annotation)
} | {"service_prefix": "/k1"}


@given(st.sampled_from(sorted(SECRETS)), st.text(" \t\r\n", max_size=3), st.text(" \t\r\n", max_size=3))
def test_secrets_and_addresses_lose_what_files_put_at_their_ends(name: str, before: str, after: str) -> None:
    value = getattr(load_settings(**{name: before + SECRETS[name] + after}), name)
    assert value.get_secret_value() == SECRETS[name]


@given(st.sampled_from(sorted(set(SECRETS) - {"secret_keys"})), st.sampled_from("\t\r\n\0\x7f"))
def test_a_line_break_within_a_secret_or_an_address_is_refused_and_not_shown(name: str, control: str) -> None:
    with pytest.raises(SettingsError, match="line break") as raised:
        load_settings(**{name: f"{SECRETS[name]}{control}hunter2"})
    assert "hunter2" not in str(raised.value)
    assert environment_names()[name] in str(raised.value)


LISTS = sorted(name for name, field in Settings.model_fields.items() if field.default == ())


@pytest.mark.parametrize("name", LISTS)
def test_a_list_may_have_several_lines(name: str) -> None:
    assert getattr(load_settings(**{name: "10.0.0.1,\n10.0.0.2\n"}), name) == ("10.0.0.1", "10.0.0.2")


@pytest.mark.parametrize(
    ("url", "absolute"),
    [
        ("sqlite:///var/x.sqlite", "sqlite:////start/var/x.sqlite"),
        ("sqlite:////srv/x.sqlite", "sqlite:////srv/x.sqlite"),
        ("amqps://h/%2F?cafile=ca%20.pem&heartbeat=10", "amqps://h/%2F?cafile=/start/ca%20.pem&heartbeat=10"),
        ("amqps://h/%2F?heartbeat=10&cafile=/ca.pem", "amqps://h/%2F?heartbeat=10&cafile=/ca.pem"),
        ("postgresql://h/d?sslrootcert=ca.pem", "postgresql://h/d?sslrootcert=/start/ca.pem"),
        ("postgresql://h/d?sslrootcert=system", "postgresql://h/d?sslrootcert=system"),
        ("rediss://h/0?ssl_ca_certs=a/ca.pem", "rediss://h/0?ssl_ca_certs=/start/a/ca.pem"),
        ("mongodb://h/d?tlsCAFile=ca.pem&w=1", "mongodb://h/d?tlsCAFile=/start/ca.pem&w=1"),
    ],
)
def test_files_of_addresses_are_those_of_the_folder_at_the_start(url: str, absolute: str) -> None:
    assert absolute_url(url, Path("/start")) == absolute


def test_all_paths_mean_the_folder_at_the_start_whatever_comes_later(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    paths = {name for name, field in Settings.model_fields.items() if "Path" in str(field.annotation)}
    settings = load_settings(**dict.fromkeys(paths, Path("x")), http_host="unix:x.sock")
    start = Path.cwd()
    monkeypatch.chdir(tmp_path)
    assert {getattr(settings, name) for name in paths} == {start / "x"}
    assert settings.http_host == f"unix:{start}/x.sock"
    addresses = {
        settings.trash_address, settings.storage_address, settings.process_address,
        settings.marks_address, settings.installs_address,
    }  # fmt: skip
    assert {address.rpartition("/")[0] for address in addresses} == {f"sqlite:///{start}/var"}
    assert len(addresses) == 5


def test_own_secrets_are_those_that_nobody_may_read() -> None:
    settings = load_settings(
        amqp_url="amqp://user:hunter%20hunter2@host/%2F",
        trash_url="postgresql://postgres:postgres@host/d",
        redis_url="redis://:short@host/0",
        secret_keys="a:first-key,\nb:second-key",
        orchesty_api_key="platform-key",
    )
    secrets = set(settings.secrets)
    assert {"hunter hunter2", "hunter%20hunter2", "first-key", "second-key", "platform-key"} <= secrets
    assert not secrets & {"postgres", "short", "a", "b"}


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
