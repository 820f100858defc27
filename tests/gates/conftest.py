"""Fixtures of requests."""

from engines import call  # noqa: F401
