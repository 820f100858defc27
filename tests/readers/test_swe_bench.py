"""Results of SWE-bench are read: reports of a run, of tasks, and lists of the leaderboard."""

from __future__ import annotations

import pytest
from ftgate_testing.agent_files import write_document
from ftgate_testing.answer_files import write_rows
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.answer_rows import Columns
from pytest_ftgate.readers.answers import read_answers

REPORT = {
    "submitted_ids": ["a-1", "a-2", "a-3", "a-4", "a-5"],
    "completed_ids": ["a-1", "a-2", "a-5"],
    "incomplete_ids": ["z-1"],
    "resolved_ids": ["a-1"],
    "unresolved_ids": ["a-2", "a-5"],
    "empty_patch_ids": ["a-3"],
    "error_ids": ["a-4"],
    "infra_failure_ids": ["a-5"],
    "schema_version": 2,
}


def scores(path):
    return {row.id: row.score for row in read_answers(path, Columns()).rows}


def test_a_report_has_what_was_resolved_and_what_failed_for_other_reasons(tmp_path):
    path = write_document(tmp_path / "model.run.json", REPORT)

    file = read_answers(path, Columns())

    assert (file.tool, file.unit) == ("SWE-bench results", "task")
    assert scores(path) == {"a-1": 1.0, "a-2": 0.0, "a-3": 0.0, "a-4": None, "a-5": None}
    said = "2 of 5 runs count as missing, not as wrong: error (1), infrastructure failure (1)"
    assert file.notes == (said,)


def test_reports_of_tasks_are_read_from_their_folder(tmp_path):
    write_document(tmp_path / "a-1" / "report.json", {"a-1": {"resolved": True}})
    # Without the task in the file, the folder names it.
    write_document(tmp_path / "a-2" / "report.json", {"resolved": False, "tests_status": {}})

    assert scores(tmp_path) == {"a-1": 1.0, "a-2": 0.0}


LISTS = {"resolved": ["a-1"], "no_generation": ["a-2"], "no_logs": ["a-3"]}
GENERATED = {"generated": ["a-1", "a-2", "a-4"], "applied": ["a-1"], "no_logs": []}
ALL = {"a-1": 1.0, "a-2": 0.0, "a-3": None, "a-4": 0.0}


def test_lists_of_a_leaderboard_take_the_other_tasks_from_the_predictions(tmp_path):
    path = write_document(tmp_path / "results" / "results.json", LISTS)
    predictions = [{"instance_id": f"a-{n}", "model_patch": ""} for n in range(1, 5)]
    write_rows(tmp_path / "all_preds.jsonl", predictions)

    assert scores(path) == ALL


@every_row("name, document", [
    ("preds.json", {f"a-{n}": {"model_patch": ""} for n in range(1, 5)}),
    ("results.json", {**LISTS, **GENERATED, "no_logs": ["a-3"]}),
])  # fmt: skip
def test_predictions_may_be_one_object_and_older_lists_name_all_tasks(tmp_path, name, document):
    write_document(tmp_path / "results.json", LISTS)
    write_document(tmp_path / name, document)

    assert scores(tmp_path / "results.json") == ALL


def test_lists_without_the_other_tasks_say_what_to_put_beside_them(tmp_path):
    path = write_document(tmp_path / "results.json", LISTS)

    with pytest.raises(ConfigurationError, match=r"beside it, as all_preds\.jsonl"):
        scores(path)


def test_a_report_of_a_later_schema_says_what_to_do(tmp_path):
    path = write_document(tmp_path / "r.json", {**REPORT, "schema_version": 3})

    with pytest.raises(ConfigurationError, match="has schema_version 3, and 2 and 1 can be read"):
        scores(path)
