"""What git says: it is asked, and never told to do anything."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from pytest_ftgate.errors import Unavailable

__all__ = ["Commit", "NoAnswer", "commits", "is_shallow", "said", "tracked", "version"]

#: Seconds that git may take.
_PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit: its hash, when it was made in ISO 8601, by whom, and its first line."""

    name: str
    at: str
    by: str
    subject: str


class NoAnswer(Exception):
    """Git has nothing to say; the message says why."""


def said(folder: Path, *words: str) -> str:
    """Return what git says in *folder*.

    Raises:
        NoAnswer: there is no git, no history, or no time.
    """
    command = ["git", "-C", str(folder), "-c", "core.quotepath=off", *words]
    try:
        done = subprocess.run(  # noqa: S603 - git itself, and no shell
            command, capture_output=True, check=False, timeout=_PATIENCE
        )
    except FileNotFoundError:
        raise NoAnswer("git is not installed") from None
    except (OSError, subprocess.TimeoutExpired):
        raise NoAnswer("git did not answer") from None
    if done.returncode:
        why = done.stderr.decode(errors="replace")
        outside = "not a git repository" in why or "does not have any commits" in why
        raise NoAnswer("the folder is in no git history" if outside else "git failed")
    return done.stdout.decode(errors="replace")


def commits(path: Path, most: int) -> list[Commit]:
    """Return at most so many commits that changed *path*, the newest first.

    Raises:
        NoAnswer: git knows nothing there.
    """
    told = said(path.parent, "log", f"-{most}", "--format=%h%x09%aI%x09%an%x09%s", "--", path.name)
    lines = (line.split("\t", 3) for line in told.splitlines())
    return [Commit(*parts) for parts in lines if len(parts) == 4]  # noqa: PLR2004


def version(path: Path, commit: Commit) -> str:
    """Return the text that *path* had in *commit*.

    Raises:
        NoAnswer: it was not there.
    """
    return said(path.parent, "show", f"{commit.name}:./{path.name}")


def tracked(folder: Path, pattern: str) -> list[Path]:
    """Return the files below *folder* that git has and *pattern* matches.

    Raises:
        Unavailable: git knows nothing here.
    """
    try:
        names = said(folder, "ls-files", "-z", "--", pattern).split("\0")
    except NoAnswer as error:
        raise Unavailable(f"{folder}: {error}; history is read from git") from None
    return [folder / name for name in names if name]


def is_shallow(folder: Path) -> bool:
    """Tell whether git has only a part of the history of *folder*."""
    try:
        return said(folder, "rev-parse", "--is-shallow-repository").strip() == "true"
    except NoAnswer:
        return False
