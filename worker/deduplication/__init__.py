"""Marks of messages that were seen, for nodes with `deduplicate`."""
