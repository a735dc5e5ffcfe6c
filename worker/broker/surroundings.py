"""What stands in the broker beside the nodes' own queues. Each mode has its own, and the worker is given one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from worker.broker.link import Session
from worker.broker.objects import Arguments, Declarations
from worker.protocol.topology import Node


@dataclass(frozen=True, slots=True)
class ParkedCount:
    """Messages of the whole broker that are in no node's queue."""

    waiting: int = 0
    """For a repeat or a limit."""
    lost: int = 0
    """Their node was gone when their time had come."""


class Surroundings(Protocol):
    """Declares what the mode needs, and knows the way back of messages that wait."""

    @property
    def queues(self) -> Mapping[str, Arguments]:
        """Return the queues that all nodes share, with their arguments."""

    def return_queues(self, node: Node) -> tuple[str, ...]:
        """Name the queues by which messages come back to a node past those that wait in its own."""

    async def declare(self, declarations: Declarations) -> None:
        """Declare what all nodes share."""

    async def declare_return(self, declarations: Declarations, node: Node) -> None:
        """Declare the way back to a node, once what nodes share is there."""

    async def parked(self, session: Session) -> ParkedCount:
        """Count the messages that are in no node's queue."""
