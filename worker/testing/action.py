"""One action, called as a node of a topology calls it."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from applications.http.transport import Transport
from connectors import Message, Outcome, Trash
from connectors.http import FindAccess, of_class
from connectors.kind import Kind
from worker.actions.registry import AnyAction
from worker.protocol import headers as h
from worker.testing.topology import InMemoryTopology
from worker.testing.transports import Exchange, RecordingTransport, no_network
from worker.trash.entry import Entry

WORKERS = {Kind.CONNECTOR: "worker.http", Kind.CUSTOM_NODE: "worker.custom_node", Kind.BATCH: "worker.batch"}

NODE = "action"


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What came of one message. `run_action` returns it."""

    outcomes: Sequence[Outcome]
    """One for each call of the action: a batch is called once a page."""
    messages: Sequence[Message[Any]]
    """What the followers received."""
    entry: Entry | None
    """What lies in the trash."""
    exchanges: Sequence[Exchange]
    """The requests that were sent, and their replies."""

    @property
    def outcome(self) -> Outcome:
        """The outcome of the last call."""
        return self.outcomes[-1]

    @property
    def reason(self) -> str:
        """Why the message did not go on; empty when it did."""
        return str(getattr(self.outcome, "reason", ""))

    @property
    def items(self) -> list[Any]:
        """What the followers received, read as JSON."""
        return [message.data for message in self.messages]

    @property
    def data(self) -> Any:
        """The one message that the followers received, read as JSON. Raises `AssertionError` for none or several."""
        if len(self.messages) != 1:
            raise AssertionError(f"{len(self.messages)} messages went on, not one; the outcome was {self.outcome!r}")
        return self.messages[0].data


async def run_action(
    action: AnyAction | type[AnyAction],
    data: Any = None,
    *,
    body: str | None = None,
    user: str | None = None,
    headers: Mapping[str, Any] | None = None,
    followers: Sequence[str] = ("next",),
    http: Transport | None = None,
    access: FindAccess = of_class,
) -> ActionResult:
    """Call an action with `data` as JSON, with a `body` of text, or with a trashed message as `data`.

    A batch runs to its last page. A message that asks to be repeated is not repeated here, `InMemoryTopology` does
    that. `http` answers the action's requests; without it, a request fails the test. `access` finds an application's
    base URL, headers and sign-in; by default they are those of its class. Raises `UnexpectedRequest`, and
    `AssertionError` for an action that does not answer within its time.
    """
    own = action() if inspect.isclass(action) else action
    transport = RecordingTransport(http or no_network())
    entry = data if isinstance(data, Entry) else None
    if entry is not None:
        data, body, headers = None, entry.text, {**h.without(entry.headers, h.TRANSIENT), **(headers or {})}
    async with InMemoryTopology(topology_of(own, followers), [own], http=transport, access=access) as topology:
        await topology.start(NODE, data, body=body, user=user, headers=headers)
        await topology.run(within=timedelta(0))
        outcomes = [call.outcome for call in topology.calls(NODE)]
        if not outcomes:
            raise AssertionError(f"{own.name} did not answer within its time")
        messages = [message for follower in followers for message in topology.messages(follower)]
        entries = await topology.trash() if isinstance(outcomes[-1], Trash) else ()
    return ActionResult(outcomes, messages, entries[0] if entries else None, transport.exchanges)


def topology_of(action: AnyAction, followers: Sequence[str]) -> Mapping[str, Any]:
    """Return the topology of one node, which calls this action."""
    verb = "process" if action.kind is Kind.CUSTOM_NODE else "action"
    node = {
        "id": NODE,
        "name": action.name,
        "worker": WORKERS[action.kind],
        "application": getattr(getattr(action, "application", None), "key", ""),
        "settings": {"actionPath": f"/{action.kind}/{action.name}/{verb}"},
        "followers": [{"id": name, "name": name} for name in followers],
    }
    return {"id": "one-action", "name": "one-action", "nodes": [node]}
