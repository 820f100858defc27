"""The checkpoints of a training side by side."""

from __future__ import annotations

import json

import pytest
from ftgate_testing.reports import report
from ftgate_testing.tables import every_row
from ftgate_testing.trained import training_report

from pytest_ftgate.reporting.checkpoints import (
    checkpoint_table,
    loss_sentences,
    training_lines,
    trainings,
)
from pytest_ftgate.reporting.html.charts import checkpoint_charts
from pytest_ftgate.reporting.text import cell_count, terminal_width


def told(accuracy, forgetting, **more):
    (training,) = trainings(training_report(accuracy, forgetting, **more))
    return [text.removeprefix("tuned: ") for text in loss_sentences(training)]


PASSING = "checkpoints that pass all of their gates: "
BEFORE = "the last checkpoint before the loss: "
#: The outcomes of accuracy and forgetting by checkpoint, and what is said.
TOLD = [
    ("ppp", "ppp", [f"{PASSING}step-1, step-2, step-3"]),
    # Those that are not evaluated pass nothing.
    ("-pp", "-pp", [f"{PASSING}step-2, step-3"]),
    ("ppp", "p-p", [f"{PASSING}step-1, step-3"]),
    ("ppp", "pp-", [f"{PASSING}step-1, step-2"]),
    ("ppp", "ppf", [f"{BEFORE}step-2 (forgetting failed from step-3 on)",
                    f"{PASSING}step-1, step-2"]),
    ("ffp", "p?f", [f"{BEFORE}step-1 (forgetting is inconclusive at step-2, failed from step-3 on)",
                    f"{PASSING}none"]),
    # What failed and recovered is no loss at the end.
    ("fpp", "fpp", [f"{PASSING}step-2, step-3"]),
    ("ppp", "pfp", [f"{PASSING}step-1, step-3"]),
    ("ppp", "?ff", ["forgetting passes at no checkpoint; save some before step-1",
                    f"{PASSING}none"]),
    # All gates of the loss must have passed.
    ("pff", "ppf", [(f"{BEFORE}step-1 (accuracy, forgetting partly failed at step-2, failed from "
                    "step-3 on)"), f"{PASSING}step-1"]),
    ("p", "f", []),
]  # fmt: skip


@every_row("accuracy, forgetting, sentences", TOLD)
def test_the_last_checkpoint_before_a_loss_is_named(accuracy, forgetting, sentences):
    assert told(accuracy, forgetting) == sentences


def test_a_minimum_that_is_not_reached_yet_is_no_loss():
    assert told("fff", "ppp", minimum=True) == [f"{PASSING}none"]


def test_an_invalid_checkpoint_is_named_with_its_reason_and_is_no_loss():
    first, *more = told("ip", "ip")

    assert first.startswith("step-1 is invalid: ")
    assert more == [f"{PASSING}step-2"]


def test_the_outcome_by_which_the_build_goes_is_in_capitals():
    (training,) = trainings(training_report("f?f", "pif"))

    assert checkpoint_table(training, whole=False).rows == [
        ["1", "50 % (−10)", "50 % (−10)", "failed: accuracy"],
        ["2", "50 % (−10)", "–", "invalid: forgetting; inconclusive: accuracy"],
        ["3 (decides)", "50 % (−10)", "50 % (−10)", "FAILED: accuracy, forgetting"],
    ]
    assert checkpoint_table(training).rows[0][1] == "50 %, down 10 (5 to 15)"


def test_the_picture_has_the_intervals_the_limits_and_the_last_before_the_loss():
    (chart,) = checkpoint_charts(training_report("ppp", "pff"))

    drawn = json.loads(chart.json)
    assert (drawn["kind"], drawn["x"], drawn["marked"]["at"]) == ("lines", ["1", "2", "3"], 0)
    assert drawn["series"][1] == {
        "name": "general skills", "values": [0.5] * 3, "low": [0.45] * 3, "high": [0.55] * 3,
        "floor": 0.5,
    }  # fmt: skip


def test_a_picture_of_an_invalid_checkpoint_has_a_gap_and_no_band():
    (chart,) = checkpoint_charts(training_report("pip", "ppp"))

    series = json.loads(chart.json)["series"]
    assert series[0]["values"] == [0.5, None, 0.5]
    assert "low" not in series[0]
    assert "low" in series[1]


def test_without_checkpoints_nothing_is_drawn_and_nothing_is_said():
    assert trainings(report()) == []
    assert [*checkpoint_charts(report())] == []


@pytest.mark.parametrize("width", [60, 80, 200])
def test_lines_fit_the_terminal(width):
    with terminal_width(width):
        lines = [*training_lines(training_report("f?f", "pif"))]
    assert max(map(cell_count, lines)) <= width
