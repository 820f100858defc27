"""Gates of trainings in one process and in two, by each launcher and trainer."""

from __future__ import annotations

from math import isnan
from pathlib import Path

import pytest
from ftgate_testing.launches import LAUNCHERS, launch, rows

PAGE = Path(__file__).parents[2] / "docs" / "trainers.md"


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """Return a function that launches once, and gives what came of each process."""
    came = {}

    def launch_once(name):
        if name not in came:
            came[name] = launch(name, tmp_path_factory.mktemp(name) / "project")
        return came[name]

    return launch_once


@pytest.mark.parametrize("name", LAUNCHERS)
def test_the_page_says_what_each_trainer_did(launched, name):
    text = PAGE.read_text("utf-8")
    for row in rows(name, launched(name)):
        assert f"| {' | '.join(row)} |" in text


def test_all_processes_stop_at_the_step_that_the_first_one_decides(launched):
    for name in ("torchrun", "fsdp"):
        for process in launched(name):
            assert process["stopped"]["stopped_at"] == process["stopped"]["steps"] == 2


def test_all_processes_have_the_figures_and_the_first_one_evaluates(launched):
    first, second = (one["sft "] for one in launched("torchrun"))

    assert first["rows"] == second["rows"]
    assert first["rows"][0]["ftgate/forgetting/tuned/before"] == 1.0
    assert first["rows"][0]["eval_ftgate_general_skills"] > 0.8
    assert (first["evaluated"], second["evaluated"]) == ([2, 4], [])
    assert second["said"] == []


def test_what_breaks_in_the_first_process_ends_no_training(launched):
    for process in launched("torchrun"):
        assert process["broken"]["steps"] == 4
        assert process["broken"]["error"] == ""
        assert process["broken"]["losses"] == process["plain alone"]["losses"]
    warnings = launched("torchrun")[0]["broken"]["said"]
    assert len(warnings) == 2
    assert "warning: step 2: unexpected RuntimeError: the evaluation broke" in warnings[0]


def test_with_required_all_processes_end_by_the_same_error(launched):
    for process in launched("torchrun"):
        assert process["required"]["steps"] == 2
        assert "FtgateError: step 2: unexpected RuntimeError: the" in process["required"]["error"]
    for process in launched("fsdp"):
        assert process["required"]["steps"] == 0
        assert "the weights are split" in process["required"]["error"]


def test_who_waits_too_long_goes_on_and_the_late_decision_is_dropped(launched):
    first, second = (one["slow"] for one in launched("torchrun"))

    assert first["steps"] == second["steps"] == 4
    assert first["losses"] == second["losses"]
    assert first["rows"] == second["rows"] == []
    assert "process 0 did not answer within 0.03 minutes; raise wait_minutes=" in first["said"][-2]


def test_a_model_without_an_adapter_is_evaluated_in_the_first_process(launched):
    first, second = (one["whole"] for one in launched("torchrun"))

    assert first["evaluated"] == [2, 4]
    assert first["rows"][0]["ftgate/forgetting/tuned/before"] == 1.0
    assert first["losses"] == second["losses"]


def test_the_trainers_of_all_processes_choose_and_stop_by_what_the_gates_rate(launched):
    first, second = (one["chosen"] for one in launched("torchrun"))

    rated = [row["eval_ftgate_general_skills"] for row in first["rows"]]
    assert not any(map(isnan, rated))
    assert rated[1] <= rated[0]
    # Patience is one evaluation without a better one.
    for process in (first, second):
        assert process["steps"] == 2
        assert process["best_step"] == 1
        assert process["best_metric"] == rated[0]


def test_split_weights_are_told_once_with_what_to_write(launched):
    for name in ("plain ", "fsdp1"):
        (warning,) = launched("fsdp")[0][name]["said"]
        assert "no gate is evaluated: the weights are split over the processes" in warning
        assert "write through=VARIANT" in warning
        assert launched("fsdp")[0][name]["steps"] == 4
