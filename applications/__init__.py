"""Who we are to a service: what its endpoints share."""

from applications.access import Access
from applications.application import Application

__all__ = ["Access", "Application"]
