"""Reports that deepeval and pydantic-evals wrote are read: excerpts of runs without a model."""

from __future__ import annotations

from pathlib import Path

from pytest_ftgate.readers.answer_rows import AnswerRow, Columns
from pytest_ftgate.readers.answers import read_answers

DATA = Path(__file__).parent / "data"


def test_the_test_cases_of_deepeval_are_read_by_their_success():
    file = read_answers(DATA / "deepeval.json", Columns())

    assert file.tool == "deepeval test run"
    assert [row.score for row in file.rows] == [1, 1, 0, 0]
    words = {"input": "Say word 0.", "expected": "word 0", "reply": "word 0"}
    assert file.rows[0] == AnswerRow(line=1, id="w0", score=1.0, tags=("sums",), **words)
    assert file.notes == ("scores not read: Exact (--score names one)",)


def test_the_cases_of_pydantic_evals_are_read_by_their_first_assertion():
    file = read_answers(DATA / "pydantic_evals.json", Columns(by=("topic",)))
    scored = read_answers(DATA / "pydantic_evals.json", Columns(score="Close"))

    assert file.tool == "pydantic-evals report"
    assert [(row.id, row.score) for row in file.rows] == [("w0", 1), ("w2", 0), ("w4", None)]
    assert file.rows[0].tags == ("sums",)
    assert file.rows[2].reply is None
    assert "1 of 3 cases failed: they have no reply" in file.notes
    assert [row.score for row in scored.rows] == [1, 0.25, None]
