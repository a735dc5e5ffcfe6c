"""What an action is: write a connector, custom node or batch with this."""

from connectors.action import Action, Batch, Connector, CustomNode, Kind
from connectors.audit import audit_checkpoint, audit_entity
from connectors.configured import Configuration, Configured
from connectors.errors import ActionInterrupted, DoNotContinue, LimitExceeded, RepeatLater, StopAndFail, StorageAway
from connectors.http import Http, Response, Service
from connectors.message import Message
from connectors.outcome import Forward, Limited, Outcome, Page, Repeat, Stop, Trash
from connectors.storage import Collection, State, Storage
from connectors.topologies import Topologies

__all__ = [
    "Action",
    "ActionInterrupted",
    "Batch",
    "Collection",
    "Configuration",
    "Configured",
    "Connector",
    "CustomNode",
    "DoNotContinue",
    "Forward",
    "Http",
    "Kind",
    "LimitExceeded",
    "Limited",
    "Message",
    "Outcome",
    "Page",
    "Repeat",
    "RepeatLater",
    "Response",
    "Service",
    "State",
    "Stop",
    "StopAndFail",
    "Storage",
    "StorageAway",
    "Topologies",
    "Trash",
    "audit_checkpoint",
    "audit_entity",
]
