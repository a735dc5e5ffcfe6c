"""What zeep reads, as plain values that JSON holds: the call was carried out, so nothing in its answer may fail."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from applications.http.xml import xml_data

_PLAIN: Final = (str, int, float, Decimal, date, datetime, time, timedelta, type(None))


def plain_value(value: Any) -> Any:
    """Return a value of any type of zeep's.

    Bytes become base64, durations ISO 8601, elements that no type describes (`xs:any`) `{name: values}`, a reply with
    attachments its `root` with `attachments`; what is left becomes its text.
    """
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, bytes | bytearray):
        return b64encode(value).decode()
    if isinstance(value, list | tuple | set | frozenset):
        return [plain_value(entry) for entry in value]
    if isinstance(value, Mapping):
        return {str(name): plain_value(entry) for name, entry in value.items()}
    return _of_zeep(value)


def _of_zeep(value: Any) -> Any:
    from isodate import Duration, duration_isoformat  # noqa: PLC0415 - with zeep, when the first service is called
    from lxml.etree import QName, _Element  # noqa: PLC0415
    from zeep.wsdl.attachments import MessagePack  # noqa: PLC0415
    from zeep.xsd.valueobjects import AnyObject, CompoundValue  # noqa: PLC0415

    match value:
        case CompoundValue():
            return {name: plain_value(value[name]) for name in value}
        case AnyObject():
            return plain_value(value.value)
        case _Element():
            return {QName(value).localname: xml_data(value)}
        case Duration():
            return duration_isoformat(value)
        case MessagePack():
            return {"root": plain_value(value.root), "attachments": [_attached(one) for one in value.attachments]}
    return str(value)


def _attached(attachment: Any) -> dict[str, Any]:
    content = attachment.content
    return {
        "content_id": attachment.content_id,
        "content_type": attachment.content_type,
        "content": plain_value(content.encode() if isinstance(content, str) else content),
    }
