"""Write a connector, custom node or batch with this.

`Endpoints` for plain calls, a class for logic, a function for custom nodes. What stands here is what most actions
need; the rest is imported from its module, such as `connectors.storage` or `connectors.errors`.
"""

from typing import TYPE_CHECKING

from applications.lazy import lazily

if TYPE_CHECKING:
    from applications.http.errors import ReplyUnreadable
    from applications.http.response import Response
    from connectors.action import Batch, Connector, CustomNode
    from connectors.audit import audit_checkpoint, audit_entity
    from connectors.bodies import FormBody, JsonBody, MultipartBody, NoBody, RawBody, XmlBody
    from connectors.configured import Configuration, Configured
    from connectors.connection import Connection
    from connectors.delay import Exponential
    from connectors.endpoints import Endpoints
    from connectors.errors import GraphQLFailed, SoapFault
    from connectors.functions import custom_node
    from connectors.logs import log
    from connectors.message import Message
    from connectors.outcome import Forward, Limited, Outcome, Page, Repeat, Stop, Trash
    from connectors.paging import CursorParam, LinkHeader, NextUrl, Offset, PageNumber
    from connectors.rules import Rules, limited_when, repeat_when, stop_when, trash_when
    from connectors.service import Service

__all__ = [
    "Batch",
    "Configuration",
    "Configured",
    "Connection",
    "Connector",
    "CursorParam",
    "CustomNode",
    "Endpoints",
    "Exponential",
    "FormBody",
    "Forward",
    "GraphQLFailed",
    "JsonBody",
    "Limited",
    "LinkHeader",
    "Message",
    "MultipartBody",
    "NextUrl",
    "NoBody",
    "Offset",
    "Outcome",
    "Page",
    "PageNumber",
    "RawBody",
    "Repeat",
    "ReplyUnreadable",
    "Response",
    "Rules",
    "Service",
    "SoapFault",
    "Stop",
    "Trash",
    "XmlBody",
    "audit_checkpoint",
    "audit_entity",
    "custom_node",
    "limited_when",
    "log",
    "repeat_when",
    "stop_when",
    "trash_when",
]

if not TYPE_CHECKING:  # else any name would pass the type checker
    __getattr__ = lazily(
        __name__,
        {
            "applications.http.errors": ("ReplyUnreadable",),
            "applications.http.response": ("Response",),
            "connectors.action": ("Batch", "Connector", "CustomNode"),
            "connectors.audit": ("audit_checkpoint", "audit_entity"),
            "connectors.bodies": ("FormBody", "JsonBody", "MultipartBody", "NoBody", "RawBody", "XmlBody"),
            "connectors.configured": ("Configuration", "Configured"),
            "connectors.connection": ("Connection",),
            "connectors.delay": ("Exponential",),
            "connectors.endpoints": ("Endpoints",),
            "connectors.errors": ("GraphQLFailed", "SoapFault"),
            "connectors.functions": ("custom_node",),
            "connectors.logs": ("log",),
            "connectors.message": ("Message",),
            "connectors.outcome": ("Forward", "Limited", "Outcome", "Page", "Repeat", "Stop", "Trash"),
            "connectors.paging": ("CursorParam", "LinkHeader", "NextUrl", "Offset", "PageNumber"),
            "connectors.rules": ("Rules", "limited_when", "repeat_when", "stop_when", "trash_when"),
            "connectors.service": ("Service",),
        },
    )


def __dir__() -> list[str]:
    return sorted(__all__)
