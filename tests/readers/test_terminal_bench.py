"""Runs of Terminal-Bench 1 are read: one file, or a folder with a run for each repeat."""

from __future__ import annotations

import pytest
from ftgate_testing.agent_files import write_document

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.agent_runs import RunFacts
from pytest_ftgate.readers.answer_rows import AnswerRow, Columns
from pytest_ftgate.readers.answers import read_answers


def trial(task, resolved, mode="unset", **more):
    return {
        "trial_name": f"{task}.1-of-1.run",
        "task_id": task,
        "instruction": f"Do {task}.",
        "is_resolved": resolved,
        "failure_mode": mode,
        "total_input_tokens": 900,
        "total_output_tokens": 0,
        "agent_started_at": "2025-09-24T00:33:00+00:00",
        "agent_ended_at": "2025-09-24T00:34:00+00:00",
        **more,
    }


def run(folder, *trials, agent="droid"):
    """Write one run of *trials* into *folder*."""
    document = {"id": "x", "results": [*trials], "accuracy": 0.5, "n_resolved": 1}
    write_document(folder / "results.json", document)
    write_document(folder / "run_metadata.json", {"agent_name": agent, "model_name": "gpt-5"})
    return folder


def read(path, **columns):
    return read_answers(path, Columns(**columns))


def test_a_run_is_read_from_its_file_or_its_folder(tmp_path):
    folder = run(tmp_path / "run", trial("a", True), trial("b", False, "agent_timeout"))

    file = read(folder)

    facts = {"model": "gpt-5", "input_tokens": 900, "seconds": 60.0}
    row = AnswerRow(line=1, id="a", input="Do a.", score=1.0, run=RunFacts(status="unset", **facts))
    assert (file.tool, file.unit, file.rows[0]) == ("Terminal-Bench results", "task", row)
    assert (file.rows[1].score, file.notes) == (0.0, ())
    assert read(folder / "results.json").rows == file.rows


def test_the_runs_in_a_folder_are_repeats(tmp_path):
    for number, resolved in enumerate((True, False)):
        run(tmp_path / f"run{number}", trial("a", resolved))

    assert [(row.id, row.score) for row in read(tmp_path).rows] == [("a", 1.0), ("a", 0.0)]


def test_a_trial_that_was_not_tested_is_missing_and_one_that_the_agent_failed_is_wrong(tmp_path):
    trials = [
        trial("a", None, "test_timeout"),
        trial("b", None, "parse_error"),
        trial("c", False, "agent_installation_failed"),
        trial("d", False, "context_length_exceeded"),
        trial("e", True, "agent_timeout"),
    ]

    file = read(run(tmp_path, *trials))

    assert [row.score for row in file.rows] == [None, None, None, 0.0, 1.0]
    reasons = "test_timeout (1), parse_error (1), agent_installation_failed (1)"
    assert file.notes == (f"3 of 5 runs count as missing, not as wrong: {reasons}",)


def test_of_a_folder_with_runs_of_several_agents_one_is_named(tmp_path):
    for agent in ("droid", "goose"):
        run(tmp_path / agent, trial("a", agent == "goose"), agent=agent)

    with pytest.raises(ConfigurationError, match=r'holds 2 agents; write one of ".*::droid gpt-5"'):
        read(tmp_path)
    assert [row.score for row in read(f"{tmp_path}::goose").rows] == [1.0]
