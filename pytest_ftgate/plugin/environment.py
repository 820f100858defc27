"""The facts in a run record: versions, and for reports the command, the commit and the suites."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from pytest_ftgate.client.redaction import redact_text
from pytest_ftgate.gates.units import duration
from pytest_ftgate.results.git import GitError, git_output
from pytest_ftgate.settings import Settings
from pytest_ftgate.weights import file_sha256

#: The characters of a digest that are shown.
_DIGEST = 12


def environment_facts(settings: Settings) -> dict[str, str]:
    """Return versions and addresses of a run."""
    facts = {
        "pytest-ftgate": version("pytest-ftgate"),
        "pytest": pytest.__version__,
        "Python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "replies": settings.replies,
    }
    addresses = {"run": settings.run_url, "source": settings.source_url}
    return facts | {name: address for name, address in addresses.items() if address}


def report_facts(
    settings: Settings, arguments: Iterable[str], suites: Iterable[str], seconds: float
) -> dict[str, str]:
    """Return the command, how long it took, who ran it, the commit, and a digest of each suite.

    git is called, so this is for a run that writes a report.
    """
    return {
        "command": redact_text(shlex.join(["pytest", *arguments]), os.environ),
        "duration": duration(seconds),
        **dict(_git_facts(settings)),
        **dict(_suite_facts(settings.root, suites)),
    }


def _suite_facts(root: Path, suites: Iterable[str]) -> Iterator[tuple[str, str]]:
    paths = {name: root / name for name in suites}
    digests = [
        f"{name} (sha256 {file_sha256(path)[:_DIGEST]})"
        for name, path in paths.items()
        if path.is_file()
    ]
    if digests:
        yield "suites", ", ".join(digests)


def _git_facts(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield who ran it, on a build server the user there, and the commit."""
    root = settings.root
    try:
        name = settings.run_by or git_output(root, "config", "user.name").strip()
        if name:
            yield "run by", name
    except GitError:
        pass
    try:
        commit = git_output(root, "log", "-n1", "--format=%h %s").strip()
        changed = git_output(root, "status", "--porcelain", "--untracked-files=no").strip()
    except GitError:
        return
    yield "commit", f"{commit}{' (with changes that are not committed)' * bool(changed)}"
