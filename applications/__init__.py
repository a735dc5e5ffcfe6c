"""Who we are to a service: what its endpoints share."""

from applications.application import Application
from applications.rate import Rate

__all__ = ["Application", "Rate"]
