"""Which plugins a run of pytest inside a test loads: ours alone, what is installed, some of it."""

from __future__ import annotations

import importlib.metadata
from functools import cache

import pytest

__all__ = ["NEIGHBOURS", "TWICE", "awaken", "load_installed", "only_ours"]

#: What the plugins of the extra ``neighbours`` are called by -p.
NEIGHBOURS = (
    *("allure_pytest", "anyio", "asyncio", "check", "html", "html_fixtures", "metadata"),
    *("pytest-split", "pytest-teamcity", "pytest_cov", "pytest_github_actions_annotate_failures"),
    *("pytest_jsonreport", "pytest_mock", "pytest_reportlog", "randomly", "rerunfailures"),
    *("socket", "sugar", "timeout"),
)
#: A run in this process names plugins that are imported already.
TWICE = "ignore:Module already imported so cannot be rewritten:pytest.PytestAssertRewriteWarning"
#: Those that run failed tests again exclude each other, and icdiff words differences anew.
_ALONE = ("flaky", "icdiff", "pytest-retry")
_DISTRIBUTIONS = importlib.metadata.distributions


def only_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pytest load our plugin and xdist only, since it is slow to search for others."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", f"-p pytest_ftgate -p xdist -W '{TWICE}'")
    # Each -p reads the entry points of everything that is installed.
    monkeypatch.setattr(importlib.metadata, "distributions", _of_plugins)


@cache
def _of_plugins() -> list[importlib.metadata.Distribution]:
    return [*map(importlib.metadata.distribution, ("pytest-ftgate", "pytest-xdist"))]


def load_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pytest load the plugins that are installed, as it does for a user."""
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", raising=False)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.setattr(importlib.metadata, "distributions", _DISTRIBUTIONS)


def awaken(monkeypatch: pytest.MonkeyPatch, *awake: str) -> None:
    """Let pytest load installed plugins, but of the neighbours those alone that are *awake*."""
    strangers = {*awake} - {*NEIGHBOURS, *_ALONE}
    if strangers:
        raise ValueError(f"no neighbours: {strangers}")
    load_installed(monkeypatch)
    sleeping = (f"-p no:{name}" for name in (*NEIGHBOURS, *_ALONE) if name not in awake)
    monkeypatch.setenv("PYTEST_ADDOPTS", " ".join(sleeping))
