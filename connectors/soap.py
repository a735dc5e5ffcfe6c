"""SOAP: operations of a WSDL, called over the same HTTP client as everything else.

zeep knows WSDL and envelopes; it is imported when the first SOAP service is called.
https://docs.python-zeep.org
"""

import asyncio
import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from applications.http.response import Response, pick, read_as, read_list
from applications.recent import Recent
from connectors.errors import SoapFault
from connectors.http import Http
from connectors.rules import Check, Meaning, Rules, parse_codes
from connectors.service import Service
from connectors.soap_values import plain_value

Model = TypeVar("Model")

_ENVELOPE = re.compile(rb"<(?:[\w.-]+:)?Envelope[\s>]")
_HEAD = 4096


def _is_envelope(reply: Response) -> bool:
    return _ENVELOPE.search(reply.content[:_HEAD].replace(b"\0", b"")) is not None


_FAULTS = Rules(checks=[Check(Meaning.SUCCESS, _is_envelope, "", parse_codes({400, 500}))])
"""A fault comes with status 500 (SOAP 1.1, 6.2) or 400 (SOAP 1.2, part 2, 7.5.2.2): what it means is not decided by the
status. Without an envelope the status decides."""

MOST_READ = 100
"""WSDLs in memory, some megabytes each; others are read again when they are needed."""

_read: WeakKeyDictionary[Http, Recent[str, "asyncio.Task[Any]"]] = WeakKeyDictionary()
"""The services whose WSDL has been read, or is being read."""


class SoapReply:
    """The result of an operation as plain values."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def model(self, model: type[Model], at: str = "$") -> Model:
        """Return the result, or what lies `at` a path in it, as this type."""
        return read_as(model, pick(self.data, at))

    def models(self, model: type[Model], at: str = "$") -> list[Model]:
        """Return the result, or what lies `at` a path in it, as a list of this type."""
        return read_list(model, pick(self.data, at))


class SoapService:
    """A SOAP service, known by its WSDL: a file or an address.

    The WSDL is read once per process, unless a hundred others were used since.
    """

    def __init__(
        self,
        service: Service,
        wsdl: str,
        *,
        username: str = "",
        password: str = "",
        use_digest: bool = False,
        address: str | None = None,
        rules: Rules | None = None,
        service_name: str | None = None,
        port_name: str | None = None,
    ) -> None:
        """`username` and `password` sign each call by WS-Security; `address` wins over that of the WSDL.

        Without `service_name` and `port_name` the first ones of the WSDL are called.
        """
        self._service = service
        self._wsdl = wsdl
        self._user = (username, password, use_digest)
        self._address = address
        self._names = (service_name, port_name)
        self._rules = _FAULTS.over(rules) if rules else _FAULTS

    async def call(self, operation: str, /, **values: Any) -> SoapReply:
        """Call an operation and return its result.

        Raises `SoapFault` for a fault, `ValueError` naming the field for values that the WSDL does not allow, or the
        services and ports that it has, and `ReplyUnreadable` for a reply that is none of the operation's.
        """
        from zeep.exceptions import Error, Fault, ValidationError  # noqa: PLC0415 - see above

        client, port = await self._client()
        if operation not in port.binding.all():
            known = ", ".join(sorted(port.binding.all()))
            raise ValueError(f"{self._wsdl} has no operation {operation}. It has: {known}")
        sender = _Sender(self._service, self._rules)
        client.transport = sender
        client.plugins = [*client.plugins, _AnswersWhatWasAsked()]
        options = {**port.binding_options, **({"address": self._address} if self._address else {})}
        try:
            result = await port.binding.send_async(client, options, operation, (), values)
        except Fault as fault:
            raise _fault(operation, fault) from None
        except (ValidationError, TypeError) as error:
            raise ValueError(f"{operation}: {error}") from None
        except Error as error:
            raise _unreadable(sender, operation, error) from None
        return SoapReply(plain_value(result))

    async def _client(self) -> tuple[Any, Any]:
        """Return a client of this call's own, and the port."""
        known = _read.setdefault(self._service.http, Recent(MOST_READ))
        task = known.get(self._wsdl)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.create_task(self._load(), name=f"read {self._wsdl}")
            known.put(self._wsdl, task)
        client = copy.copy(await asyncio.shield(task))
        client.wsse = _signature(*self._user) if self._user[0] else None
        service = self._named("service", self._names[0], client.wsdl.services)
        return client, self._named("port", self._names[1], service.ports)

    def _named(self, kind: str, name: str | None, known: Mapping[str, Any]) -> Any:
        if name is None:
            return next(iter(known.values()))
        if name not in known:
            raise ValueError(f"{self._wsdl} has no {kind} {name}. It has: {', '.join(known)}")
        return known[name]

    async def _load(self) -> Any:
        """Read the WSDL in a thread; what it refers to is fetched by the same HTTP client."""
        loop = asyncio.get_running_loop()

        def fetch(url: str) -> bytes:
            return asyncio.run_coroutine_threadsafe(self._fetch(url), loop).result()

        return await asyncio.to_thread(_read_wsdl, self._wsdl, fetch)

    async def _fetch(self, url: str) -> bytes:
        return (await self._service.get(url)).content


@dataclass(frozen=True, slots=True)
class _Loader:
    """What zeep reads a WSDL through."""

    fetch: Callable[[str], bytes]

    def load(self, url: str) -> bytes:
        """Return a document that a WSDL names."""
        return self.fetch(url) if url.startswith(("http://", "https://")) else Path(url).read_bytes()


class _Sender:
    """What zeep sends one envelope through: our own client, with its rules, sign-in and limits."""

    def __init__(self, service: Service, rules: Rules) -> None:
        self._service = service
        self._rules = rules
        self.response: Response | None = None

    async def post_xml(self, address: str, envelope: Any, headers: dict[str, str]) -> "_Reply":
        """Send the envelope."""
        from zeep.wsdl.utils import etree_to_string  # noqa: PLC0415 - see above

        content = etree_to_string(envelope)
        self.response = await self._service.post(address, content=content, headers=headers, rules=self._rules)
        return _Reply(self.response)


class _AnswersWhatWasAsked:
    """zeep takes any element for an empty result; an answer to something else must not pass for success."""

    def egress(self, envelope: Any, headers: Any, operation: Any, options: Any) -> tuple[Any, Any]:
        """Leave what is sent as it is."""
        return envelope, headers

    def ingress(self, envelope: Any, headers: Any, operation: Any) -> tuple[Any, Any]:
        """Look at what was answered. Raises zeep's `Error`, as zeep does for what it cannot read."""
        from zeep.exceptions import Error  # noqa: PLC0415 - see above

        expected = getattr(operation.output.body, "qname", None) if operation.style == "document" else None
        tags = [child.tag for child in envelope.findall("{*}Body/*")]
        is_fault = any(tag.endswith("}Fault") for tag in tags)
        if expected is not None and not is_fault and expected.text not in tags:
            raise Error(f"the answer holds {', '.join(tags) or 'nothing'}, not {expected.text}")
        return envelope, headers


_EXACT = re.compile(
    rb"(^--[^\r\n]+\r\n(?:[^\r\n]+\r\n)*?content-transfer-encoding:)[ \t]*binary", re.IGNORECASE | re.MULTILINE
)
"""The head of a part. zeep cuts line breaks off both ends of parts that say they are binary, and not off others."""


def _is_multipart(response: Response) -> bool:
    return response.content_type == "multipart/related"


class _Reply:
    """A reply as zeep reads it."""

    def __init__(self, response: Response) -> None:
        self.status_code = response.status
        self.headers = response.headers
        self.content = _EXACT.sub(rb"\1 8bit", response.content) if _is_multipart(response) else response.content
        self.encoding = response.charset


def _read_wsdl(wsdl: str, fetch: Callable[[str], bytes]) -> Any:
    import zeep  # noqa: PLC0415 - takes a third of a second; only who calls SOAP services pays for it

    return zeep.AsyncClient(wsdl, transport=_Loader(fetch), settings=zeep.Settings(forbid_dtd=True, xml_huge_tree=True))


def _signature(username: str, password: str, use_digest: bool) -> Any:
    from zeep.wsse.username import UsernameToken  # noqa: PLC0415 - see above

    return UsernameToken(username, password, use_digest=use_digest)


def _fault(operation: str, fault: Any) -> SoapFault:
    subcodes = tuple(str(one) for one in fault.subcodes or ())
    code = " ".join([str(fault.code), *subcodes])
    detail = None if fault.detail is None else plain_value(fault.detail)
    text = str(fault.message or "")
    reason = f"{operation}: fault {code}: {text}"
    return SoapFault(reason, code=str(fault.code), text=text, subcodes=subcodes, detail=detail)


def _unreadable(sender: _Sender, operation: str, error: Exception) -> ValueError:
    """zeep's text may hold the whole reply; its first line does not."""
    text = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    if sender.response is None:
        return ValueError(f"{operation}: {text}")
    return sender.response.unreadable(f"{operation}: {text}")
