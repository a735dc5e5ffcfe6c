"""What an action is: write a connector, custom node or batch with this."""

from applications.http.errors import ReplyTruncated, ReplyUnreadable
from applications.http.response import Response
from connectors.action import Action, Batch, Connector, CustomNode, Kind
from connectors.audit import audit_checkpoint, audit_entity
from connectors.bodies import Form, Json, Multipart, NoBody, Raw, Xml
from connectors.configured import Configuration, Configured
from connectors.connection import Connection
from connectors.delay import Exponential
from connectors.download import Download
from connectors.endpoints import Endpoint, Endpoints, Listing
from connectors.errors import (
    ActionInterrupted,
    DoNotContinue,
    GraphQLFailed,
    LimitExceeded,
    PagingLoop,
    RepeatLater,
    SoapFault,
    StopAndFail,
    StorageAway,
)
from connectors.functions import batch, connector, custom_node
from connectors.graphql import GraphQLReply
from connectors.http import Call, Http
from connectors.logs import ActionLog, log
from connectors.message import Message, current_message
from connectors.outcome import Forward, Limited, Outcome, Page, Repeat, Stop, Trash
from connectors.paging import CursorParam, LinkHeader, NextUrl, Offset, PageNumber, Pages
from connectors.rate import RateNotice
from connectors.rules import Rules, fail_when, limit_when, repeat_when, stop_when
from connectors.service import Service
from connectors.soap import SoapReply, SoapService
from connectors.storage import Collection, State, Storage
from connectors.topologies import Topologies

__all__ = [
    "Action",
    "ActionInterrupted",
    "ActionLog",
    "Batch",
    "Call",
    "Collection",
    "Configuration",
    "Configured",
    "Connection",
    "Connector",
    "CursorParam",
    "CustomNode",
    "DoNotContinue",
    "Download",
    "Endpoint",
    "Endpoints",
    "Exponential",
    "Form",
    "Forward",
    "GraphQLFailed",
    "GraphQLReply",
    "Http",
    "Json",
    "Kind",
    "LimitExceeded",
    "Limited",
    "LinkHeader",
    "Listing",
    "Message",
    "Multipart",
    "NextUrl",
    "NoBody",
    "Offset",
    "Outcome",
    "Page",
    "PageNumber",
    "Pages",
    "PagingLoop",
    "RateNotice",
    "Raw",
    "Repeat",
    "RepeatLater",
    "ReplyTruncated",
    "ReplyUnreadable",
    "Response",
    "Rules",
    "Service",
    "SoapFault",
    "SoapReply",
    "SoapService",
    "State",
    "Stop",
    "StopAndFail",
    "Storage",
    "StorageAway",
    "Topologies",
    "Trash",
    "Xml",
    "audit_checkpoint",
    "audit_entity",
    "batch",
    "connector",
    "current_message",
    "custom_node",
    "fail_when",
    "limit_when",
    "log",
    "repeat_when",
    "stop_when",
]
