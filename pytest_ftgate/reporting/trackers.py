"""Verdicts as figures: for MLflow, and as the metrics file of DVC."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.gates.verdict import Check, Outcome, Verdict
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.reporting.tables import override_line
from pytest_ftgate.results.run import Report

#: Outcomes as numbers, since trackers draw numbers alone.
_NUMBERS = {Outcome.PASSED: 1, Outcome.INCONCLUSIVE: 0, Outcome.FAILED: -1, Outcome.INVALID: -1}
#: What MLflow does not allow in the name of a metric or a tag.
_NOT_ALLOWED = re.compile(r"[^\w\-. /]")


def comparing_check(verdict: Verdict) -> Check | None:
    """Return the check of *verdict* that compares with earlier results, else the deciding one."""
    compared = (check for check in verdict.checks if check.before is not None)
    return next(compared, verdict.check)


def verdict_figures(verdict: Verdict) -> dict[str, float]:
    """Return ``before``, ``after``, ``change``, ``low``, ``high`` and ``outcome`` of *verdict*.

    Figures that it does not have are left out. ``outcome`` is 1 for passed, 0 for inconclusive and
    −1 for failed; a verdict that is not gated has none.
    """
    check, names = comparing_check(verdict), ("before", "after", "change", "low", "high")
    # With inputs the change is more than that of the rates, which are those of the cases.
    shown = names[2:] if check and check.inputs else names
    values = {name: getattr(check, name) for name in shown} if check else {}
    figures = {name: float(value) for name, value in values.items() if value is not None}
    return figures | ({} if verdict.is_ungated else {"outcome": _NUMBERS[verdict.outcome]})


def logged_figures(verdicts: Sequence[Verdict]) -> dict[str, float]:
    """Return the figures of *verdicts* under the names ``ftgate/GATE/VARIANT/FIGURE``.

    With several suites the name of the suite stands before that of the gate.
    """
    return {
        "/".join(("ftgate", *path, name)): value
        for path, verdict in _paths(verdicts)
        for name, value in verdict_figures(verdict).items()
    }


def _paths(verdicts: Iterable[Verdict]) -> Iterator[tuple[tuple[str, ...], Verdict]]:
    verdicts = [*verdicts]
    has_several = len({verdict.suite for verdict in verdicts}) > 1
    for verdict in verdicts:
        suite = (verdict.suite.removesuffix(".ftgate.yaml"),) if has_several else ()
        yield (*suite, verdict.gate, verdict.variant), verdict


def write_metrics(path: Path, report: Report) -> None:
    """Write the figures of *report* as nested JSON, which ``dvc metrics`` reads."""
    metrics: dict[str, Any] = {"passed": int(report.verdict == "passed")}
    for names, verdict in _paths(report.gate_verdicts):
        level = metrics
        for name in names:
            level = level.setdefault(name, {})
        level.update(verdict_figures(verdict))
    path.write_text(json.dumps(metrics, indent=1, ensure_ascii=False) + "\n", "utf-8")


# Tracker of experiments -------------------------------------------------------------------------


class Tracker:
    """A plugin that logs the figures of a run to MLflow.

    They go to the run of MLflow that is active, else to a new one, which its own settings place:
    ``MLFLOW_TRACKING_URI`` and the like. No reply and no case is logged.

    Raises:
        ConfigurationError: *name* is another tracker, or MLflow is not installed.
    """

    def __init__(self, name: str) -> None:
        if name != "mlflow":
            raise ConfigurationError(f'tracker "{name}" is not known; write mlflow')
        if find_spec(name) is None:
            raise ConfigurationError("tracker mlflow is not installed; pip install mlflow")

    def pytest_ftgate_report(self, report: Report) -> None:
        """Log the figures of *report*, and the headline of each gate as a tag."""
        import mlflow

        figures, words = tracked_figures(report), _headlines(report)
        is_new = mlflow.active_run() is None
        if is_new:
            mlflow.start_run(run_name=_run_name(report))
        try:
            mlflow.log_metrics({_allowed(key): value for key, value in figures.items()})
            mlflow.set_tags({_allowed(key): text for key, text in words.items()})
        finally:
            if is_new:
                mlflow.end_run()


def tracked_figures(report: Report) -> dict[str, float]:
    """Return the figures of the gates of *report*, and whether the run passed."""
    figures = logged_figures(report.gate_verdicts)
    return {"ftgate/passed": float(report.verdict == "passed"), **figures}


def _headlines(report: Report) -> dict[str, str]:
    """Return the verdict of *report* and the headline of each gate, by name."""
    headlines = {
        ".".join(("ftgate", *path)): headline(verdict)
        for path, verdict in _paths(report.gate_verdicts)
    }
    told = {"ftgate.set": override_line(report.overrides)} if report.overrides else {}
    return {"ftgate": report.verdict, **told, **headlines}


def _run_name(report: Report) -> str:
    suites = dict.fromkeys(Path(verdict.suite).name for verdict in report.gated_verdicts)
    return ", ".join(name.removesuffix(".ftgate.yaml") for name in suites) or "ftgate"


def _allowed(name: str) -> str:
    return _NOT_ALLOWED.sub("_", name)
