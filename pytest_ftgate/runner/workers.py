"""What an xdist worker passes in files to the process that writes the reports."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pytest_ftgate.runner.session import Session

if TYPE_CHECKING:
    from pytest_ftgate.results.run import SuiteRun


def collect_suite_runs(session: Session) -> list[SuiteRun]:
    """Return the suite runs of this process if a report shows cases, else an empty list."""
    if not session.settings.reports_cases:
        return []
    from pytest_ftgate.results.collect import collect_suite_run

    judges = session.scores.judge_evidence
    return [collect_suite_run(*scored, judges) for scored in session.scores.by_suite()]


def write_suite_runs(session: Session) -> str | None:
    """Write the suite runs of this process beside the cache; return the file, or None."""
    suite_runs = collect_suite_runs(session)
    if not suite_runs:
        return None
    from pytest_ftgate.results.verdicts import to_json

    return _write(session, "cases", map(to_json, suite_runs))


def read_suite_runs(path: str | None) -> list[SuiteRun]:
    """Return the suite runs that another process wrote to *path*, if any, and delete the file."""
    if path is None:
        return []
    from pytest_ftgate.results.run import SuiteRun
    from pytest_ftgate.results.verdicts import from_json

    return [from_json(SuiteRun, line) for line in _read(path)]


def write_accepted(session: Session, accepted: Mapping[str, object]) -> str | None:
    """Write what each gate of this process accepts, by node id; return the file, or None.

    In the reports of the tests, each reporter of another plugin would store it.
    """
    return _write(session, "accepted", [json.dumps(accepted)]) if accepted else None


def read_accepted(path: str | None) -> dict[str, Any]:
    """Return what another process wrote to *path*, if any, and delete the file."""
    values: dict[str, Any] = json.loads(_read(path)[0]) if path else {}
    return values


def _write(session: Session, kind: str, lines: Iterable[str]) -> str:
    path = session.settings.cache.parent / f"{kind}-{uuid4().hex}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return str(path)


def _read(path: str) -> list[str]:
    # Only a line feed ends a line: replies may contain other line separators.
    lines = Path(path).read_text("utf-8").split("\n")
    Path(path).unlink()
    return [line for line in lines if line]
