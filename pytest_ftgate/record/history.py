"""How accepted records have come along: read from git, where there is one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from pytest_ftgate.advise.evidence import AcceptedRun
from pytest_ftgate.record.accepted import FORMAT, Kept, Record, record_from_json
from pytest_ftgate.record.git import Commit, NoAnswer, commits, version
from pytest_ftgate.record.run import Past

__all__ = ["accepted_runs", "history"]

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
