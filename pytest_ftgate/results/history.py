"""The format of accepted records, and their history in git: read as plain JSON, in milliseconds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_ftgate.errors import Diagnostic, SuiteError
from pytest_ftgate.recommend.evidence import AcceptedRun, AcceptedVerdict
from pytest_ftgate.results.git import Commit, GitError, file_at_commit, file_commits

if TYPE_CHECKING:
    from pytest_ftgate.results.run import AcceptedPoint

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

    points = [
        AcceptedPoint(
            at=commit.at, commit=commit.hash, subject=commit.subject, accuracy=correct, format=valid
        )
        for commit, (correct, valid) in _committed(path, _MAX_POINTS, _mean_scores)
    ]
    return tuple(reversed(points))


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
    return tuple(
        AcceptedRun(
            commit=commit.hash, at=commit.at[:10], by=commit.author, serves=serves, gates=gates
        )
        for commit, (serves, gates) in _committed(path, _MAX_RUNS, _serves_and_gates)
    )


def _committed(
    path: Path, limit: int, read: Callable[[Mapping[str, Any]], _T]
) -> Iterator[tuple[Commit, _T]]:
    """Yield what *read* returns of the committed records in the current format, newest first."""
    try:
        commits = file_commits(path, limit)
    except GitError:
        return
    for commit in commits:
        # Otherwise the commit deleted the file, or it is no record.
        with suppress(GitError, *_OTHER_SHAPE):
            record = json.loads(file_at_commit(path, commit))
            if record["format"] == RECORD_FORMAT:
                yield commit, read(record)


def _serves_and_gates(record: Mapping[str, Any]) -> tuple[str, tuple[AcceptedVerdict, ...]]:
    gates = (_gate(verdict) for verdict in record["verdicts"] if verdict["gated"])
    return str(record["serves"]), tuple(gates)


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


def _mean_scores(record: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
    """Return the mean of ``correct`` and of ``valid`` of the variants that have any."""
    variants = {name: [*cases.values()] for name, cases in record["variants"].items()}
    return _means(variants, 0), _means(variants, 1)


def _means(variants: Mapping[str, Sequence[Sequence[Any]]], column: int) -> dict[str, float]:
    values = {
        name: [float(row[column]) for row in rows if row[column] is not None]
        for name, rows in variants.items()
    }
    return {name: sum(scores) / len(scores) for name, scores in values.items() if scores}
