"""Plugins that users have beside ours: installed for the tests, asleep unless one wakes them."""

from __future__ import annotations

from importlib.util import find_spec

__all__ = ["NEIGHBOURS", "asleep", "is_installed"]

#: What they are called by -p. pyproject.toml puts the same to sleep for the tests themselves.
NEIGHBOURS = (
    *("allure_pytest", "anyio", "asyncio", "html", "html_fixtures", "metadata", "pytest-split"),
    *("pytest-teamcity", "pytest_cov", "pytest_github_actions_annotate_failures"),
    *("pytest_jsonreport", "pytest_reportlog", "randomly", "rerunfailures", "sugar", "timeout"),
)
#: Those that run failed tests again exclude each other.
_ALONE = ("flaky", "pytest-retry")


def asleep(*awake: str) -> str:
    """Return the options that put all neighbours to sleep but those that are *awake*."""
    strangers = {*awake} - {*NEIGHBOURS, *_ALONE}
    if strangers:
        raise ValueError(f"no neighbours: {strangers}")
    # Hypothesis is no neighbour, but its plugin takes a quarter of a second to import.
    sleeping = ("hypothesispytest", *NEIGHBOURS, *_ALONE)
    return " ".join(f"-p no:{name}" for name in sleeping if name not in awake)


def is_installed(*modules: str) -> bool:
    """Return True if plugins of the dev extra, which an older environment may lack, are there."""
    return all(map(find_spec, modules))
