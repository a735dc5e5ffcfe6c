"""The steps that bring the tables up to date, oldest first. They only add."""

from applications.migrations import first

STEPS = (("0001", first.upgrade),)
"""Number and work of each step."""
