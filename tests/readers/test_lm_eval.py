"""Samples that lm-evaluation-harness wrote are read: excerpts of runs with local tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.answers import read_answers
from pytest_ftgate.readers.rows import AnswerRow, Columns

DATA = Path(__file__).parent / "data"


def words(**columns):
    return read_answers(DATA / "lm_eval_words.jsonl", Columns(**columns))


def test_generated_replies_are_read_by_the_first_metric_and_filter():
    file = words(by=("topic",))

    assert file.tool == "lm-evaluation-harness samples"
    assert file.columns["score"] == "exact_match,strict"
    assert file.notes == ("scores not read: exact_match,flexible (--score names one)",)
    assert file.rows[0] == AnswerRow(
        line=1,
        id="0",
        input="Say word 0.",
        expected="word 0",
        reply="word 0",
        score=1.0,
        tags=("t0",),
    )


def test_another_filter_is_read_by_its_name():
    strict, flexible = words(score="exact_match"), words(score="exact_match,flexible")

    assert [row.score for row in strict.rows] == [1, 0, 0]
    assert [row.score for row in flexible.rows] == [1, 1, 0]
    with pytest.raises(ConfigurationError, match='no score "acc"; it has exact_match,strict'):
        words(score="acc")


def test_a_reply_that_a_filter_rejected_is_shown_as_the_model_wrote_it():
    assert words().rows[1].reply == "It is word 1"


def test_the_choice_with_the_largest_likelihood_is_the_reply():
    file = read_answers(DATA / "lm_eval_picks.jsonl", Columns())

    assert [(row.expected, row.reply, row.score) for row in file.rows] == [
        ("yes", "yes", 1),
        ("yes", "no", 0),
    ]
    assert file.notes == ("scores not read: acc_norm,none (--score names one)",)
