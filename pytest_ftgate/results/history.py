"""The history of accepted records, read from git."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from pytest_ftgate.recommend.evidence import AcceptedRun
from pytest_ftgate.results.accepted import RECORD_FORMAT, AcceptedCase, AcceptedRecord, read_record
from pytest_ftgate.results.git import Commit, GitError, file_at_commit, file_commits
from pytest_ftgate.results.run import AcceptedPoint
from pytest_ftgate.results.verdicts import from_json

#: The most points of the history chart.
_MAX_POINTS = 50
#: The most accepted runs among which the last passed one is searched.
_MAX_RUNS = 20


def accepted_history(path: Path) -> tuple[AcceptedPoint, ...]:
    """Return the mean scores in the committed versions of the record at *path*, oldest first."""
    points = [
        AcceptedPoint(
            at=commit.at,
            commit=commit.hash,
            subject=commit.subject,
            accuracy=_mean_scores(record.variants, "correct"),
            format=_mean_scores(record.variants, "valid"),
        )
        for commit, record in _committed_records(path, _MAX_POINTS)
    ]
    return tuple(reversed(points))


def anchor_dates(path: Path) -> dict[str, str]:
    """Return the day on which the anchor of each variant was accepted, by its name.

    *path* is that of an accepted record. A variant without an anchor is left out.

    Raises:
        SuiteError: the file is no accepted record.
    """
    record = read_record(path, path.name)
    return {name: anchor.at[:10] for name, anchor in record.anchors.items()} if record else {}


def accepted_runs(path: Path) -> tuple[AcceptedRun, ...]:
    """Return the accepted runs in the history of the record at *path*, the newest first."""
    return tuple(
        AcceptedRun(
            commit=commit.hash,
            at=commit.at[:10],
            by=commit.author,
            serves=record.serves,
            verdicts=record.verdicts,
        )
        for commit, record in _committed_records(path, _MAX_RUNS)
    )


def _committed_records(path: Path, limit: int) -> Iterator[tuple[Commit, AcceptedRecord]]:
    """Yield the committed versions of a record in the current format, the newest first."""
    try:
        commits = file_commits(path, limit)
    except GitError:
        return
    for commit in commits:
        try:
            record = from_json(AcceptedRecord, file_at_commit(path, commit))
        except (GitError, ValidationError):
            continue  # the commit deleted the file, or its format is another one
        if record.format == RECORD_FORMAT:
            yield commit, record


def _mean_scores(
    variants: Mapping[str, Mapping[str, AcceptedCase]], field: str
) -> dict[str, float]:
    """Return the mean of *field* over the cases of each variant that has any."""
    values = {
        name: [value for case in cases.values() if (value := getattr(case, field)) is not None]
        for name, cases in variants.items()
    }
    return {name: sum(scores) / len(scores) for name, scores in values.items() if scores}
