"""What a run hands over: its part of the record, the result of a call, files of xdist workers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from html import escape
from pathlib import Path
from typing import Any
from uuid import uuid4

from pytest_ftgate.client.budget import CostReport
from pytest_ftgate.results.builder import RunPart
from pytest_ftgate.results.run import Report, RequestCounts, SuiteRun, from_json, to_json
from pytest_ftgate.runner.provenance import deciding_files
from pytest_ftgate.runner.session import Session


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
    settings, progress = session.settings, session.replies.progress
    report_only = "this run reports verdicts only: none of them fails a test"
    pending = (
        f"{one}; the same command picks its replies up" for one in session.replies.pending_batches
    )
    return RunPart(
        requests=RequestCounts(
            replies=progress.reused + progress.received,
            sent=progress.received,
            seconds=progress.seconds,
            skipped=skipped,
        ),
        cost=session.cost_report(),
        messages=(*[report_only] * settings.report_only, *pending, *session.replies.user_messages),
        files=tuple(sorted(deciding_files(session.suites, settings.root, configuration))),
        suites=tuple(suites),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """A run that was started from Python; ``str()`` of it is what a terminal shows.

    Attributes:
        report: the run record, which the reports are made of.
    """

    report: Report

    def lines(self, verbosity: int = 0) -> list[str]:
        """Return the lines for a terminal."""
        raise NotImplementedError

    def to_markdown(self) -> str:
        """Return the verdicts as Markdown, as ``--ftgate-markdown`` writes them."""
        from pytest_ftgate.reporting.markdown import markdown_report

        return markdown_report(self.report)

    def to_html(self) -> str:
        """Return the page that ``--ftgate-html`` writes."""
        from pytest_ftgate.reporting.html.page import html_page

        return html_page(self.report)

    def to_json(self) -> str:
        """Return the run record, as ``--ftgate-json`` writes it."""
        from pytest_ftgate.reporting.writers import run_json

        return run_json(self.report)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        """Return what a notebook shows. Replies and names in it are quoted."""
        return f"<pre>{escape(str(self))}</pre>"


def send_part(part: RunPart, folder: Path) -> dict[str, str]:
    """Return *part* as texts, for `receive_part`; its suites are written to a file in *folder*."""
    cases = _write(folder, "cases", map(to_json, part.suites)) if part.suites else ""
    # In ASCII, since the name of a file may hold bytes that are no text.
    return {"part": json.dumps(asdict(replace(part, suites=()))), "cases": cases}


def receive_part(sent: Mapping[str, str]) -> RunPart:
    """Return the part that another process sent, and delete its file."""
    values = json.loads(sent["part"])
    return RunPart(
        requests=RequestCounts(**values["requests"]),
        cost=CostReport(**values["cost"]),
        messages=tuple(values["messages"]),
        files=tuple(values["files"]),
        suites=tuple(from_json(SuiteRun, line) for line in _read(sent["cases"])),
    )


def write_accepted(folder: Path, accepted: Mapping[str, object]) -> str:
    """Write what each gate of this process accepts, by node id; return the file, or "".

    In the reports of the tests, each reporter of another plugin would store it.
    """
    return _write(folder, "accepted", [json.dumps(accepted)]) if accepted else ""


def read_accepted(path: str) -> dict[str, Any]:
    """Return what another process wrote to *path*, if any, and delete the file."""
    return {node: values for line in _read(path) for node, values in json.loads(line).items()}


def _write(folder: Path, kind: str, lines: Iterable[str]) -> str:
    path = folder / f"{kind}-{uuid4().hex}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return str(path)


def _read(path: str) -> list[str]:
    """Return the lines of the file that *path* names, if any, and delete it."""
    if not path:
        return []
    # Only a line feed ends a line: replies may contain other line separators.
    lines = Path(path).read_text("utf-8").split("\n")
    Path(path).unlink()
    return [line for line in lines if line]
