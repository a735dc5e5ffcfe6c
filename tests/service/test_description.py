"""The description of the HTTP API, and requests made from it."""

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from support.serving import serving

from connectors.functions import custom_node
from worker import Registry, ServiceProcess, load_settings

KEY = "hunter2"


@custom_node("echo")
async def echo(data: Any) -> Any:
    return data


async def test_the_api_is_described_to_those_who_have_the_key() -> None:
    ask = serving(echo, orchesty_api_key=KEY)
    for path in ("/docs", "/openapi.json"):
        assert (await ask("GET", path)).status == 401
        assert (await ask("GET", path, orchesty_api_key=KEY)).status == 200
    paths = (await ask("GET", "/openapi.json", orchesty_api_key=KEY)).data["paths"]
    assert set(paths["/applications/{key}/users/{user}/sdk/{sdk}/settings"]) == {"put"}
    assert set(paths["/applications/{key}/sync/{method}"]) == {"get", "post", "put", "patch", "delete"}


@pytest.fixture
def application(tmp_path: Path) -> Any:
    chosen = load_settings(
        database_url=f"sqlite:///{tmp_path}/database.sqlite", service_allow="0.0.0.0/0", orchesty_api_key=KEY
    )
    return ServiceProcess(chosen, registry=Registry([echo])).as_asgi()


def test_nothing_that_the_description_allows_is_answered_with_5xx(application: Any) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", application, headers={"orchesty-api-key": KEY})
    seen = 0
    for operation in schema.get_all_operations():
        case_of = operation.ok().as_strategy()

        @settings(
            max_examples=3, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=case_of)
        def asked(case: Any) -> None:
            nonlocal seen
            seen += 1
            answer = case.call(headers={"orchesty-api-key": KEY})
            assert answer.status_code < 500, f"{case.method} {case.path}: {answer.text[:200]}"

        asked()
    assert seen > 30
