"""Read-only git queries: commits, files of a commit, tracked files, and what differs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pytest_ftgate.errors import ConfigurationError

#: The most seconds of one git command.
_TIMEOUT = 20.0
#: What a hook of git sets for its children: it would make git read another repository or index.
_OF_HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_PREFIX")
#: A folder that a commit fills like a bare repository is none: its configuration runs commands.
_OPTIONS = ("-c", "core.quotepath=off", "-c", "safe.bareRepository=explicit")
#: Why a question about history has no answer, with the remedy.
SHALLOW = "the clone is shallow; fetch its history (fetch-depth: 0)"


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
    command = ["git", "-C", str(folder), *_OPTIONS, *arguments]
    own = {name: value for name, value in os.environ.items() if name not in _OF_HOOKS}
    environ = {**own, "GIT_OPTIONAL_LOCKS": "0", "GIT_LITERAL_PATHSPECS": "0", "LC_ALL": "C"}
    try:
        process = subprocess.run(  # noqa: S603 - git itself, and no shell
            command, capture_output=True, check=False, timeout=_TIMEOUT, env=environ
        )
    except FileNotFoundError:
        raise GitError("git is not installed") from None
    except (OSError, subprocess.TimeoutExpired):
        raise GitError("git did not answer") from None
    if process.returncode:
        message = process.stderr.decode(errors="replace")
        outside = "not a git repository" in message or "does not have any commits" in message
        failed = f"git failed: {message.strip().partition(chr(10))[0]}".removesuffix(": ")
        raise GitError("the folder is in no git history" if outside else failed)
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


def repository_of(path: Path) -> Path | None:
    """Return the top of the repository around *path*, or None outside of one."""
    return next((top for top in (path, *path.parents) if (top / ".git").exists()), None)


def tracked_among(repository: Path, names: Iterable[str]) -> list[str]:
    """Return the files that git tracks among *names*, all from the top of *repository*.

    Upper and lower case are equal, as they are on some file systems.

    Raises:
        GitError: git does not say.
    """
    specs = (f":(top,icase,literal){name}" for name in names)
    output = git_output(repository, "ls-files", "-z", "--", *specs)
    return output.split("\0")[:-1]


def is_shallow(folder: Path) -> bool:
    """Return True if the repository of *folder* contains only a part of its history."""
    try:
        return git_output(folder, "rev-parse", "--is-shallow-repository").strip() == "true"
    except GitError:
        return False
