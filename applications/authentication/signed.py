"""Ways that sign each request: OAuth 1.0a and AWS Signature Version 4."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import httpx

from applications.authentication.base import Authentication, Settings
from applications.templates import fill, names


@dataclass(frozen=True, slots=True)
class OAuth1(Authentication):
    """OAuth 1.0a (RFC 5849), with the token that the service shows to the user."""

    type: ClassVar[str] = "oauth"

    client_key: str = "{consumer_key}"
    client_secret: str = "{consumer_secret}"  # noqa: S105 - the name of a setting
    token: str = "{token}"  # noqa: S105 - the name of a setting
    token_secret: str = "{token_secret}"  # noqa: S105 - the name of a setting
    signature_method: str = "HMAC-SHA1"
    """HMAC-SHA1, RSA-SHA1 (the client secret is the private key in PEM) or PLAINTEXT."""
    realm: str | None = None

    @property
    def needs(self) -> Sequence[str]:
        """The settings in all four."""
        return names(self.client_key + self.client_secret + self.token + self.token_secret)

    def auth(self, settings: Settings) -> httpx.Auth:
        """Return what signs by Authlib."""
        return _OAuth1(self, settings)


class _OAuth1(httpx.Auth):
    requires_request_body = True

    def __init__(self, way: OAuth1, settings: Settings) -> None:
        # Imported here: only who signs so needs it, and it takes its time.
        from authlib.oauth1 import ClientAuth  # noqa: PLC0415 - see above

        is_rsa = way.signature_method.startswith("RSA")
        secret = settings[names(way.client_secret)[0]] if is_rsa else fill(way.client_secret, settings)
        self._signer = ClientAuth(
            fill(way.client_key, settings),
            client_secret=None if is_rsa else secret,
            token=fill(way.token, settings),
            token_secret=fill(way.token_secret, settings),
            signature_method=way.signature_method,
            realm=way.realm,
            rsa_key=secret if is_rsa else None,
        )

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign; a form in the body is signed with it, any other body is not (3.4.1.3.1)."""
        is_form = request.headers.get("content-type", "").startswith(_FORM)
        own = {"Content-Type": _FORM} if is_form else {}  # the signer wants it spelt so
        body = request.content if is_form else b""
        _, headers, _ = self._signer.prepare(request.method, str(request.url), own, body)
        request.headers["Authorization"] = headers["Authorization"]
        yield request


_FORM: Final = "application/x-www-form-urlencoded"
_SIGNED_HEADERS: Final = ("host", "content-type")


@dataclass(frozen=True, slots=True)
class AwsSignature(Authentication):
    """AWS Signature Version 4."""

    service: str
    region: str = "{region}"
    access_key: str = "{key}"
    secret_key: str = "{secret}"  # noqa: S105 - the name of a setting
    session_token: str = ""

    @property
    def needs(self) -> Sequence[str]:
        """The settings in keys and region."""
        return names(self.region + self.access_key + self.secret_key + self.session_token)

    def auth(self, settings: Settings) -> httpx.Auth:
        """Return what signs by botocore."""
        return _AwsSignature(self, settings)


class _AwsSignature(httpx.Auth):
    requires_request_body = True

    def __init__(self, way: AwsSignature, settings: Settings) -> None:
        # Imported here: only who signs so needs it, and it takes its time.
        from botocore.auth import S3SigV4Auth, SigV4Auth  # noqa: PLC0415 - see above
        from botocore.credentials import Credentials  # noqa: PLC0415 - see above

        session = fill(way.session_token, settings) or None
        credentials = Credentials(fill(way.access_key, settings), fill(way.secret_key, settings), session)
        signer = S3SigV4Auth if way.service == "s3" else SigV4Auth
        self._signer = signer(credentials, way.service, fill(way.region, settings))

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign the request as it is sent."""
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415 - as above

        own = {name: request.headers[name] for name in _SIGNED_HEADERS if name in request.headers}
        own |= {name: value for name, value in request.headers.items() if name.startswith("x-amz-")}
        signed = AWSRequest(method=request.method, url=str(request.url), data=request.content, headers=own)
        self._signer.add_auth(signed)
        request.headers.update(dict(signed.headers.items()))
        yield request
