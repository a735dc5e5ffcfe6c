"""One way for all requests to services: through which proxy, and with whose certificates."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.certificates import write_certificate

from applications.access import Access
from applications.errors import EgressRefused, TokenEndpointAway
from applications.http.building import build
from applications.http.connections import _tls
from applications.http.egress import Egress, Guarded
from applications.http.errors import NeverSent, NotConnected
from applications.http.route import Route
from applications.http.wire import Wire
from applications.token_endpoint import TokenEndpoint
from worker.accounts.opening import route_to_services
from worker.errors import SettingsError
from worker.settings.settings import load_settings
from worker.testing import ByteService

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, *(name.lower() for name in VARIABLES)):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def proxy() -> AsyncIterator[ByteService]:
    async with ByteService(OK) as service:
        yield service


async def ask(url: str, route: Route, *, is_from_install: bool = False) -> int:
    wire = Wire(route=route)
    try:
        request = build(Access(url, is_from_install=is_from_install), "GET", "/a%40b?c=%2C", None, {})
        async with wire.open(request) as reply:
            return reply.status
    finally:
        await wire.close()


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_the_environment_names_the_proxy(
    variable: str, proxy: ByteService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, proxy.url)
    assert await ask("http://shop.invalid", Route()) == 200
    assert [request.target for request in proxy.requests] == ["http://shop.invalid/a%40b?c=%2C"]


async def test_a_proxy_may_be_named_by_the_setting_with_its_password(proxy: ByteService) -> None:
    url = proxy.url.replace("//", "//ann:s3cret@")
    assert await ask("http://shop.invalid", Route(proxy=url)) == 200
    assert proxy.requests[0].headers["proxy-authorization"].startswith("Basic ")
    assert "s3cret" not in repr(Route(proxy=url))


@pytest.mark.parametrize("route", [Route(), Route(proxy="http://127.0.0.1:1")])
async def test_no_proxy_is_used_for_the_hosts_that_need_none(
    route: Route, proxy: ByteService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "other.example,127.0.0.1")
    assert await ask(proxy.url, route) == 200
    assert proxy.requests[0].target == "/a%40b?c=%2C"


async def test_the_environment_may_be_ignored(proxy: ByteService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert await ask(proxy.url, Route(proxy="none")) == 200


async def test_a_proxy_of_another_kind_is_an_error_that_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    with pytest.raises(NeverSent, match="set WORKER_OUTGOING_PROXY_URL"):
        await ask("http://shop.invalid", Route())


async def test_https_goes_through_a_tunnel_and_a_refused_one_is_no_connection() -> None:
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    async with ByteService(refusal) as proxy:
        with pytest.raises(NotConnected, match="the proxy answered 407"):
            await ask("https://shop.invalid", Route(proxy=proxy.url))
    assert proxy.requests[0].method == "CONNECT"
    assert proxy.requests[0].target == "shop.invalid:443"


async def test_a_proxy_that_is_away_is_no_connection() -> None:
    with pytest.raises(NotConnected):
        await ask("http://shop.invalid", Route(proxy="http://127.0.0.1:1"))


async def test_token_endpoints_take_the_same_way(proxy: ByteService) -> None:
    endpoint = TokenEndpoint()
    endpoint.take(Route(proxy=proxy.url))
    try:
        assert await endpoint("http://login.invalid/token", form={"a": "b"}) == {}
    except TokenEndpointAway:
        pytest.fail("it was not asked")
    finally:
        await endpoint.close()
    assert proxy.requests[0].target == "http://login.invalid/token"


@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "localhost", "[::1]", "2130706433"])
async def test_a_proxy_is_no_way_around_the_rule_for_internal_addresses(host: str, proxy: ByteService) -> None:
    route = Route(Egress(Guarded.INSTALLS), proxy=proxy.url)
    with pytest.raises(EgressRefused):
        await ask(f"http://{host}:9", route, is_from_install=True)
    assert not proxy.requests
    assert await ask("http://shop.invalid", route, is_from_install=True) == 200


@pytest.fixture
async def encrypted(tmp_path: Path) -> AsyncIterator[tuple[str, Path]]:
    """A service with a certificate of its own authority: its address, and the certificate."""
    certificate, key = write_certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls) as server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", certificate


async def test_own_authorities_are_trusted_besides_the_usual_ones(encrypted: tuple[str, Path]) -> None:
    url, certificate = encrypted
    with pytest.raises(NotConnected):
        await ask(url, Route())
    route = route_to_services(load_settings(ca_file=str(certificate)))
    assert route == Route(Egress(Guarded.INSTALLS), ca_file=certificate)
    assert await ask(url, route) == 200
    known = _tls(None).cert_store_stats()["x509_ca"]
    assert _tls(certificate).cert_store_stats()["x509_ca"] == known + 1


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_file_without_certificates_is_refused_at_the_start(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "own.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=r"WORKER_CA_FILE has no certificates in PEM"):
        route_to_services(load_settings(ca_file=str(path)))


@pytest.mark.parametrize("value", ["socks5://a:1", "proxy:3128", "http://", "yes"])
def test_a_proxy_that_cannot_be_one_is_refused_at_the_start(value: str) -> None:
    with pytest.raises(SettingsError, match=r"WORKER_OUTGOING_PROXY_URL: .*none or http://"):
        load_settings(outgoing_proxy_url=value)
