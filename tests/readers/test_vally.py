"""Results of Vally are read: trials of stimuli, by variant."""

from __future__ import annotations

import pytest
from ftgate_testing.answer_files import write_rows
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.agent_runs import RunFacts
from pytest_ftgate.readers.answer_rows import AnswerRow, Columns
from pytest_ftgate.readers.answers import read_answers


def trial(stimulus="tests", score=0.75, status="success", end="completed", **more):
    call = {"toolName": "skill", "arguments": {"skill": "test-writer"}}
    return {
        "type": "trial-result",
        "evalFilePath": "evals/a/eval.yaml",
        "variant": "skilled",
        "stimulus": stimulus,
        "trialIndex": 0,
        "status": status,
        "model": "gpt-5.5",
        "gradeResult": None if score is None else {"score": score, "passed": score > 0.5},
        "trajectory": {
            "stimulus": {"name": stimulus, "prompt": "Write tests."},
            "output": "Done.",
            "endReason": end,
            "events": [{"type": "tool_call", "data": call}],
            "metrics": {
                "tokenUsage": {"inputTokens": 900, "outputTokens": 100, "totalTokens": 1000},
                "toolCallCount": 4,
                "skillActivationBreakdown": {"test-runner": 2},
                "wallTimeMs": 1500,
            },
        },
        **more,
    }


@pytest.fixture
def read(tmp_path):
    def read_records(*records, part="", **columns):
        path = write_rows(tmp_path / "results.jsonl", records)
        return read_answers(f"{path}{part}", Columns(**columns))

    return read_records


def test_a_trial_is_a_run_of_its_stimulus(read):
    file = read({"type": "run-summary", "passRate": 1}, trial(), trial())

    tokens = {"input_tokens": 900, "output_tokens": 100, "total_tokens": 1000}
    facts = {
        "model": "gpt-5.5",
        "seconds": 1.5,
        "tool_calls": 4,
        "uses": ("test-runner", "test-writer"),
    }
    run = RunFacts(status="completed", **facts, **tokens)
    row = AnswerRow(line=2, id="tests", input="Write tests.", reply="Done.", score=0.75, run=run)
    assert (file.tool, file.rows[0], file.rows[1].id) == ("Vally results", row, "tests")
    assert read(trial(), score="passed").rows[0].score == 1.0


@every_row("score, status, end, wanted", [
    (None, "error", "", None),
    (None, "skipped", "", None),
    (None, "success", "completed", None),
    # Time is the agent's own, and what was graded all the same stands.
    (None, "error", "agent_timeout", 0.0),
    (0.75, "success", "agent_timeout", 0.75),
])  # fmt: skip
def test_an_error_of_the_runner_is_missing_and_a_timeout_of_the_agent_is_wrong(
    read, score, status, end, wanted
):
    file = read(trial(), trial("other", score, status, end))

    assert file.rows[1].score == wanted
    assert any("as missing, not" in note for note in file.notes) is (wanted is None)


def test_stimuli_of_one_name_in_two_files_are_two_tasks(read):
    rows = read(trial(), trial(evalFilePath="evals/b/eval.yaml")).rows

    assert [row.id for row in rows] == ["evals/a/eval.yaml: tests", "evals/b/eval.yaml: tests"]


def test_of_several_variants_one_is_named(read):
    records = [trial(), trial(score=0.0, variant="baseline")]

    with pytest.raises(ConfigurationError, match=r'holds 2 variants; .*results\.jsonl::baseline"'):
        read(*records)
    assert [row.score for row in read(*records, part="::baseline").rows] == [0.0]


def test_a_folder_is_read_by_its_results_and_one_of_variants_says_which_to_name(tmp_path):
    for name in ("baseline", "skilled"):
        (tmp_path / name).mkdir()
        write_rows(tmp_path / name / "results.jsonl", [trial()])

    assert read_answers(tmp_path / "skilled", Columns()).rows[0].id == "tests"
    with pytest.raises(
        ConfigurationError, match=r"name one of .*baseline/results\.jsonl, .*skilled"
    ):
        read_answers(tmp_path, Columns())
