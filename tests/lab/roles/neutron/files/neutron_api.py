"""Neutron's API for a WSGI server."""

from neutron.wsgi.api import application
from sqlalchemy.orm import configure_mappers

__all__ = ["application"]

# Else the first requests do it, at the same time, and fail.
configure_mappers()
