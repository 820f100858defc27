"""How often a task changed, as git knows it.

A folder without git, a clone without its history or a git that fails is said, and no error.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ftgate.record.git import NoAnswer, commits, is_shallow, said

if TYPE_CHECKING:
    from pytest_ftgate.advise.evidence import GitFacts
    from pytest_ftgate.suite.model import Suite

__all__ = ["git_facts"]

#: So many days are looked back.
_DAYS = 90


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
        if not commits(suite.path, 1):
            return GitFacts(unknown="the suite is not committed")
        days = min(_DAYS, (today - _first(folder, today)).days)
    except NoAnswer as error:
        return GitFacts(unknown=str(error))
    counts = {what: len(own) for what, own in changed.items()}
    return GitFacts(days=days, changes=counts, commits=len(set().union(*changed.values())))


def _changes(folder: Path, since: date, files: set[Path]) -> set[str]:
    """Return the commits since a day that changed *files*; a first version is no change."""
    paths = [str(path) for path in sorted(files)]
    log = ("log", f"--since={since.isoformat()}T00:00:00", "--format=%H")
    return set(said(folder, *log, "--diff-filter=MRD", "--", *paths).split())


def _first(folder: Path, today: date) -> date:
    """Return the day of the first commit of the history."""
    dates = said(folder, "log", "--max-parents=0", "--format=%as").split()
    return min(map(date.fromisoformat, dates), default=today)
