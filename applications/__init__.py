"""Who we are to a service: what its endpoints share."""

from applications.application import Application

__all__ = ["Application"]
