"""Fixtures of an engine with scripted providers."""

from ftgate_testing.engines import (  # noqa: F401
    backoffs,
    cache,
    call,
    open_cache,
    providers,
    soon,
    start,
    start_python,
)
