"""What a session gives to the run record."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ftgate.results.builder import RunPart
from pytest_ftgate.results.run import RequestCounts
from pytest_ftgate.runner.provenance import deciding_files
from pytest_ftgate.runner.session import Session

if TYPE_CHECKING:
    from pytest_ftgate.results.run import SuiteRun


def collect_suite_runs(session: Session) -> list[SuiteRun]:
    """Return the suite runs of *session*, with their cases."""
    from pytest_ftgate.results.collect import collect_suite_run  # imports SciPy

    judges = session.scores.judge_evidence
    return [collect_suite_run(*scored, judges) for scored in session.scores.by_suite()]


def run_part(
    session: Session,
    suites: Iterable[SuiteRun] = (),
    skipped: int = 0,
    configuration: Path | None = None,
) -> RunPart:
    """Return what *session* knows of its run once it is closed.

    *suites* are its suite runs, if a report shows cases. *skipped* counts the requests that were
    never sent because gates stopped early. *configuration* is the file of pytest's.
    """
    root = session.settings.root
    progress = session.progress
    pending = (f"{one}; the same command picks its replies up" for one in session.pending_batches)
    return RunPart(
        requests=RequestCounts(
            replies=progress.reused + progress.received,
            sent=progress.received,
            seconds=progress.seconds,
            skipped=skipped,
        ),
        cost=session.cost_report(),
        messages=(*pending, *session.user_messages),
        files=tuple(sorted(deciding_files(session.suites, root, configuration))),
        suites=tuple(suites),
    )
