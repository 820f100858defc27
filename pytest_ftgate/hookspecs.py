"""The hooks that plugins and ``conftest.py`` files may implement; docs/hooks.md has examples.

The hooks are called only with ``--ftgate``. A ``conftest.py`` adds to the suites and the marked
functions below its folder, a plugin to all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluggy import HookspecMarker

if TYPE_CHECKING:
    import pytest

    from pytest_ftgate.gates.verdict import Verdict
    from pytest_ftgate.providers.base import ProviderFactory
    from pytest_ftgate.requests.request import Request
    from pytest_ftgate.results.run import Report

_hookspec = HookspecMarker("pytest")

# Names for suites: collected from all plugins; a name may be defined once in a run --------------


def pytest_ftgate_providers() -> Mapping[str, ProviderFactory]:
    """Return providers.

    Returns:
        The providers by the name that a suite writes as ``provider:``. Each is a class derived
        from ``Provider``, or a function that takes ``(requests, environ)`` and returns an open
        provider.
    """
    raise NotImplementedError


def pytest_ftgate_scorers() -> Mapping[str, Callable[..., Any]]:
    """Return scorers.

    Returns:
        The scorers by the name that a suite writes as ``score:``. Each is a function that takes a
        case, a reply, and the suite's options as keywords, and returns a score from 0 to 1.
    """
    raise NotImplementedError


def pytest_ftgate_formats() -> Mapping[str, Callable[..., Any]]:
    """Return format checkers.

    Returns:
        The checkers by the name that a suite writes in ``format:``. Each is a function that takes
        a case, a reply, and the suite's options as keywords. It returns True or "" for a valid
        format, and False or the format error otherwise.
    """
    raise NotImplementedError


def pytest_ftgate_skills() -> Mapping[str, str | Path]:
    """Return skills.

    Returns:
        A ``.jsonl`` file of cases by the name that a forgetting gate writes in ``skills:``.
    """
    raise NotImplementedError


@_hookspec(firstresult=True)
def pytest_ftgate_prices(provider: str, model: str) -> tuple[float, float] | None:
    """Return the price of a model whose suite declares none; the first result counts.

    Returns:
        USD for a million input tokens and for a million output tokens, or None if unknown.
    """
    raise NotImplementedError


# Events of a run: called for every plugin; without pytest, config is None ------------------------


def pytest_ftgate_plan_modifyitems(items: list[Request], config: pytest.Config | None) -> None:
    """Reorder the requests of a run in place, before the first one is sent.

    A removed request is sent when a gate needs it, and then goes to the front of the queue. Under
    pytest-xdist each worker has its own plan.
    """
    raise NotImplementedError


def pytest_ftgate_verdict(verdict: Verdict, nodeid: str, config: pytest.Config | None) -> None:
    """Receive each verdict when it is reached, in the reporting process; it cannot be changed."""
    raise NotImplementedError


def pytest_ftgate_report(report: Report, config: pytest.Config | None) -> None:
    """Write a report of your own at the end of the run, in the reporting process.

    Args:
        report: the run record, as ``--ftgate-json`` writes it; docs/reports.md describes it.
        config: the configuration of the run.
    """
    raise NotImplementedError
