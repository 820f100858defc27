"""Fixtures of requests."""

from ftgate_testing.engines import call  # noqa: F401
