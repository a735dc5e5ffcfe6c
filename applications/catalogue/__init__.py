"""The login of each service that comes with the worker."""
