"""What git knows: how often a task changed, and what was accepted when. It is asked, never told.

A folder without git, a clone without its history or a git that fails is said, and no error.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ftgate.errors import Unavailable

if TYPE_CHECKING:
    from pytest_ftgate.advise.evidence import AcceptedRun, GitFacts
    from pytest_ftgate.suite.model import Suite

__all__ = ["Commit", "accepted_runs", "commits", "git_facts", "is_shallow", "tracked"]

#: So many days are looked back.
_DAYS = 90
#: So many accepted records are read at most.
_RECORDS = 20
#: Seconds that git may take.
_PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit: its hash, the day, and who made it."""

    name: str
    at: str
    by: str


class _NoAnswer(Exception):
    """Git has nothing to say; the message says why."""


def _git(folder: Path, *args: str) -> str:
    command = ["git", "-C", str(folder), "-c", "core.quotepath=off", *args]
    try:
        done = subprocess.run(  # noqa: S603 - git itself, and no shell
            command, capture_output=True, check=False, timeout=_PATIENCE
        )
    except FileNotFoundError:
        raise _NoAnswer("git is not installed") from None
    except (OSError, subprocess.TimeoutExpired):
        raise _NoAnswer("git did not answer") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace")
        outside = "not a git repository" in said or "does not have any commits" in said
        raise _NoAnswer("the folder is in no git history" if outside else "git failed")
    return done.stdout.decode(errors="replace")


def git_facts(suite: Suite, today: date) -> GitFacts:
    """Return how often the prompt, the cases and the suite changed in the last 90 days."""
    from pytest_ftgate.advise.evidence import GitFacts

    prompts = {one.prompt_path for one in suite.variants.values() if one.prompt_path}
    files = {"prompt": prompts, "cases": {*suite.case_files} - {suite.path}, "suite": {suite.path}}
    folder = suite.path.parent
    try:
        if is_shallow(folder):
            return GitFacts(unknown="the clone is shallow; fetch its history (fetch-depth: 0)")
        since = date.fromordinal(today.toordinal() - _DAYS)
        changed = {what: _changes(folder, since, own) for what, own in files.items() if own}
        if not any(commits(folder, path, 1) for path in (suite.path,)):
            return GitFacts(unknown="the suite is not committed")
        days = min(_DAYS, (today - _first(folder, today)).days)
    except _NoAnswer as error:
        return GitFacts(unknown=str(error))
    counts = {what: len(own) for what, own in changed.items()}
    return GitFacts(days=days, changes=counts, commits=len(set().union(*changed.values())))


def _changes(folder: Path, since: date, files: set[Path]) -> set[str]:
    """Return the commits since a day that changed *files*; a first version is no change."""
    paths = [str(path) for path in sorted(files)]
    log = ("log", f"--since={since.isoformat()}T00:00:00", "--format=%H")
    return set(_git(folder, *log, "--diff-filter=MRD", "--", *paths).split())


def _first(folder: Path, today: date) -> date:
    """Return the day of the first commit of the history."""
    dates = _git(folder, "log", "--max-parents=0", "--format=%as").split()
    return min(map(date.fromisoformat, dates), default=today)


def commits(folder: Path, path: Path, most: int = _RECORDS) -> list[Commit]:
    """Return the commits that changed *path*, the newest first; none where git knows nothing."""
    try:
        told = _git(folder, "log", f"-{most}", "--format=%h%x09%as%x09%an", "--", str(path))
    except _NoAnswer:
        return []
    return [Commit(*line.split("\t", 2)) for line in told.splitlines() if line.count("\t") >= 2]  # noqa: PLR2004


def tracked(folder: Path, pattern: str) -> list[Path]:
    """Return the files below *folder* that git has and *pattern* matches.

    Raises:
        Unavailable: git knows nothing here.
    """
    try:
        names = _git(folder, "ls-files", "-z", "--", pattern).split("\0")
    except _NoAnswer as error:
        raise Unavailable(f"{folder}: {error}; history is read from git") from None
    return [folder / name for name in names if name]


def is_shallow(folder: Path) -> bool:
    """Tell whether git has only a part of the history of *folder*."""
    try:
        return _git(folder, "rev-parse", "--is-shallow-repository").strip() == "true"
    except _NoAnswer:
        return False


def accepted_runs(path: Path) -> tuple[AcceptedRun, ...]:
    """Return the versions of the accepted record *path*, the newest first; unreadable ones not."""
    from pydantic import ValidationError

    from pytest_ftgate.advise.evidence import AcceptedRun
    from pytest_ftgate.record.accepted import FORMAT, record_from_json

    found = []
    for commit in commits(path.parent, path):
        try:
            record = record_from_json(_git(path.parent, "show", f"{commit.name}:./{path.name}"))
        except (_NoAnswer, ValidationError):
            continue
        if record.format <= FORMAT:
            found.append(
                AcceptedRun(
                    commit=commit.name,
                    at=commit.at,
                    by=commit.by,
                    serves=record.serves,
                    verdicts=record.verdicts,
                )
            )
    return tuple(found)
