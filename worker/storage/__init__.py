"""The data storage of actions."""
