"""Read-only git queries: the commit, and the history of accepted records."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from pytest_ftgate.errors import Unavailable
from pytest_ftgate.recommend.evidence import AcceptedRun
from pytest_ftgate.results.accepted import FORMAT, Kept, Record, record_from_json
from pytest_ftgate.results.run import Past

__all__ = [
    "Commit",
    "NoAnswer",
    "accepted_runs",
    "commits",
    "history",
    "is_shallow",
    "said",
    "tracked",
    "version",
]

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


#: More points than this no chart shows.
_POINTS = 50
#: So far back is looked for what once passed.
_RUNS = 20


def history(path: Path) -> tuple[Past, ...]:
    """Return how well the variants did in the accepted records at *path*, the oldest first."""
    found = [
        Past(
            at=commit.at,
            commit=commit.name,
            subject=commit.subject,
            accuracy=_means(record.variants, "correct"),
            form=_means(record.variants, "valid"),
        )
        for commit, record in _versions(path, _POINTS)
    ]
    return tuple(reversed(found))


def accepted_runs(path: Path) -> tuple[AcceptedRun, ...]:
    """Return what was accepted at *path*, by whom and when, the newest first."""
    return tuple(
        AcceptedRun(
            commit=commit.name,
            at=commit.at[:10],
            by=commit.by,
            serves=record.serves,
            verdicts=record.verdicts,
        )
        for commit, record in _versions(path, _RUNS)
    )


def _versions(path: Path, most: int) -> Iterator[tuple[Commit, Record]]:
    """Yield the versions of a record that this one can read, the newest first."""
    try:
        known = commits(path, most)
    except NoAnswer:
        return
    for commit in known:
        try:
            record = record_from_json(version(path, commit))
        except (NoAnswer, ValidationError):
            continue  # deleted there, or of another format
        if record.format <= FORMAT:
            yield commit, record


def _means(variants: Mapping[str, Mapping[str, Kept]], what: str) -> dict[str, float]:
    found = {
        name: [value for one in cells.values() if (value := getattr(one, what)) is not None]
        for name, cells in variants.items()
    }
    return {name: sum(own) / len(own) for name, own in found.items() if own}
