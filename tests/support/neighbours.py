"""Plugins that users have beside ours: installed for the tests, asleep unless one wakes them."""

from __future__ import annotations

__all__ = ["NEIGHBOURS", "asleep"]

#: What they are called by -p. pyproject.toml puts the same to sleep for the tests themselves.
NEIGHBOURS = (
    *("anyio", "asyncio", "html", "html_fixtures", "metadata", "pytest_cov"),
    *("pytest_github_actions_annotate_failures", "pytest_reportlog", "randomly"),
    *("rerunfailures", "sugar", "timeout"),
)


def asleep(*awake: str) -> str:
    """Return the options that put all neighbours to sleep but those that are *awake*."""
    strangers = {*awake} - {*NEIGHBOURS}
    if strangers:
        raise ValueError(f"no neighbours: {strangers}")
    return " ".join(f"-p no:{name}" for name in NEIGHBOURS if name not in awake)
