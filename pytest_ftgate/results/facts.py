"""The facts in a run record: versions, the command, how long it took, the commit and the suites."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from pytest_ftgate.client.redaction import redact_text
from pytest_ftgate.gates.units import duration
from pytest_ftgate.results.builder import RunPart
from pytest_ftgate.results.git import GitError, git_output
from pytest_ftgate.settings import Settings
from pytest_ftgate.weights import file_sha256

#: The characters of a digest that are shown.
_DIGEST = 12


def run_facts(
    settings: Settings,
    parts: Iterable[RunPart],
    seconds: float,
    *,
    pytest_version: str = "",
    command: Sequence[str] = (),
    calls_git: bool = True,
) -> dict[str, str]:
    """Return versions, addresses, the command, who ran it, the commit, and a digest of each suite.

    *seconds* are those of the whole run. *pytest_version* is "" and *command* empty without pytest.
    git takes a moment, so it is called for a run that has reports.
    """
    facts = {
        "pytest-ftgate": version("pytest-ftgate"),
        "pytest": pytest_version,
        "Python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "replies": settings.replies,
        "run": settings.run_url,
        "source": settings.source_url,
        "command": redact_text(shlex.join(command), os.environ),
        "duration": duration(seconds),
        **(dict(_git_facts(settings)) if calls_git else {}),
        "suites": _suite_digests(settings.root, parts),
    }
    return {name: fact for name, fact in facts.items() if fact}


def _suite_digests(root: Path, parts: Iterable[RunPart]) -> str:
    paths = {run.name: root / run.name for part in parts for run in part.suites}
    return ", ".join(
        f"{name} (sha256 {file_sha256(path)[:_DIGEST]})"
        for name, path in paths.items()
        if path.is_file()
    )


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
