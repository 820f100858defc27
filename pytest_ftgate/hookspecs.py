"""What other plugins may add, and how they are asked for it. docs/hooks.md has an example of each.

None of these is called without ``--ftgate``. What a ``conftest.py`` implements holds for the suites
and the marked functions below it, what a plugin implements for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_ftgate.gates.verdict import Verdict
    from pytest_ftgate.providers.base import Open
    from pytest_ftgate.requests.request import Call

__all__ = [
    "pytest_ftgate_formats",
    "pytest_ftgate_plan_modifyitems",
    "pytest_ftgate_prices",
    "pytest_ftgate_providers",
    "pytest_ftgate_reporters",
    "pytest_ftgate_scorers",
    "pytest_ftgate_skills",
    "pytest_ftgate_verdict",
]

# What suites may name: collected from all plugins; a name is offered once in a run -------------


def pytest_ftgate_providers() -> Mapping[str, Open]:
    """Offer providers.

    Returns:
        For each name that a suite may write as ``provider:`` a class derived from ``Provider``,
        or a function that takes the same ``(calls, environ)`` and returns an open provider.
    """
    raise NotImplementedError


def pytest_ftgate_scorers() -> Mapping[str, Callable[..., Any]]:
    """Offer scorers.

    Returns:
        For each name that a suite may write as ``score:`` a function that takes a case and a
        reply, and as keywords the options that the suite gives, and returns 0 to 1.
    """
    raise NotImplementedError


def pytest_ftgate_formats() -> Mapping[str, Callable[..., Any]]:
    """Offer formats.

    Returns:
        For each name that a suite may write in ``format:`` a function that takes a case and a
        reply, and as keywords the options that the suite gives, and returns True or "" where the
        form holds, and else False or what is wrong.
    """
    raise NotImplementedError


def pytest_ftgate_skills() -> Mapping[str, str | Path]:
    """Offer skills.

    Returns:
        For each name that a forgetting gate may write in ``skills:`` a ``.jsonl`` file of cases.
    """
    raise NotImplementedError


@pytest.hookspec(firstresult=True)
def pytest_ftgate_prices(provider: str, model: str) -> tuple[float, float] | None:
    """Tell what a model costs whose suite declares no price; the first answer is taken.

    Returns:
        USD for a million tokens, read and written, or None where it is not known here.
    """
    raise NotImplementedError


# What happens in a run: every plugin is told ----------------------------------------------------


def pytest_ftgate_plan_modifyitems(config: pytest.Config, items: list[Call]) -> None:
    """Order the calls of a run before they are asked, in place.

    A call that is taken out is asked once a gate waits for it. Under pytest-xdist each worker
    plans its own.
    """
    raise NotImplementedError


def pytest_ftgate_verdict(config: pytest.Config, verdict: Verdict, nodeid: str) -> None:
    """See each verdict as it is reached, in the process that reports; it cannot be changed."""
    raise NotImplementedError


def pytest_ftgate_reporters(config: pytest.Config, report: Any) -> None:
    """Report the run in your own way, at its end, in the process that reports.

    Args:
        config: of the run.
        report: the verdicts of the run, those of gates first.
    """
    raise NotImplementedError
