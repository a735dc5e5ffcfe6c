"""Settings of the worker, read from the environment."""
