"""Cases that an xdist worker passes to the process that writes the reports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from pytest_ftgate.runner.session import Session

if TYPE_CHECKING:
    from pytest_ftgate.results.run import SuiteRun


def collect_suite_runs(session: Session) -> list[SuiteRun]:
    """Return the suite runs of this process if a report shows cases, else an empty list."""
    if not session.settings.reports_cases:
        return []
    from pytest_ftgate.results.collect import collect_suite_run

    return [collect_suite_run(suite, scores) for suite, scores in session.scores.by_suite()]


def write_suite_runs(session: Session) -> str | None:
    """Write the suite runs of this process beside the cache; return the file, or None."""
    suite_runs = collect_suite_runs(session)
    if not suite_runs:
        return None
    from pytest_ftgate.results.verdicts import to_json

    path = session.settings.cache.parent / f"cases-{uuid4().hex}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{to_json(suite_run)}\n" for suite_run in suite_runs), "utf-8")
    return str(path)


def read_suite_runs(path: str | None) -> list[SuiteRun]:
    """Return the suite runs that another process wrote to *path*, if any, and delete the file."""
    if path is None:
        return []
    from pytest_ftgate.results.run import SuiteRun
    from pytest_ftgate.results.verdicts import from_json

    # Only a line feed ends a line: replies may contain other line separators.
    lines = Path(path).read_text("utf-8").split("\n")
    Path(path).unlink()
    return [from_json(SuiteRun, line) for line in lines if line]
