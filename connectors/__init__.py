"""Write a connector, custom node or batch with this.

`Endpoints` for plain calls, a class for logic, a function for custom nodes. What stands here is what most actions
need; the rest is imported from its module, such as `connectors.storage` or `connectors.errors`.
"""

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
