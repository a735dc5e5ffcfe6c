"""Replays recorded calls of services against a service with the same actions."""
