"""Read-only git queries: commits, and files of a commit."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from pytest_ftgate.errors import ConfigurationError

#: The most seconds of one git command.
_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit.

    Attributes:
        hash: shortened.
        at: the author's date, in ISO 8601.
        subject: the first line of the message.
    """

    hash: str
    at: str
    author: str
    subject: str


class GitError(Exception):
    """A git command has no result; the message gives the reason."""


def git_output(folder: Path, *arguments: str) -> str:
    """Return the output of ``git`` with *arguments* in *folder*.

    Raises:
        GitError: git is not installed, *folder* is in no repository, or git fails or hangs.
    """
    command = ["git", "-C", str(folder), "-c", "core.quotepath=off", *arguments]
    try:
        process = subprocess.run(  # noqa: S603 - git itself, and no shell
            command, capture_output=True, check=False, timeout=_TIMEOUT
        )
    except FileNotFoundError:
        raise GitError("git is not installed") from None
    except (OSError, subprocess.TimeoutExpired):
        raise GitError("git did not answer") from None
    if process.returncode:
        message = process.stderr.decode(errors="replace")
        outside = "not a git repository" in message or "does not have any commits" in message
        raise GitError("the folder is in no git history" if outside else "git failed")
    return process.stdout.decode(errors="replace")


def file_commits(path: Path, limit: int) -> list[Commit]:
    """Return the last commits that changed *path*, at most *limit*, the newest first.

    Raises:
        GitError: git has no history of the file.
    """
    form = "--format=%h%x09%aI%x09%an%x09%s"
    output = git_output(path.parent, "log", f"-{limit}", form, "--", path.name)
    lines = (line.split("\t", 3) for line in output.splitlines())
    return [Commit(*fields) for fields in lines if len(fields) == 4]  # noqa: PLR2004


def file_at_commit(path: Path, commit: Commit) -> str:
    """Return the text of *path* in *commit*.

    Raises:
        GitError: the commit does not contain the file.
    """
    return git_output(path.parent, "show", f"{commit.hash}:./{path.name}")


def tracked_files(folder: Path, pattern: str) -> list[Path]:
    """Return the tracked files below *folder* that match *pattern*.

    Raises:
        ConfigurationError: *folder* is in no git repository.
    """
    try:
        names = git_output(folder, "ls-files", "-z", "--", pattern).split("\0")
    except GitError as error:
        raise ConfigurationError(f"{folder}: {error}; history is read from git") from None
    return [folder / name for name in names if name]


def is_shallow(folder: Path) -> bool:
    """Return True if the repository of *folder* contains only a part of its history."""
    try:
        return git_output(folder, "rev-parse", "--is-shallow-repository").strip() == "true"
    except GitError:
        return False
