"""Faults on purpose: odd input in large numbers, and what must not come of it."""
