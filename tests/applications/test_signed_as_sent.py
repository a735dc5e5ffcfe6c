"""What is signed is what is sent: a service recomputes each signature from the bytes that it has received."""

import base64
import hashlib
import hmac
import re
import string
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from applications.access import Access
from applications.authentication import AwsSignature, OAuth1
from applications.http.building import build
from applications.http.request import Auth, Credentials, Head, Request
from applications.http.wire import Wire, with_query
from worker.testing import ByteService, RawRequest

PRINTABLE = "".join(map(chr, range(32, 127)))
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
SETTINGS = {"consumer_key": "ck", "consumer_secret": "cs", "token": "t", "token_secret": "ts"}
KEYS = {"key": "AKID", "secret": "shh", "region": "eu-west-1"}

RAW_PATHS = [f"/raw{character}x" for character in PRINTABLE if character not in "?#%"] + ["/a%40b%2Cc%28d%29%21%3D%26"]
RAW_QUERIES = [f"n=v{character}w" for character in PRINTABLE if character not in "#%&+"] + ["a=%40%3A%2C%27&b&c=&d=%7E"]


class Sender:
    """Sends requests to a service that keeps their bytes."""

    def __init__(self, wire: Wire, service: ByteService) -> None:
        self._wire, self._service = wire, service

    async def __call__(
        self, auth: Auth | None, path: str, values: Mapping[str, Any] | None = None, **options: Any
    ) -> tuple[str, RawRequest]:
        """Send a request and return the service's address and what came."""
        method, url = options.pop("method", "GET"), self._service.url
        request = build(Access(url, auth=auth), method, path, values, {**options})  # type: ignore[typeddict-item]  # as a test gives them
        async with self._wire.open(request) as reply:
            assert reply.status == 200
            await reply.read(100)
        return url, self._service.requests[-1]


@pytest.fixture
async def sent() -> AsyncIterator[Sender]:
    async with ByteService(OK) as service:
        wire = Wire()
        yield Sender(wire, service)
        await wire.close()


def check_oauth(url: str, request: RawRequest, form: str = "") -> None:
    """RFC 5849, 3.4, over the target as it came."""
    path, _, query = request.target.partition("?")
    header = dict(re.findall(r'(\w+)="([^"]*)"', request.headers["authorization"]))
    own = [(name, unquote(value)) for name, value in header.items() if name not in {"oauth_signature", "realm"}]
    pairs = parse_qsl(query, keep_blank_values=True) + parse_qsl(form, keep_blank_values=True) + own
    encoded = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in pairs)
    text = "&".join(f"{name}={value}" for name, value in encoded)
    base = "&".join(quote(part, safe="~") for part in (request.method, url + path, text))
    assert unquote(header["oauth_signature"]) == _sha1("cs&ts", base), base


def _sha1(key: str, text: str) -> str:
    return base64.b64encode(hmac.digest(key.encode(), text.encode(), "sha1")).decode()


def check_aws(request: RawRequest, service: str) -> None:
    """Recompute Signature Version 4 as AWS describes it, from the target as it came."""
    header = dict(re.findall(r"(\w+)=([^,\s]+)", request.headers["authorization"]))
    path, _, query = request.target.partition("?")
    uri = quote(unquote(path), safe="/~") if service == "s3" else quote(path, safe="/~")
    pairs = sorted((quote(n, safe="~"), quote(v, safe="~")) for n, v in parse_qsl(query, keep_blank_values=True))
    names = header["SignedHeaders"].split(";")
    headers = "".join(f"{name}:{request.headers[name].strip()}\n" for name in names)
    body = hashlib.sha256(request.body).hexdigest()
    canonical = "\n".join([request.method, uri, "&".join(f"{n}={v}" for n, v in pairs), headers, ";".join(names), body])
    date, region = header["Credential"].split("/")[1:3]
    scope = f"{date}/{region}/{service}/aws4_request"
    text = "\n".join(
        ["AWS4-HMAC-SHA256", request.headers["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()]
    )
    key = b"AWS4shh"
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    assert header["Signature"] == hmac.digest(key, text.encode(), "sha256").hex(), canonical


async def test_oauth_holds_for_each_printable_character_in_path_and_query(sent: Sender) -> None:
    auth = OAuth1().auth(SETTINGS)
    for character in PRINTABLE:
        url, request = await sent(auth, "/users/{id}", {"id": f"a{character}b"}, params={f"n{character}": character})
        assert unquote(request.target.partition("?")[0]) == f"/users/a{character}b"
        check_oauth(url, request)


async def test_oauth_holds_for_what_an_author_or_a_service_writes_unescaped(sent: Sender) -> None:
    auth = OAuth1().auth(SETTINGS)
    for path, query in zip(RAW_PATHS, RAW_QUERIES, strict=False):
        check_oauth(*await sent(auth, f"{path}?{query}"))


async def test_oauth_holds_for_a_form(sent: Sender) -> None:
    form = {"mail": "joe@example.com", "all": PRINTABLE, "list": ["a", "b c"]}
    url, request = await sent(OAuth1().auth(SETTINGS), "/x", method="POST", form=form)
    check_oauth(url, request, request.body.decode())


@pytest.mark.parametrize("service", ["sqs", "s3"])
async def test_aws_holds_for_each_printable_character_in_path_and_query(service: str, sent: Sender) -> None:
    auth = AwsSignature(service).auth(KEYS)
    for character in PRINTABLE:
        _, request = await sent(auth, "/k/{id}", {"id": f"a{character}b"}, params={f"n{character}": character})
        check_aws(request, service)
    for path, query in zip(RAW_PATHS, RAW_QUERIES, strict=False):
        check_aws((await sent(auth, f"{path}?{query}"))[1], service)


async def test_aws_holds_for_an_arn_and_a_body(sent: Sender) -> None:
    arn = "arn:aws:sns:eu-west-1:1:topic"
    _, request = await sent(AwsSignature("sns").auth(KEYS), "/topics/{arn}", {"arn": arn}, method="POST", json={"a": 1})
    assert request.target == "/topics/arn%3Aaws%3Asns%3Aeu-west-1%3A1%3Atopic"
    check_aws(request, "sns")


class InQuery(Auth):
    """Signs in the query."""

    async def sign(self, request: Request) -> Any:
        """Add the key."""
        yield Credentials(query={"key": "a,b"})


@pytest.mark.parametrize(
    "target",
    [
        "/a%40b?x=%2C&y=,&z&&w=a+b%20c",
        "/p?X-Amz-Signature=a%2Fb%3D&X-Amz-Credential=AKID%2F20260101%2Feu",
        "/next?cursor=eyJhIjoxfQ==&q='(!)*;:@",
        "/%e9%C3%A9/a//b;v=1?%zz",
    ],
)
async def test_an_address_of_the_service_is_sent_as_it_is(target: str, sent: Sender) -> None:
    assert (await sent(None, target))[1].target == target
    added = "&" if "?" in target else "?"
    assert (await sent(None, target, params={"size": 5}))[1].target == f"{target}{added}size=5"
    assert (await sent(InQuery(), target))[1].target == f"{target}{added}key=a%2Cb"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.text(string.printable, min_size=1), st.text(string.printable))))
def test_parameters_keep_what_is_there_and_can_be_read_back(pairs: list[tuple[str, str]]) -> None:
    url = with_query("http://h/p?own=%2C,&it", pairs)
    assert url.startswith("http://h/p?own=%2C,&it") or {"own", "it"} & {name for name, _ in pairs}
    assert [pair for pair in parse_qsl(url.partition("?")[2], keep_blank_values=True) if pair in pairs] == pairs
    assert "#" not in url


def test_a_parameter_wins_over_an_equal_name() -> None:
    assert with_query("http://h/?a%5B%5D=1&b=2#x", [("a[]", "3")]) == "http://h/?b=2&a%5B%5D=3#x"
    assert urlencode({"a": "b"}) == with_query("", [("a", "b")])[1:]


async def test_a_redirect_and_a_reply_are_not_signed_for_another_target() -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: /b%40c?d=%2C'\r\nContent-Length: 0\r\n\r\n"
    async with ByteService(moved, OK) as service:
        wire = Wire()
        async with wire.open(build(Access(service.url, auth=OAuth1().auth(SETTINGS)), "GET", "/a", None, {})) as reply:
            assert isinstance(reply, Head)
        await wire.close()
    assert [request.target for request in service.requests] == ["/a", "/b%40c?d=%2C'"]
    check_oauth(service.url, service.requests[1])
