"""Figures of verdicts: for DVC as a file, and for MLflow through the hook of reports."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ftgate_testing.reports import failing_run, report
from ftgate_testing.tables import every_row

from pytest_ftgate import ConfigurationError
from pytest_ftgate.gates.statements import Statement, StatementKind
from pytest_ftgate.reporting.trackers import (
    Tracker,
    logged_figures,
    tracked_figures,
    write_metrics,
)


def test_figures_are_named_by_gate_and_variant():
    figures = tracked_figures(failing_run())

    assert figures["ftgate/passed"] == 0
    assert figures["ftgate/accuracy/new/outcome"] == -1
    assert figures["ftgate/accuracy/new/change"] == pytest.approx(-0.38)
    assert figures["ftgate/accuracy/new/low"] < -0.38 < figures["ftgate/accuracy/new/high"]
    # Without a comparison there is no change, and the interval is that of the rate.
    assert "ftgate/accuracy/current/change" not in figures
    assert figures["ftgate/accuracy/current/outcome"] == 1


def test_a_gate_that_nothing_can_fail_has_figures_and_no_outcome():
    verdict = failing_run().verdicts[0]
    shown = replace(verdict, gated=False, statement=Statement(StatementKind.NOT_GATED))

    figures = tracked_figures(report(shown))

    assert figures["ftgate/accuracy/new/change"] == pytest.approx(-0.38)
    assert "ftgate/accuracy/new/outcome" not in figures
    assert figures["ftgate/passed"] == 0


def test_gates_of_several_suites_are_told_apart():
    verdict = failing_run().verdicts[0]
    other = replace(verdict, suite="prompts/other.ftgate.yaml")

    names = logged_figures([verdict, other])

    assert len(names) == 2 * len(logged_figures([verdict]))
    assert "ftgate/prompts/other/accuracy/new/after" in names


def test_the_metrics_file_is_nested_numbers(tmp_path):
    write_metrics(tmp_path / "metrics.json", failing_run())

    metrics = json.loads((tmp_path / "metrics.json").read_text("utf-8"))
    assert metrics["passed"] == 0
    assert metrics["forgetting"]["new"]["outcome"] == -1
    assert metrics["forgetting"]["new"]["before"] > metrics["forgetting"]["new"]["after"]


@every_row("name, told", [
    ("wandb", 'tracker "wandb" is not known; write mlflow'),
    ("mlflow", "mlflow is not installed; pip install mlflow"),
])  # fmt: skip
def test_an_unknown_and_an_absent_tracker_are_errors_with_their_remedy(monkeypatch, name, told):
    monkeypatch.setattr("pytest_ftgate.reporting.trackers.find_spec", lambda name: None)

    with pytest.raises(ConfigurationError, match=told):
        Tracker(name)


def test_mlflow_gets_figures_and_headlines(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())

    Tracker("mlflow").pytest_ftgate_report(failing_run())

    (run,) = mlflow.search_runs(output_format="list")
    assert run.info.run_name == "suite"
    assert run.data.metrics == pytest.approx(tracked_figures(failing_run()))
    assert run.data.tags["ftgate"] == "blocked"
    headline = run.data.tags["ftgate.accuracy.new"]
    assert headline.startswith("accuracy down 38 points (95 % CI 29 to 48), limit 5: current 98 %")
    # An active run is the one that the figures belong to.
    with mlflow.start_run() as own:
        Tracker("mlflow").pytest_ftgate_report(failing_run())
        assert mlflow.active_run() is not None
    assert "ftgate/passed" in mlflow.get_run(own.info.run_id).data.metrics
