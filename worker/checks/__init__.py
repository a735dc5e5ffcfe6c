"""Whether a worker could do its work here: each check is one finding, with its cure."""

from worker.checks.everything import check_everything
from worker.checks.finding import Finding, State

__all__ = ["Finding", "State", "check_everything"]
