"""How requests say who asks; each checked by what a service would check."""

import base64
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from authlib.oauth1.rfc5849.signature import generate_signature_base_string, hmac_sha1_signature
from botocore.auth import SigV4Auth
from pydantic import Field, SecretStr
from support.accounts import install, opened
from support.keys import private_key
from support.oauth_application import Books, Login
from support.oauth_server import CLIENT, SECRET, OAuthServer

from applications import (
    ApiKey,
    Application,
    AwsSignature,
    Basic,
    Bearer,
    ClientAuthentication,
    Form,
    Grant,
    Limit,
    OAuth1,
    OAuth2,
    Token,
    TokenExchange,
)
from applications.accounts import Accounts
from applications.authentication import Authentication, NoAuthentication, TokenCall
from applications.errors import SettingsMissing
from applications.http.request import Outgoing, Request
from applications.http.wire import Wire
from applications.templates import fill, fill_url
from worker.testing import Reply, answering
from worker.testing.transports import RecordingTransport


async def sent(way: Authentication, settings: Mapping[str, str], request: Outgoing) -> Request:
    """Return the request as it leaves."""
    service = RecordingTransport(answering(Reply()))
    wire = Wire(transport=service)
    async with wire.open(replace(request, auth=way.auth(settings))):
        await wire.close()
    return service.exchanges[0].request


def get(url: str = "https://shop.example/orders?page=2") -> Outgoing:
    return Outgoing("GET", url)


async def test_nobody_asks_who_we_are() -> None:
    assert NoAuthentication().auth({}) is None


async def test_basic_takes_any_character() -> None:
    request = await sent(Basic(), {"user": "žofie", "password": "a:b+č"}, get())
    assert base64.b64decode(request.headers["authorization"][6:]).decode() == "žofie:a:b+č"


async def test_an_api_key_goes_into_a_header_or_the_query() -> None:
    request = await sent(ApiKey("{token}", header="X-Key"), {"token": "abc"}, get())
    assert (request.headers["x-key"], request.url) == ("abc", "https://shop.example/orders?page=2")
    request = await sent(ApiKey("{token}", query="key"), {"token": "a b&c"}, get())
    assert request.params == {"page": "2", "key": "a b&c"}
    with pytest.raises(ValueError, match="name one of them"):
        ApiKey("{token}")


async def test_a_bearer_token_with_a_line_break_starts_no_header_of_its_own() -> None:
    request = await sent(Bearer(), {"token": "abc\r\nX-Evil: 1\n"}, get())
    assert request.headers["authorization"] == "Bearer abc X-Evil: 1"
    assert "x-evil" not in request.headers


async def test_oauth_1_signs_method_url_query_and_form() -> None:
    settings = {"consumer_key": "k", "consumer_secret": "s", "token": "t", "token_secret": "ts"}
    request = Outgoing("POST", "https://shop.example/orders?page=2", body={"form": {"name": "Žofie & co"}})
    request = await sent(OAuth1(realm="shop"), settings, request)
    header = request.headers["authorization"]
    assert header.startswith('OAuth realm="shop", ')
    given = dict(part.split("=", 1) for part in header.removeprefix("OAuth ").split(", "))
    unsigned = {"realm", "oauth_signature"}
    parameters = [(name, value.strip('"')) for name, value in given.items() if name not in unsigned]
    base = generate_signature_base_string(_Signed(request, parameters))
    signature = unquote(given["oauth_signature"].strip('"'))
    assert signature == hmac_sha1_signature(base, "s", "ts")
    assert request.body == b"name=%C5%BDofie+%26+co"


class _Signed:
    """What Authlib signs, built by hand from the request that was sent."""

    def __init__(self, request: Request, parameters: list[tuple[str, str]]) -> None:
        self.method, self.uri, self.headers = request.method, request.url, {}
        self.params = [*parameters, ("page", "2"), ("name", "Žofie & co")]


async def test_oauth_1_with_a_private_key_takes_it_with_its_line_breaks() -> None:
    settings = {"consumer_key": "k", "consumer_secret": private_key()[0], "token": "t", "token_secret": "ts"}
    request = await sent(OAuth1(signature_method="RSA-SHA1"), settings, get())
    assert 'oauth_signature_method="RSA-SHA1"' in request.headers["authorization"]


async def test_aws_signatures_are_those_of_the_published_example(monkeypatch: pytest.MonkeyPatch) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/signing-elements.html, the ListUsers request."""
    monkeypatch.setattr(SigV4Auth, "_set_necessary_date_headers", lambda self, request: None, raising=True)
    monkeypatch.setattr("botocore.auth.get_current_datetime", _then, raising=False)
    settings = {"key": "AKIDEXAMPLE", "secret": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "region": "us-east-1"}
    request = Outgoing(
        "GET",
        "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
        headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8", "X-Amz-Date": "20150830T123600Z"},
    )
    request = await sent(AwsSignature("iam"), settings, request)
    assert "Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request" in request.headers["authorization"]
    assert request.headers["authorization"].endswith(
        "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    )


def _then(*_: Any, **__: Any) -> Any:
    return datetime(2015, 8, 30, 12, 36, tzinfo=UTC)


@pytest.fixture
async def server() -> AsyncIterator[OAuthServer]:
    async with OAuthServer().serve() as serving:
        yield serving


@pytest.fixture
async def accounts(tmp_path: Path) -> AsyncIterator[Accounts]:
    async with opened(f"sqlite:///{tmp_path}/installs.sqlite", tmp_path) as found:
        yield found


@pytest.mark.parametrize("way", [*ClientAuthentication][:4])
async def test_a_client_says_who_it_is_in_each_way(
    accounts: Accounts, server: OAuthServer, way: ClientAuthentication
) -> None:
    secret = SECRET
    if way is ClientAuthentication.PRIVATE_KEY_JWT:
        secret, server.public_key = private_key()

    class Robot(Application):
        key = "robot"
        base_url = "{server}/api"
        authentication = OAuth2(
            token_url="{server}/token", grant=Grant.CLIENT_CREDENTIALS, client_authentication=way,
            token_parameters={"audience": "orders"},
        )  # fmt: skip
        forms = (Login,)

    await install(accounts, Robot, client_id=CLIENT, client_secret=secret, server=server.base_url)
    client = await accounts.client(Robot, "alice")
    assert (await client.get("/orders")).status == 200
    assert server.calls[0]["audience"] == "orders"
    assert ("client_secret" in server.calls[0]) is (way is ClientAuthentication.BODY)


async def test_a_public_client_sends_no_secret() -> None:
    way = OAuth2(token_url="https://x.example/token", client_authentication=ClientAuthentication.NONE)
    assert list(way.needs) == ["client_id"]
    assert way._say_who({"client_id": "c", "client_secret": "s"}, "") == ({}, {"client_id": "c"})


async def test_a_service_has_its_own_way_to_a_token(accounts: Accounts, server: OAuthServer) -> None:
    asked: list[str] = []

    async def exchange(settings: Mapping[str, str], call: TokenCall) -> Token:
        asked.append(settings["pin"])
        form = {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": SECRET}
        reply = await call(f"{server.base_url}/token", form=form)
        return Token(reply["access_token"])

    class Pin(Form):
        pin: SecretStr = Field(title="Pin")

    class Bank(Application):
        key = "bank"
        base_url = f"{server.base_url}/api"
        authentication = TokenExchange(exchange, header="X-Shopify-Access-Token", value="{access_token}")
        forms = (Pin,)

    await install(accounts, Bank)
    with pytest.raises(SettingsMissing, match=r"lacks pin\. Cure: orchesty-worker installs set bank alice pin="):
        await accounts.access(Bank, "alice")
    await accounts.save("alice", Bank, {"authorization_form": {"pin": "1234"}})
    client = await accounts.client(Bank, "alice")
    assert [(await client.get("/a")).status for _ in range(3)] == [200, 200, 200]
    assert asked == ["1234"]


def test_placeholders_are_filled_from_settings() -> None:
    assert fill_url("{shop}/admin", {"shop": " https://a.example// "}) == "https://a.example/admin"
    assert fill("{a}-{b}", {"a": "1", "b": "{a}"}) == "1-{a}"


def test_limits_are_the_users_own_else_the_applications() -> None:
    class Limited(Books):
        limit = Limit(seconds=60, amount=10)
        group_limit = Limit(seconds=1, amount=40)

    assert Limited.limits("alice", {}) == "alice|books;60;10;|books;1;40"
    own = {"limiter_form": {"useLimit": True, "time": 5, "value": 2}}
    assert Limited.limits("alice", own) == "alice|books;5;2;|books;1;40"
    assert Books.limits("alice", {}) == ""


@pytest.mark.parametrize(("seconds", "amount"), [(0, 1), (1, 0), (10**9 + 1, 1), (1, 10**9 + 1)])
def test_a_limit_beyond_its_bounds_is_refused(seconds: int, amount: int) -> None:
    with pytest.raises(ValueError, match="whole numbers from 1 to 1000000000"):
        Limit(seconds, amount)
