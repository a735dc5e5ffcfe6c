"""URLs that others write lead to no internal address, however they are spelled and whoever redirects to them."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from support.accounts import install, opened, put_token
from support.oauth_application import Machine
from support.services import serving
from support.visits import node, visit

from applications import Application, read_token
from applications.access import Access
from applications.errors import EgressRefused, TokenEndpointAway
from applications.http.egress import Egress, Guarded, is_in, is_inside
from applications.http.errors import NeverSent
from applications.http.request import Outgoing
from applications.http.route import Route
from applications.http.wire import Wire
from connectors import Connector, Message, Trash
from connectors.http import Http
from worker.actions.local import local_call

INTERNAL = ("10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
WRITTEN = ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "[::1]"]


class Inside:
    """A service beside the worker, which counts who reaches it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.reached = 0

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


@pytest.fixture
async def inside() -> AsyncIterator[Inside]:
    async def answer(request: web.Request) -> web.Response:
        found.reached += 1
        if request.path == "/away":
            return web.Response(status=302, headers={"Location": f"http://localhost:{found.port}/metadata"})
        if request.path == "/here":
            return web.Response(status=302, headers={"Location": "/metadata"})
        return web.Response(text="secret")

    found = Inside("")
    async with serving(answer) as url:
        found.url = url
        yield found


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    opened = Wire(timeout_seconds=5)
    yield opened
    await opened.close()


async def asked(wire: Wire, url: str, *, is_from_install: bool = False) -> bytes:
    async with wire.open(Outgoing("GET", url, is_from_install=is_from_install)) as reply:
        return await reply.read(1000)


@pytest.mark.parametrize("host", WRITTEN)
async def test_no_spelling_of_an_address_leads_inside(wire: Wire, inside: Inside, host: str) -> None:
    wire.route = Route(Egress(Guarded.INSTALLS))
    with pytest.raises((EgressRefused, NeverSent)):
        await asked(wire, f"http://{host}:{inside.port}/", is_from_install=True)
    assert inside.reached == 0


async def test_what_a_name_resolves_to_is_what_is_looked_at(
    wire: Wire, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    assert await asked(wire, f"http://shop.example:{inside.port}/") == b"secret"
    wire.route = Route(Egress(Guarded.INSTALLS))
    with pytest.raises(EgressRefused, match=f"GET http://shop.example:{inside.port}/ leads to an internal address"):
        await asked(wire, f"http://shop.example:{inside.port}/", is_from_install=True)
    assert inside.reached == 1  # the connection that is open already is not used either


async def test_a_redirect_to_another_host_leads_to_no_internal_address(wire: Wire, inside: Inside) -> None:
    wire.route = Route(Egress(Guarded.INSTALLS))
    with pytest.raises(EgressRefused, match="WORKER_EGRESS_ALLOW"):
        await asked(wire, f"{inside.url}/away")
    assert inside.reached == 1
    assert await asked(wire, f"{inside.url}/here") == b"secret"
    wire.route = Route(Egress())
    assert await asked(wire, f"{inside.url}/away") == b"secret"


@pytest.mark.parametrize(
    ("egress", "is_allowed"),
    [
        (Egress(Guarded.INSTALLS), True),
        (Egress(Guarded.ALL), False),
        (Egress(Guarded.ALL, ("127.0.0.0/8",)), True),
        (Egress(Guarded.ALL, ("127.0.0.2",)), False),
        (Egress(Guarded.NONE), True),
    ],
)
async def test_the_rule_is_for_those_that_the_setting_names(
    wire: Wire, inside: Inside, egress: Egress, is_allowed: bool
) -> None:
    wire.route = Route(egress)
    if is_allowed:
        assert await asked(wire, inside.url) == b"secret"
    else:
        with pytest.raises(EgressRefused):
            await asked(wire, inside.url)


async def test_a_message_whose_install_leads_inside_goes_to_the_trash(inside: Inside) -> None:
    class Shop(Application):
        key = "shop"
        name = "Shop"

    class Fetch(Connector[Any, Any]):
        name = "fetch"
        application = Shop

        async def process(self, message: Message[Any]) -> Message[Any]:
            return message.with_body((await self.get("/orders")).text)

    async def access(_: type[Application], __: str, ___: str) -> Access:
        return Access(inside.url, is_from_install=True)

    http = Http()
    http.access = access
    http.take(Route(Egress(Guarded.INSTALLS)))
    action = Fetch()
    action.http = http
    outcome = await local_call(action)(visit(node("next"), "{}"))
    await http.close()
    assert isinstance(outcome, Trash)
    assert "/orders leads to an internal address" in outcome.reason
    assert inside.reached == 0


INSIDE = st.one_of(*(st.ip_addresses(v=4, network=network) for network in INTERNAL))


@given(INSIDE)
def test_an_internal_address_is_seen_in_every_form(address: IPv4Address) -> None:
    number = int(address)
    forms = [
        address,
        IPv6Address((0xFFFF << 32) | number),
        IPv6Address((0x2002 << 112) | (number << 80)),
        IPv6Address((0x64FF9B << 96) | number),
    ]
    assert all(is_inside(str(form)) for form in forms)
    assert all(is_in(str(form), [f"{address}/32"]) for form in forms)


async def test_urls_with_values_of_an_install_are_from_it(tmp_path: Path, inside: Inside) -> None:
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as accounts:
        accounts.take(Route(Egress(Guarded.INSTALLS)))
        settings = {"client_id": "a", "client_secret": "b", "server": inside.url}
        await install(accounts, Machine, **settings)
        with pytest.raises(TokenEndpointAway, match="/token leads to an internal address"):
            await accounts.access(Machine, "alice")
        accounts.take(Route(Egress(Guarded.INSTALLS, ("127.0.0.1",))))
        await put_token(accounts, "alice", Machine.key, read_token({"access_token": "c"}, time.time()))
        assert (await accounts.access(Machine, "alice")).is_from_install
    assert inside.reached == 0


def test_addresses_of_clouds_and_of_nobody_are_inside() -> None:
    of_clouds = ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16")
    for address in (*of_clouds, "0.0.0.0", "::", "fe80::1%2", "224.0.0.1"):
        assert is_inside(address)
    for address in ("8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808"):
        assert not is_inside(address)
