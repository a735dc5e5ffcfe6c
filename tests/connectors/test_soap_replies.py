"""What SOAP services answer once the call is carried out: all types, attachments, faults of both versions."""

from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from support.calls import bench, data_of

from connectors import Connector, Message, SoapFault

WSDL = Path(__file__).parent.parent / "support" / "files.wsdl"
SOAP = {"11": "http://schemas.xmlsoap.org/soap/envelope/", "12": "http://www.w3.org/2003/05/soap-envelope"}
SERVICES = {"11": "Archive", "12": "Library"}


class Ask(Connector[Any, Any]):
    name = "ask"

    async def process(self, message: Message[Any]) -> Message[Any]:
        soap = self.soap(message.data["wsdl"], service_name=message.data["service"])
        try:
            return message.with_data((await soap.call("Get")).data)
        except SoapFault as fault:
            return message.with_data([fault.code, list(fault.subcodes), fault.text, fault.detail])


def envelope(version: str, body: str) -> str:
    return f'<e:Envelope xmlns:e="{SOAP[version]}"><e:Body>{body}</e:Body></e:Envelope>'


async def answer_of(tmp_path: Path, version: str, content: bytes, status: int = 200, kind: str = "text/xml") -> Any:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.path == f"/{version}"
        return web.Response(body=content, status=status, headers={"Content-Type": kind})

    async with bench(answer) as at:
        wsdl = tmp_path / "files.wsdl"
        wsdl.write_text(WSDL.read_text().replace("ADDRESS", at.url))
        return await at.call(Ask(), {"wsdl": str(wsdl), "service": SERVICES[version]})


@pytest.mark.parametrize("version", ["11", "12"])
async def test_every_type_of_a_wsdl_has_a_json_form(tmp_path: Path, version: str) -> None:
    body = (
        '<f:GetResponse xmlns:f="urn:files"><f:content>AP8=</f:content><f:hex>00ff</f:hex><f:kept>P1M2DT3H</f:kept>'
        "<f:day>2026-11-30</f:day><f:name>f:a</f:name><f:price>1.50</f:price>"
        '<x:row xmlns:x="urn:x" id="7"><x:a>1</x:a></x:row><x:row xmlns:x="urn:x">2</x:row></f:GetResponse>'
    )
    found = data_of(await answer_of(tmp_path, version, envelope(version, body).encode()))
    assert found.pop("_value_1") == [{"row": {"@id": "7", "a": "1"}}, {"row": "2"}]
    assert found == {
        "content": "AP8=",
        "hex": "00ff",
        "kept": "P1M2DT3H",
        "day": "2026-11-30",
        "name": "f:a",
        "price": "1.50",
    }


ATTACHED = b"\r\n\x00\xff Content-Transfer-Encoding: binary\r\n\r\n"
XOP = (
    '<f:GetResponse xmlns:f="urn:files"><f:content>{}</f:content></f:GetResponse>',
    '<i:Include xmlns:i="http://www.w3.org/2004/08/xop/include" href="cid:a%40b"/>',
)


def multipart(xml: str, attached: bytes) -> bytes:
    head = b'--x\r\nContent-Type: application/xop+xml; type="text/xml"\r\nContent-Transfer-Encoding: binary\r\n\r\n'
    part = b"--x\r\nContent-ID: <a@b>\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    return head + xml.encode() + b"\r\n" + part + attached + b"\r\n--x--\r\n"


async def test_mtom_is_read_byte_by_byte(tmp_path: Path) -> None:
    content = multipart(envelope("11", XOP[0].format(XOP[1])), ATTACHED)
    kind = 'multipart/related; boundary="x"; type="application/xop+xml"; start-info="text/xml"'
    found = data_of(await answer_of(tmp_path, "11", content, kind=kind))
    assert b64decode(found["content"] if isinstance(found, dict) else found) == ATTACHED


async def test_an_attachment_that_nothing_refers_to_comes_beside_the_answer(tmp_path: Path) -> None:
    content = multipart(envelope("11", XOP[0].format("AQ==")), ATTACHED)
    found = data_of(await answer_of(tmp_path, "11", content, kind='multipart/related; boundary="x"'))
    (attached,) = found["attachments"]
    assert (attached["content_id"], attached["content_type"]) == ("<a@b>", "image/png")
    assert b64decode(attached["content"]) == ATTACHED


FAULT_12 = (
    "<e:Fault><e:Code><e:Value>e:Sender</e:Value><e:Subcode><e:Value>f:NoSuchFile</e:Value></e:Subcode></e:Code>"
    '<e:Reason><e:Text xml:lang="en">no such file</e:Text></e:Reason>'
    '<e:Detail><f:name xmlns:f="urn:files">a.pdf</f:name></e:Detail></e:Fault>'
).replace("<e:Fault>", '<e:Fault xmlns:f="urn:files">')


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_a_fault_of_soap_12_is_seen_whatever_its_status(tmp_path: Path, status: int) -> None:
    found = data_of(await answer_of(tmp_path, "12", envelope("12", FAULT_12).encode(), status, "application/soap+xml"))
    code, subcodes, text, detail = found
    assert (code.rpartition(":")[2], text, detail) == ("Sender", "no such file", {"Detail": {"name": "a.pdf"}})
    assert "NoSuchFile" in subcodes[0]
