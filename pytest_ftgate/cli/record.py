"""The verbs that show what is written: report, history and schema."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

from pytest_ftgate.cli import writing
from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.recommend.advice import AcceptedRun, AcceptedVerdict
from pytest_ftgate.reporting.number_text import amount
from pytest_ftgate.reporting.text import escape_controls
from pytest_ftgate.results.history import accepted_runs, anchor_dates, is_shallow, tracked_files

#: The schemas that the package ships.
_SCHEMAS = {"suite": "suite/suite.schema.json", "run": "results/run.schema.json"}


def schema_text(of: str) -> str:
    """Return the JSON Schema of suite files, or of run records."""
    return (Path(__file__).parents[1] / _SCHEMAS[of]).read_text("utf-8").removesuffix("\n")


def report_record(
    record: Path, model_card: Path | None, variant: str | None, track: str, **paths: Path | None
) -> Iterator[str]:
    """Write the reports that *paths* names, by format; without any, yield the closing section.

    Raises:
        ConfigurationError: *record* is not a run record, or a report cannot be written.
    """
    from pytest_ftgate.reporting.markdown import write_model_card
    from pytest_ftgate.reporting.summary import detail_lines, summary_lines
    from pytest_ftgate.reporting.trackers import Tracker
    from pytest_ftgate.reporting.writers import write_report
    from pytest_ftgate.results.run import read_run

    report, tracker = read_run(record), Tracker(track) if track else None
    wanted = {name: path for name, path in paths.items() if path is not None}
    if variant and not model_card:
        raise ConfigurationError("--variant does nothing without --model-card; add it")
    if not (wanted or model_card or tracker):
        yield from (*detail_lines(report), "", *summary_lines(report))
    if model_card:
        with writing(model_card):
            yield write_model_card(model_card, report, variant)
    if tracker:
        tracker.pytest_ftgate_report(report)
        yield f"logged the figures to {track}"
    for name, path in wanted.items():
        with writing(path):
            yield write_report(name, path, report)


_LINE_WIDTH = 80


def history_lines(path: Path) -> Iterator[str]:
    """Yield the accepted runs of a suite, or of all suites below a folder, newest first.

    Raises:
        ConfigurationError: there is no git repository or no accepted record.
    """
    if not path.exists():
        raise ConfigurationError(f"there is no {path}; name a suite or a folder")
    folder = path if path.is_dir() else path.parent
    name = path.name.removesuffix(".ftgate.yaml") if path.is_file() else "*"
    records = tracked_files(folder, f"{name}.accepted.json")
    if not records:
        remedy = "run pytest --ftgate --ftgate-accept and commit the record that it writes"
        raise ConfigurationError(f"{path}: nothing was accepted yet; {remedy}")
    if is_shallow(folder):
        yield "only a part of the history is here: the clone is shallow (fetch-depth: 0)"
    for record in records:
        suite = record.as_posix().removesuffix(".accepted.json")
        yield suite if suite.endswith(".py") else f"{suite}.ftgate.yaml"
        for variant, day in anchor_dates(record).items():
            name = escape_controls(variant)
            yield f"  {day}  the anchor of {name}, which later runs are held to as well"
        for run in accepted_runs(record):
            yield from _run_lines(run)


def _run_lines(run: AcceptedRun) -> Iterator[str]:
    serves = f": serves {run.serves}" if run.serves else ""
    yield f"  {run.at}  {run.commit}  {escape_controls(run.by + serves)}"
    for name in dict.fromkeys(gate.variant for gate in run.gates):
        gates = ", ".join(_gate_summary(gate) for gate in run.gates if gate.variant == name)
        line = f"{escape_controls(name)}: {gates}"
        yield from textwrap.wrap(
            line, _LINE_WIDTH, initial_indent="      ", subsequent_indent=" " * 8
        )


def _gate_summary(gate: AcceptedVerdict) -> str:
    value = "" if gate.value is None else f" {amount(gate.value, gate.unit)}"
    return escape_controls(f"{gate.gate}{value} {gate.outcome}")
