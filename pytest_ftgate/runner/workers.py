"""Cases that an xdist worker hands to the process that reports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from pytest_ftgate.runner.session import Session

if TYPE_CHECKING:
    from pytest_ftgate.results.run import SuiteRun

__all__ = ["leave", "taken", "told"]


def told(session: Session) -> list[SuiteRun]:
    """Return what this process knows of its suites, where a report is wanted that shows cases."""
    if not session.settings.tells_cases:
        return []
    from pytest_ftgate.results.collect import tell

    return [tell(suite, columns) for suite, columns in session.columns.by_suite()]


def leave(session: Session) -> str | None:
    """Write what this process knows beside the ledger; return the file, or None for nothing."""
    suites = told(session)
    if not suites:
        return None
    from pytest_ftgate.results.run import suite_to_json

    path = session.settings.ledger.parent / f"cases-{uuid4().hex}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{suite_to_json(one)}\n" for one in suites), "utf-8")
    return str(path)


def taken(path: str) -> list[SuiteRun]:
    """Return what another process left at *path*, which is then gone."""
    from pytest_ftgate.results.run import suite_from_json

    # Lines end in a line feed alone: replies may hold what else ends one.
    lines = Path(path).read_text("utf-8").split("\n")
    Path(path).unlink()
    return [suite_from_json(line) for line in lines if line]
