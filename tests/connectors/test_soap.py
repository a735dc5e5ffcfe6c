"""SOAP over the worker's own HTTP client, against a service that lives by its WSDL."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from isodate import Duration
from lxml.etree import QName, fromstring
from support.calls import Bench, bench, data_of
from support.soap import ENVELOPE, WSDL
from zeep.xsd.valueobjects import AnyObject

from applications import Application
from applications.http.xml import parse_xml, xml_data
from connectors import Connector, Forward, Message, Page, Repeat, SoapFault, Trash
from connectors.catalogue import servant
from connectors.message import json_text
from connectors.soap_values import plain_value

ACCESS = {"fields": {"user": "ann@shop.example", "password": "hunter2", "warehouse_id": "4"}}


class Sapi:
    """Answers operations as Servant does; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.headers: list[Any] = []
        self.answers: dict[str, str] = {}
        self.raw: tuple[int, str] | None = None
        self.wsdl_reads = 0

    def answer_with(self, operation: str, content: str, code: int = 0, message: str = "") -> None:
        """Say what the operation answers."""
        result = f"<result><resultCode>{code}</resultCode><resultMessage>{message}</resultMessage></result>"
        self.answers[operation] = ENVELOPE.format(
            f'<{operation}Response xmlns="urn:sapi">{result}{content}</{operation}Response>'
        )

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        if request.method == "GET" and "wsdl" in request.query:
            self.wsdl_reads += 1
            address = f"http://{request.host}/V5/"
            return web.Response(text=WSDL.replace("ADDRESS", address), content_type="text/xml")
        if request.path == "/rest.php":
            return web.json_response([{"id": 4, "type": request.query["type"]}])
        envelope = xml_data(parse_xml(await request.read()))
        ((operation, values),) = envelope["Body"].items()
        assert request.headers["SOAPAction"] == f'"urn:sapi#{operation}"'
        self.asked.append((operation, values))
        self.headers.append(envelope.get("Header"))
        status, text = self.raw or (200, self.answers[operation])
        return web.Response(status=status, text=text, content_type="text/xml")


@asynccontextmanager
async def serving_sapi() -> AsyncIterator[tuple[Sapi, Bench]]:
    service = Sapi()
    async with bench(service.answer, access=ACCESS) as at:
        yield service, at


async def test_an_operation_takes_and_gives_plain_values() -> None:
    async with serving_sapi() as (service, at):
        service.answer_with("GetCarriers", "<carrierItems><id>1</id><name>GLS &amp; co</name></carrierItems>" * 2)
        outcome = await at.call(servant.GetCarriers(), {})
        assert data_of(outcome) == [{"id": 1, "name": "GLS & co"}] * 2
        await at.call(servant.GetCarriers(), {})
    credentials = {"credentials": {"email": "ann@shop.example", "password": "hunter2"}}
    assert service.asked == [("GetCarriers", credentials)] * 2
    assert service.wsdl_reads == 1


async def test_batches_give_an_item_each() -> None:
    async with serving_sapi() as (service, at):
        items = "<inventoryItems><code>a</code><quantity>1.5</quantity></inventoryItems>"
        service.answer_with("GetInventory", items)
        page: Any = await at.call(servant.GetInventory(), {})
        assert isinstance(page, Page)
        assert [item.model_dump() for item in page.items] == [{"code": "a", "quantity": 1.5}]
        service.answer_with("GetIssueOrdersByDate", "<orders><number>17</number></orders>")
        interval = {"from": "2026-11-01T00:00:00", "to": "2026-11-02T00:00:00"}
        page = await at.call(servant.GetIssueOrdersByDate(), {"interval": interval, "warehouse": 9})
        assert [item.number for item in page.items] == ["17"]
    assert service.asked[0][1]["warehouse"] == "4"
    assert service.asked[1][1]["warehouse"] == "9"
    assert service.asked[1][1]["interval"] == interval


async def test_imports_send_what_they_are_given() -> None:
    async with serving_sapi() as (service, at):
        done = "<importRequestResult><number>17</number><accepted>1</accepted></importRequestResult>"
        service.answer_with("ImportIssue", done)
        service.answer_with("ImportProducts", done)
        issue = {"issue": {"number": "17", "items": [{"code": "a", "quantity": 2}, {"code": "b", "quantity": 1}]}}
        assert data_of(await at.call(servant.ImportIssue(), issue)) == {"number": "17", "accepted": 1}
        products = {"products": [{"code": "a", "name": "A & B"}]}
        assert data_of(await at.call(servant.ImportProducts(), products))["accepted"] == 1
        assert data_of(await at.call(servant.get_warehouses, {})) == [{"id": 4, "type": "warehouses"}]
    assert [item["code"] for item in service.asked[0][1]["issue"]["items"]] == ["a", "b"]
    assert service.asked[1][1]["products"]["name"] == "A & B"


async def test_a_failure_told_by_a_code_goes_to_the_trash_with_the_services_words() -> None:
    async with serving_sapi() as (service, at):
        service.answer_with("GetCarriers", "", code=1, message="bad login")
        assert await at.call(servant.GetCarriers(), {}) == Trash("servant GetCarriers: bad login")


async def test_a_fault_goes_to_the_trash_and_may_be_caught() -> None:
    fault = ENVELOPE.format(
        "<e:Fault><faultcode>e:Client</faultcode><faultstring>no such order</faultstring></e:Fault>"
    )
    async with serving_sapi() as (service, at):
        service.raw = (500, fault)
        outcome: Any = await at.call(servant.GetCarriers(), {})
        assert isinstance(outcome, Trash)
        assert re.search(r"GetCarriers: fault \S*Client: no such order", outcome.reason)

        class Patient(servant.GetCarriers):
            async def process(self, message: Message[Any]) -> Any:
                try:
                    return await super().process(message)
                except SoapFault as error:
                    return message.with_data(error.text)

        assert data_of(await at.call(Patient(), {})) == "no such order"


@pytest.mark.parametrize(
    ("status", "body", "kind", "problem"),
    [
        (503, "busy", Repeat, "answered 503"),
        (500, "<html>broken", Repeat, "answered 500"),
        (500, "", Repeat, "answered 500"),
        (500, ENVELOPE.format("<what>"), Trash, "Server returned response (500) with invalid XML"),
        (400, "<html>broken", Trash, "answered 400"),
        (200, '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', Trash, "DTDForbidden"),
        (200, ENVELOPE.format("<what/>"), Trash, "the answer holds what, not {urn:sapi}GetCarriersResponse"),
    ],
)
async def test_a_reply_that_is_no_answer(status: int, body: str, kind: type, problem: str) -> None:
    async with serving_sapi() as (service, at):
        service.raw = (status, body)
        outcome: Any = await at.call(servant.GetCarriers(), {})
    assert isinstance(outcome, kind), outcome
    assert problem in outcome.reason
    assert "hunter2" not in outcome.reason


async def test_values_that_the_wsdl_does_not_allow_are_named_before_any_call() -> None:
    class Ask(Connector[Any, Any]):
        name = "ask"

        async def process(self, message: Message[Any]) -> Message[Any]:
            soap = self.soap(f"{message.data['url']}/V5/?wsdl")
            return message.with_data((await soap.call(message.data["operation"], **message.data["values"])).data)

    async with serving_sapi() as (service, at):
        more = {"credentials": {"email": "a", "password": "b"}, "colour": "red"}
        outcome: Any = await at.call(Ask(), {"url": at.url, "operation": "GetCarriers", "values": more})
        assert "GetCarriers: " in outcome.reason
        assert "colour" in outcome.reason
        outcome = await at.call(Ask(), {"url": at.url, "operation": "GetParcels", "values": {}})
        assert "has no operation GetParcels. It has: GetCarriers, GetInventory" in outcome.reason
        outcome = await at.call(Ask(), {"url": at.url, "operation": "ImportIssue", "values": {"credentials": {}}})
        assert isinstance(outcome, Trash)
        assert service.asked == []


async def test_ws_security_signs_a_call_and_a_wsdl_may_be_a_file(tmp_path: Path) -> None:
    class Safe(Application):
        key = "safe"

    class Ask(Connector[Any, Any]):
        name = "ask"
        application = Safe

        async def process(self, message: Message[Any]) -> Message[Any]:
            soap = self.soap(str(tmp_path / "a.wsdl"), username="ann", password="hunter2", use_digest=message.data)
            credentials = {"email": "a", "password": "b"}
            return message.with_data((await soap.call("GetCarriers", credentials=credentials)).data)

    async with serving_sapi() as (service, at):
        (tmp_path / "a.wsdl").write_text(WSDL.replace("ADDRESS", f"{at.url}/V5/"))
        service.answer_with("GetCarriers", "")
        for use_digest in (False, True):
            assert isinstance(await at.call(Ask(), use_digest), Forward)
    tokens = [header["Security"]["UsernameToken"] for header in service.headers]
    assert [token["Username"] for token in tokens] == ["ann", "ann"]
    assert tokens[0]["Password"]["#text"] == "hunter2"
    assert tokens[1]["Password"]["#text"] != "hunter2"


FAULT_12 = """<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><e:Fault>
<faultcode>e:Client</faultcode><faultstring>no such order</faultstring>
<detail><code xmlns="urn:sapi">17</code><order id="7"/></detail></e:Fault></e:Body></e:Envelope>"""


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_a_fault_has_its_detail_whatever_the_status(status: int) -> None:
    class Caught(servant.GetCarriers):
        async def process(self, message: Message[Any]) -> Any:
            try:
                return await super().process(message)
            except SoapFault as error:
                return message.with_data([error.text, error.detail])

    async with serving_sapi() as (service, at):
        service.raw = (status, FAULT_12)
        assert data_of(await at.call(Caught(), {})) == [
            "no such order",
            {"detail": {"code": "17", "order": {"@id": "7"}}},
        ]


async def test_a_text_of_many_megabytes_is_read() -> None:
    async with serving_sapi() as (service, at):
        name = "x" * (11 << 20)
        service.answer_with("GetCarriers", f"<carrierItems><id>1</id><name>{name}</name></carrierItems>")
        assert data_of(await at.call(servant.GetCarriers(), {})) == [{"id": 1, "name": name}]


async def test_services_and_ports_are_called_by_name() -> None:
    class Ask(Connector[Any, Any]):
        name = "ask"

        async def process(self, message: Message[Any]) -> Message[Any]:
            soap = self.soap(f"{message.data.pop('url')}/V5/?wsdl", **message.data)
            return message.with_data((await soap.call("GetCarriers", credentials={"email": "a", "password": "b"})).data)

    async with serving_sapi() as (service, at):
        service.answer_with("GetCarriers", "")
        (name,) = re.findall(r'<\w*:?service name="(\w+)"', WSDL)
        port = re.findall(r'<\w*:?port [^>]*name="(\w+)"', WSDL)[0]
        assert isinstance(await at.call(Ask(), {"url": at.url, "service_name": name, "port_name": port}), Forward)
        outcome: Any = await at.call(Ask(), {"url": at.url, "service_name": "Other"})
        assert f"has no service Other. It has: {name}" in outcome.reason
        outcome = await at.call(Ask(), {"url": at.url, "port_name": "Other"})
        assert f"has no port Other. It has: {port}" in outcome.reason


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (b"\x00\xff", "AP8="),
        (timedelta(days=1, seconds=2), "P1DT2S"),
        (Duration(months=1, days=2), "P1M2D"),
        (fromstring("<a:row xmlns:a='urn:a' id='1'><a:b>2</a:b></a:row>"), {"row": {"@id": "1", "b": "2"}}),
        (Decimal("1.50"), "1.50"),
        (date(2026, 11, 30), "2026-11-30"),
        (datetime(2026, 11, 30, 1, 2, 3, tzinfo=UTC), "2026-11-30T01:02:03Z"),
        (QName("urn:a", "b"), "{urn:a}b"),
        ([{"a": (b"\x01", None)}], [{"a": ["AQ==", None]}]),
        (AnyObject(None, b"\x01"), "AQ=="),
    ],
)
def test_all_that_zeep_reads_has_a_json_form(value: Any, written: Any) -> None:
    assert json.loads(json_text(plain_value(value))) == written
