"""The steps that bring the tables up to date, oldest first. They only add."""

from applications.migrations import first, second

STEPS = (("0001", first.upgrade), ("0002", second.upgrade))
"""Number and work of each step."""
