"""Fixtures of an engine with scripted providers."""

from engines import (  # noqa: F401
    call,
    ledger,
    open_ledger,
    pauses,
    providers,
    soon,
    start,
    start_python,
)
