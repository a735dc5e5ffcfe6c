"""Limits: how many calls a service may get, over all workers."""
