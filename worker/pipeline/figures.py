"""The stage that tells the platform how long a message has waited for its node, and how long that took."""

from dataclasses import dataclass

from worker.modes.services import Figures
from worker.pipeline.decisions import Decided, Way
from worker.protocol.message import Visit, now_ms
from worker.runs.run import MessageState


@dataclass(frozen=True, slots=True)
class Figured:
    """Tells of each message that has ended, well or in the trash; not of one that waits for something."""

    figures: Figures

    async def stage(self, visit: Visit, call_next: Way) -> Decided:
        """Measure around all that a node does with the message.

        Time in which it waited here for another attempt counts as waiting: the platform's own worker gives such a
        message back to the broker, and measures anew.
        """
        began = now_ms()
        decided = await call_next(visit)
        if decided.state is not None:
            self.figures.ended(
                decided.visit, visit.delivery.began_again or began, is_success=decided.state is MessageState.OK
            )
        return decided
