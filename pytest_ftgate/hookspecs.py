"""What other plugins may add, and how they are asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_ftgate.ask.provider import Open

__all__ = ["pytest_ftgate_providers"]


def pytest_ftgate_providers() -> Mapping[str, Open]:
    """Offer providers to the suites below a ``conftest.py``, or from a plugin to all suites.

    Asked whenever a suite is collected; without ``--ftgate`` never. All plugins are heard.

    Returns:
        For each name that a suite may write as ``provider:`` a class derived from ``Provider``,
        or a function that takes the same ``(calls, environ)`` and returns an open provider. A
        name is offered once in a run, since replies are kept under it.
    """
    raise NotImplementedError
