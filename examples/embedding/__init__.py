"""A service of somebody's own that runs the worker beside its other work."""
