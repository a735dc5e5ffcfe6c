"""Webhooks: calls of services that start a topology."""
