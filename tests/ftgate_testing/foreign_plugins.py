"""Plugins that users have beside ours: installed for the tests, asleep unless one wakes them."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

__all__ = ["NEIGHBOURS", "TWICE", "asleep", "awaken", "is_installed", "only_ours"]

#: What they are called by -p. pyproject.toml puts the same to sleep for the tests themselves.
NEIGHBOURS = (
    *("allure_pytest", "anyio", "asyncio", "html", "html_fixtures", "metadata", "pytest-split"),
    *("pytest-teamcity", "pytest_cov", "pytest_github_actions_annotate_failures"),
    *("pytest_jsonreport", "pytest_mock", "pytest_reportlog", "randomly", "rerunfailures", "sugar"),
    "timeout",
)
#: A run in this process names plugins that are imported already.
TWICE = "ignore:Module already imported so cannot be rewritten:pytest.PytestAssertRewriteWarning"
#: Those that run failed tests again exclude each other.
_ALONE = ("flaky", "pytest-retry")


def awaken(monkeypatch: pytest.MonkeyPatch, *awake: str) -> None:
    """Let pytest load installed plugins as it does, but put those to sleep that are not *awake*."""
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", raising=False)
    monkeypatch.setenv("PYTEST_ADDOPTS", asleep(*awake))


def only_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pytest load our plugin and xdist only, since it is slow to search for others."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", f"-p pytest_ftgate -p xdist -W '{TWICE}'")


def asleep(*awake: str) -> str:
    """Return the options that put all neighbours to sleep but those that are *awake*."""
    strangers = {*awake} - {*NEIGHBOURS, *_ALONE}
    if strangers:
        raise ValueError(f"no neighbours: {strangers}")
    # Hypothesis is no neighbour, but its plugin is slow to import.
    sleeping = ("hypothesispytest", *NEIGHBOURS, *_ALONE)
    return " ".join(f"-p no:{name}" for name in sleeping if name not in awake)


def is_installed(*modules: str) -> bool:
    """Return True if plugins of the dev extra, which an older environment may lack, are there."""
    return all(map(find_spec, modules))
