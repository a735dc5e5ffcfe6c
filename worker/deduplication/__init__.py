"""Deduplication: of messages with the same key within a time window only the first is worked on."""

from worker.deduplication.marks import Mark, Marks, Taken
from worker.deduplication.once import Once
from worker.deduplication.opening import open_marks

__all__ = ["Mark", "Marks", "Once", "Taken", "open_marks"]
