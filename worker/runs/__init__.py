"""Process state in standalone mode: the database knows each run, exactly. See docs/processes.md.

Importing this package loads no database driver; `worker.runs.store` does.
"""

from worker.runs.following import Runs, UncountedRuns
from worker.runs.run import ENDED, MessageState, NodeCounts, Run, RunState
from worker.runs.steps import Sent, sent_steps

__all__ = ["ENDED", "MessageState", "NodeCounts", "Run", "RunState", "Runs", "Sent", "UncountedRuns", "sent_steps"]
