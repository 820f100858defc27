"""Where and by what a run is made, as its record tells it."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

import pytest

from pytest_ftgate.settings import Settings

__all__ = ["surroundings"]


def surroundings(settings: Settings) -> dict[str, str]:
    """Return where and by what a run was made; git is asked where a report is written."""
    facts = {
        "pytest-ftgate": version("pytest-ftgate"),
        "pytest": pytest.__version__,
        "Python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "replies": settings.replies,
    }
    if settings.run_url:
        facts["run"] = settings.run_url
    if settings.reports or settings.summary:
        facts |= _commit(settings.root)
    return facts


def _commit(root: Path) -> dict[str, str]:
    from pytest_ftgate.record.git import NoAnswer, said

    try:
        commit = said(root, "log", "-n1", "--format=%h %s").strip()
        changed = said(root, "status", "--porcelain", "--untracked-files=no").strip()
    except NoAnswer:
        return {}
    return {"commit": f"{commit}{' (with changes that are not committed)' * bool(changed)}"}
