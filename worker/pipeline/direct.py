"""The way of a message that somebody calls with and waits for: no queue, so nothing is parked, kept or published.

What lies around the action is what lies around it for a message of a queue: your own stages, the action with its
accounts and rules, the limits that the caller has not kept, and the audit. The platform's worker, which calls, does the
rest by the answer.
"""

from collections.abc import Sequence

from connectors.audit import Checkpoint
from worker.actions.local import Call
from worker.pipeline.decisions import Decided, Stage, Way
from worker.pipeline.own_stages import guarded
from worker.pipeline.stages import Audited, around
from worker.protocol.message import Visit


def direct_way(
    call: Call, added: Sequence[Stage] = (), checkpoint: Checkpoint | None = None, nearest: Sequence[Stage] = ()
) -> Way:
    """Return the way to an action and back. `ActionUnreachable` of the call is raised to whoever waits.

    `checkpoint` is what the action says is to be noted of each message; `nearest` are stages next to the action.
    """

    async def attempt(visit: Visit) -> Decided:
        return Decided(visit, await call(visit))

    return around([*map(guarded, added), Audited(checkpoint).stage, *nearest], attempt)
