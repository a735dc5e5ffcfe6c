"""Who may call a service."""

import pytest
from structlog.testing import capture_logs
from support.serving import serving

from worker.errors import SettingsError
from worker.settings.settings import load_settings

LIST = "/connector/list"


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.9.8.7", "172.31.0.1", "192.168.1.1", "fd00::1", "::ffff:10.0.0.1"]
)
async def test_loopback_and_private_networks_may_call(address: str) -> None:
    assert (await serving()("GET", LIST, address=address)).status == 200


@pytest.mark.parametrize("address", ["203.0.113.9", "172.32.0.1", "2001:db8::1", "::ffff:203.0.113.9", "unknown"])
async def test_others_are_refused_and_named_in_the_log(address: str) -> None:
    with capture_logs() as logs:
        answer = await serving(orchesty_api_key="k")("GET", LIST, address=address, orchesty_api_key="wrong")
    assert answer.status == 403
    assert [(line["event"], line["address"]) for line in logs] == [("service_caller_refused", address)]


async def test_what_a_caller_says_of_its_address_counts_for_nothing() -> None:
    said = {"x_forwarded_for": "127.0.0.1", "forwarded": "for=127.0.0.1", "x_real_ip": "10.0.0.1", "host": "localhost"}
    assert (await serving()("GET", LIST, address="203.0.113.9", **said)).status == 403


async def test_a_setting_names_other_networks_instead() -> None:
    ask = serving(service_allow="203.0.113.0/24, 198.51.100.7")
    found = [(await ask("GET", LIST, address=one)).status for one in ("203.0.113.9", "198.51.100.7", "127.0.0.1")]
    assert found == [200, 200, 403]


async def test_who_sends_the_key_may_call_from_everywhere() -> None:
    ask = serving(orchesty_api_key="hunter2")
    assert (await ask("GET", LIST, address="203.0.113.9", orchesty_api_key="hunter2")).status == 200


async def test_without_a_key_nobody_has_it() -> None:
    assert (await serving()("GET", LIST, address="203.0.113.9", orchesty_api_key="")).status == 403


async def test_with_a_secret_path_all_others_lead_nowhere() -> None:
    ask = serving(service_prefix="/s3cr3t/x")
    paths = ("/s3cr3t/x/connector/list", LIST, "/s3cr3t/connector/list", "/s3cr3t/xconnector/list")
    assert [(await ask("GET", path)).status for path in paths] == [200, 404, 404, 404]


@pytest.mark.parametrize(
    "wrong", [{"service_allow": "10.0.0.0/33"}, {"service_prefix": "a"}, {"service_prefix": "/a/"}]
)
def test_wrong_settings_are_named(wrong: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=f"WORKER_{next(iter(wrong)).upper()}"):
        load_settings(**wrong)
