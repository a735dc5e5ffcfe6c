"""The HTTP API that the platform calls: lists and calls of actions, applications, installs, webhooks."""
