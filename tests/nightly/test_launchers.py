"""Gates of trainings in one process and in two, by each launcher and trainer."""

from __future__ import annotations

import os
import subprocess
import sys
from math import isnan
from pathlib import Path

import pytest
from ftgate_testing.answer_files import write_rows
from ftgate_testing.launches import LAUNCHERS, launch, rows

PAGE = Path(__file__).parents[2] / "docs" / "contributing" / "trainers.md"


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


#: Two trainings at once of the embedded model, under gates in memory and by llama.cpp.
REAL = """
import os, sys
from datasets import Dataset
from ftgate_testing.checkpoints import load_model, load_tokenizer
from peft import LoraConfig
from pytest_ftgate.training import GateCallback
from trl import SFTConfig, SFTTrainer

rows = [{"prompt": f"Ticket {n}: my parcel is late.", "completion": " late"} for n in range(8)]
options = SFTConfig(
    output_dir="out", max_steps=2, per_device_train_batch_size=1, learning_rate=1e-3, use_cpu=True,
    bf16=False, gradient_checkpointing=False, save_strategy="steps", save_steps=2, report_to="none",
)
trainer = SFTTrainer(
    model=load_model(), args=options, train_dataset=Dataset.from_list(rows),
    processing_class=load_tokenizer(), peft_config=LoraConfig(r=4, target_modules="all-linear"),
)
shared = {"cases": 4, "stop_on": (), "at_end": False, "trainer": trainer, "keep": None}
inside = GateCallback("s.ftgate.yaml", every=2, **shared)
through = GateCallback("s.ftgate.yaml", through="tuned", **shared)
trainer.add_callback(inside)
trainer.add_callback(through)
trainer.train()
if os.environ["RANK"] == "0":
    for callback in (inside, through):
        (one,) = callback.checkpoints
        sent = one.result.report.requests.sent
        print("CAME", one.step, len(one.result.verdicts), sent)
print("ROWS", sum("ftgate/seconds" in row for row in trainer.state.log_history))
"""
REAL_SUITE = """
cases: cases.jsonl
reply: {format: {choice: [late, broken]}, score: choice, max_tokens: 4}
variants:
  base: {provider: llamacpp, model: smollm2-135m, gated: false}
  tuned: {like: base, adapter: not-there-yet, gated: true}
baseline: base
gates:
  accuracy: {min: 0.5}
  forgetting: {skills: general-small, max_drop: 0.3}
"""


def test_the_embedded_model_is_evaluated_in_memory_and_by_llama_cpp(tmp_path):
    cases = [
        {"id": f"c{n}", "input": f"Parcel {n} is late.", "expected": "late"} for n in range(60)
    ]
    write_rows(tmp_path / "cases.jsonl", cases)
    (tmp_path / "s.ftgate.yaml").write_text(REAL_SUITE, "utf-8")
    (tmp_path / "real.py").write_text(REAL, "utf-8")

    done = subprocess.run(
        [Path(sys.executable).parent / "torchrun", "--standalone", "--nproc-per-node=2", "real.py"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2_000:]
    came = [line.split() for line in done.stdout.splitlines() if line.startswith("CAME")]
    # Both have a verdict of each gate, by replies of their own.
    assert [line[:-1] for line in came] == [["CAME", "2", "2"]] * 2
    assert all(int(line[-1]) > 0 for line in came)
    assert done.stdout.count("ROWS 2") == 2
