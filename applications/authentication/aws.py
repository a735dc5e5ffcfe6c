"""AWS Signature Version 4: each request is signed."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from applications.authentication.base import Authentication, Settings
from applications.http.request import Auth, Credentials, Request
from applications.http.response import Head
from applications.templates import fill, placeholders

_SIGNED_HEADERS: Final = ("host", "content-type")


@dataclass(frozen=True, slots=True)
class AwsSignature(Authentication):
    """AWS Signature Version 4."""

    service: str
    """As AWS writes it in its addresses: `s3`, `sqs`."""
    region: str = "{region}"
    access_key: str = "{key}"
    secret_key: str = "{secret}"  # noqa: S105 - the name of a setting
    session_token: str = ""

    @property
    def needs(self) -> Sequence[str]:
        """The settings in keys and region."""
        return placeholders(self.region + self.access_key + self.secret_key + self.session_token)

    def auth(self, settings: Settings) -> Auth:
        """Return what signs by botocore."""
        return _AwsSignature(self, settings)


class _AwsSignature(Auth):
    def __init__(self, way: AwsSignature, settings: Settings) -> None:
        # Imported here: only who signs so needs it, and it takes its time.
        from botocore.auth import S3SigV4Auth, SigV4Auth  # noqa: PLC0415 - see above
        from botocore.credentials import Credentials as AwsCredentials  # noqa: PLC0415 - see above

        session = fill(way.session_token, settings) or None
        credentials = AwsCredentials(fill(way.access_key, settings), fill(way.secret_key, settings), session)
        signer = S3SigV4Auth if way.service == "s3" else SigV4Auth
        self._is_s3 = way.service == "s3"
        self._signer = signer(credentials, way.service, fill(way.region, settings))

    def needs_body(self, request: Request) -> bool:
        """Any body is signed."""
        return True

    async def sign(self, request: Request) -> AsyncGenerator[Credentials, Head]:
        """Return the signature, with the headers that belong to it."""
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415 - as above

        own = {name: request.headers[name] for name in _SIGNED_HEADERS if name in request.headers}
        own |= {name: value for name, value in request.headers.items() if name.startswith("x-amz-")}
        signed = AWSRequest(method=request.method, url=self._canonical(request.url), data=request.body, headers=own)
        self._signer.add_auth(signed)
        yield Credentials(dict(signed.headers.items()))

    def _canonical(self, url: str) -> str:
        """Return the URL as AWS writes it before it signs: each name and value escaped, and for S3 the path as well."""
        parts = urlsplit(url)
        path = quote(unquote(parts.path), safe="/~") if self._is_s3 else parts.path
        query = urlencode(parse_qsl(parts.query, keep_blank_values=True), quote_via=quote, safe="~")
        return urlunsplit((parts.scheme, parts.netloc, path, query, ""))
