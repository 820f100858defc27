"""Benchmarks of skill-creator are read, one arm at a time."""

from __future__ import annotations

import pytest
from ftgate_testing.agent_files import benchmark, write_document
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.agent_runs import RunFacts
from pytest_ftgate.readers.answer_rows import AnswerRow, Columns
from pytest_ftgate.readers.answers import read_answers
from pytest_ftgate.readers.skill_creator import arms_of

BOTH = {"with_skill": [1.0, 0.75, 1.0], "without_skill": [0.5, 0.0, 0.25]}


@pytest.fixture
def written(tmp_path):
    def write(document):
        return str(write_document(tmp_path / "benchmark.json", document))

    return write


def read(path, **columns):
    return read_answers(path, Columns(**columns))


def test_an_arm_is_read_by_its_pass_rates_or_by_what_passed_whole(written):
    path = written(benchmark(BOTH))

    file, whole = read(f"{path}::with_skill"), read(f"{path}::with_skill", score="all_passed")

    facts = {"model": "claude-sonnet-4-5", "seconds": 42.5, "total_tokens": 3800, "tool_calls": 18}
    run = RunFacts(status="graded", **facts)
    assert file.rows[0] == AnswerRow(line=1, id="eval-1", score=1.0, run=run)
    assert [row.score for row in file.rows] == [1.0, 0.75, 1.0]
    assert [row.score for row in whole.rows] == [1.0, 0.0, 1.0]
    # A part of both names is no name.
    assert [row.score for row in read(f"{path}::without_skill").rows] == [0.5, 0.0, 0.25]


def test_a_run_that_was_not_graded_is_missing(written):
    document = benchmark(BOTH)
    document["runs"][1]["result"] |= {"pass_rate": 0.0, "passed": 0, "total": 0}

    file = read(f"{written(document)}::with_skill")

    assert [row.score for row in file.rows] == [1.0, None, 1.0]
    assert file.notes[0] == "1 of 3 runs counts as missing, not as wrong: not graded (1)"


def test_a_model_that_the_tool_does_not_know_is_none(written):
    document = benchmark(BOTH)
    document["metadata"]["executor_model"] = "<model-name>"

    assert read(f"{written(document)}::with_skill").rows[0].run.model == ""


@every_row("names", [("without_skill", "with_skill"), ("old_skill", "new_skill")])
def test_the_arms_of_a_benchmark_are_in_the_order_of_a_comparison(tmp_path, names):
    path = str(write_document(tmp_path / "b.json", benchmark(dict.fromkeys(names[::-1], (1.0,)))))

    assert arms_of(path) == (f"{path}::{names[0]}", f"{path}::{names[1]}")


def test_another_file_has_no_arms(tmp_path):
    assert arms_of(write_document(tmp_path / "other.json", {"runs": [{"score": 1}]})) is None
    assert arms_of(tmp_path / "absent.json") is None


@every_row("names, said", [
    (["with_skill"], r"has the runs of one arm, with_skill: run the benchmark with both, or"),
    (["a", "b", "c"], r"has the arms a, b, c; name two: compare .*::a .*::b"),
])  # fmt: skip
def test_arms_that_cannot_be_told_apart_say_what_to_write(tmp_path, names, said):
    path = write_document(tmp_path / "b.json", benchmark(dict.fromkeys(names, (1.0,))))

    with pytest.raises(ConfigurationError, match=said):
        arms_of(path)


def test_a_run_without_its_arm_is_named_by_its_place(written):
    document = benchmark(BOTH)
    del document["runs"][2]["configuration"]

    with pytest.raises(ConfigurationError, match=r"runs\[2\] has no configuration; write it as in"):
        read(f"{written(document)}::with_skill")
