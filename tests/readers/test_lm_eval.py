"""Samples that lm-evaluation-harness wrote are read: excerpts of runs with local tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.answer_rows import AnswerRow, Columns
from pytest_ftgate.readers.answers import read_answers

DATA = Path(__file__).parent / "data"


def words(**columns):
    return read_answers(DATA / "lm_eval_words.jsonl", Columns(**columns))


def test_generated_replies_are_read_by_the_first_metric_and_filter():
    file = words(by=("topic",))

    assert file.tool == "lm-evaluation-harness samples"
    assert file.columns["score"] == "exact_match,strict"
    assert file.notes == ("scores not read: exact_match,flexible (--score names one)",)
    row = {"input": "Say word 0.", "expected": "word 0", "reply": "word 0"}
    assert file.rows[0] == AnswerRow(line=1, id="0", score=1.0, tags=("t0",), **row)
    # What a filter rejected is shown as the model wrote it.
    assert file.rows[1].reply == "It is word 1"


def test_another_filter_is_read_by_its_name():
    strict, flexible = words(score="exact_match"), words(score="exact_match,flexible")

    assert [row.score for row in strict.rows] == [1, 0, 0]
    assert [row.score for row in flexible.rows] == [1, 1, 0]
    with pytest.raises(ConfigurationError, match='no score "acc"; it has exact_match,strict'):
        words(score="acc")


def test_the_choice_with_the_largest_likelihood_is_the_reply():
    file = read_answers(DATA / "lm_eval_picks.jsonl", Columns())

    assert [(row.expected, row.reply, row.score) for row in file.rows] == [
        ("yes", "yes", 1),
        ("yes", "no", 0),
    ]
    assert file.notes == ("scores not read: acc_norm,none (--score names one)",)


def test_a_folder_has_the_newest_samples_of_each_task(tmp_path):
    for name in ("words_2026-01-01T10-00-00.1", "words_2026-01-02T10-00-00.1", "picks"):
        task = name.partition("_")[0]
        content = (DATA / f"lm_eval_{task}.jsonl").read_text("utf-8")
        # The older run of the two has no samples.
        (tmp_path / f"samples_{name}.jsonl").write_text("" if "01T" in name else content, "utf-8")

    file = read_answers(tmp_path, Columns())

    picks, said = ["picks/0", "picks/1"], ["words/0", "words/1", "words/2"]
    assert [row.id for row in file.rows] == [*picks, *said]
    assert [row.tags for row in file.rows] == [("picks",)] * 2 + [("words",)] * 3
    assert file.columns["score"] == "acc,none, exact_match,strict"


def test_a_folder_of_several_models_says_which_to_name(tmp_path):
    for name in ("base", "tuned"):
        (tmp_path / name).mkdir()
        content = (DATA / "lm_eval_words.jsonl").read_text("utf-8")
        (tmp_path / name / "samples_words.jsonl").write_text(content, "utf-8")

    with pytest.raises(ConfigurationError, match=r"several results; name one of .*base, .*tuned"):
        read_answers(tmp_path, Columns())
    with pytest.raises(ConfigurationError, match="is a folder; name a file"):
        read_answers(DATA, Columns())


def test_rows_without_the_named_column_keep_the_question_of_their_data_set():
    assert all(row.input for row in words(input="absent").rows)
