"""Read-only git queries, and the history of accepted records."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_ftgate.errors import ConfigurationError, Diagnostic, SuiteError
from pytest_ftgate.recommend.advice import AcceptedRun, AcceptedVerdict

if TYPE_CHECKING:
    from pytest_ftgate.results.run import AcceptedPoint


#: The most seconds of one git command.
_TIMEOUT = 20.0
#: What a hook of git sets for its children: it would make git read another repository or index.
_OF_HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_PREFIX")
#: A folder that a commit fills like a bare repository is none: its configuration runs commands.
_OPTIONS = ("-c", "core.quotepath=off", "-c", "safe.bareRepository=explicit")


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
        if "not a git repository" in message:
            raise GitError("the folder is not in a git repository")
        if "does not have any commits" in message:
            raise GitError("the git repository has no commit yet")
        raise GitError(f"git failed: {message.strip().partition(chr(10))[0]}".removesuffix(": "))
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


def require_history(folder: Path) -> None:
    """Raise GitError if the repository of *folder* contains only a part of its history."""
    if is_shallow(folder):
        raise GitError("the clone is shallow; fetch its history (fetch-depth: 0)")


_T = TypeVar("_T")
#: The version of the file format. Raise it if a key changes its name or its meaning. A record of
#: the version before is read, but does not say what decided.
RECORD_FORMAT = 5
#: The most points of the history chart.
_MAX_POINTS = 50
#: The most accepted runs among which the last passed one is searched.
_MAX_RUNS = 20
#: Raised where a record has another shape.
_OTHER_SHAPE = (AttributeError, IndexError, KeyError, TypeError, ValueError)


def check_format(text: bytes, path: Path, suite: str) -> None:
    """Raise SuiteError if this version does not read the format of the record *text* at *path*."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return
    number = document.get("format") if isinstance(document, dict) else None
    if not isinstance(number, int) or number in (RECORD_FORMAT, RECORD_FORMAT - 1):
        return
    message = f"record format {number} is newer than this version reads; upgrade"
    if number < RECORD_FORMAT:
        remedy = "delete it, and accept a run again with pytest --ftgate --ftgate-accept"
        message = f"record format {number} is older than this version reads; {remedy}"
    raise SuiteError(suite, [Diagnostic(path.name, 0, message)])


def accepted_history(path: Path) -> tuple[AcceptedPoint, ...]:
    """Return the mean scores in the committed versions of the record at *path*, oldest first."""
    from pytest_ftgate.results.run import AcceptedPoint

    def point(commit: Commit, record: Mapping[str, Any]) -> AcceptedPoint:
        return AcceptedPoint(
            at=commit.at,
            commit=commit.hash,
            subject=commit.subject,
            accuracy=_means(record, 0),
            format=_means(record, 1),
        )

    return _committed(path, _MAX_POINTS, point)[::-1]


def anchor_dates(path: Path) -> dict[str, str]:
    """Return the day on which the anchor of each variant was accepted, by its name.

    *path* is that of an accepted record. A variant without an anchor is left out.

    Raises:
        SuiteError: the file is no accepted record.
    """
    if not path.is_file():
        return {}
    text = path.read_bytes()
    check_format(text, path, path.name)
    try:
        anchors = json.loads(text).get("anchors", {})
        return {name: anchor["at"][:10] for name, anchor in anchors.items()}
    except _OTHER_SHAPE as error:
        message = "no accepted record; restore it or delete it"
        raise SuiteError(path.name, [Diagnostic(path.name, 0, message)]) from error


def accepted_runs(path: Path) -> tuple[AcceptedRun, ...]:
    """Return the accepted runs in the history of the record at *path*, the newest first."""
    return _committed(path, _MAX_RUNS, _accepted_run)


def _committed(
    path: Path, limit: int, read: Callable[[Commit, Mapping[str, Any]], _T]
) -> tuple[_T, ...]:
    """Return what *read* returns of the committed records in the current format, newest first."""
    found = list[_T]()
    with suppress(GitError):
        for commit in file_commits(path, limit):
            # Otherwise the commit deleted the file, or it is no record.
            with suppress(GitError, *_OTHER_SHAPE):
                text = git_output(path.parent, "show", f"{commit.hash}:./{path.name}")
                record = json.loads(text)
                if record["format"] == RECORD_FORMAT:
                    found.append(read(commit, record))
    return tuple(found)


def _accepted_run(commit: Commit, record: Mapping[str, Any]) -> AcceptedRun:
    return AcceptedRun(
        commit=commit.hash,
        at=commit.at[:10],
        by=commit.author,
        serves=str(record["serves"]),
        gates=tuple(_gate(verdict) for verdict in record["verdicts"] if verdict["gated"]),
    )


def _gate(verdict: Mapping[str, Any]) -> AcceptedVerdict:
    checks = verdict["checks"]
    check = checks[verdict["deciding"]] if checks else None
    return AcceptedVerdict(
        gate=str(verdict["gate"]),
        variant=str(verdict["variant"]),
        outcome=str(verdict["outcome"]),
        value=float(check["after"]) if check else None,
        unit=str(check["unit"]) if check else "",
    )


def _means(record: Mapping[str, Any], column: int) -> dict[str, float]:
    """Return the mean of a column of the accepted cases, for the variants that have any."""
    values = {
        name: [float(row[column]) for row in cases.values() if row[column] is not None]
        for name, cases in record["variants"].items()
    }
    return {name: sum(scores) / len(scores) for name, scores in values.items() if scores}
