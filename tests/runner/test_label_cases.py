"""Cases out of labels: what is expected, as each score reads it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_ftgate.runner.label_cases import labelled_cases
from pytest_ftgate.suite.model import Case, Inputs, input_digest
from pytest_ftgate.suite.pair_labels import PairAnswer, PairLabel
from pytest_ftgate.suite.rule import Rule

CALL = {"name": "track", "arguments": {"id": 7}}


def cases_of(kind, first, answer=PairAnswer.FIRST, taken=(), options=None, **more):
    score = Rule(kind, options=options or {})
    asked = Case(id="p1", location="x:1", score=Rule("exact"), input="Where?", tags=("shop",))
    inputs = Inputs(line=1, cases=(asked,), score=score, labels=(), labels_path=Path("x.jsonl"))
    label = PairLabel(
        draw="d", place=1, id="p1", input=input_digest(asked), first=first, second="other",
        answer=answer, instruction=inputs.version, by="ada", **more,
    )  # fmt: skip
    made = labelled_cases(inputs, taken, [label])
    return [row["expected"] for row in made.rows], made


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("exact", "on its way", "on its way"),
        ("labels", "late, lost", ["late", "lost"]),
        ("numeric", "17.0", 17),
        ("numeric", "17.5", 17.5),
        ("fields", '{"days": 14}', {"days": 14}),
        ("tool_call", json.dumps([CALL]), CALL),
        ("tool_call", "[]", "none"),
    ],
)
def test_a_text_that_is_called_right_is_expected_as_the_score_reads_it(kind, text, expected):
    assert cases_of(kind, text)[0] == [expected]


@pytest.mark.parametrize(
    ("kind", "text"),
    [("numeric", "about ten"), ("fields", "no JSON"), ("tool_call", json.dumps([CALL, CALL]))],
)
def test_what_the_score_cannot_read_is_counted(kind, text):
    expected, made = cases_of(kind, text)

    assert (expected, made.unknown) == ([], 1)


def test_a_typed_answer_counts_where_no_text_is_right():
    assert cases_of("numeric", "12", PairAnswer.NEITHER, expected="1,500")[0] == [1500]
    assert cases_of("exact", "12", PairAnswer.NEITHER)[0] == []


def test_two_right_texts_are_both_accepted():
    assert [*map(sorted, cases_of("exact", "sent", PairAnswer.BOTH)[0])] == [["other", "sent"]]


def test_a_case_keeps_what_was_asked_and_gets_an_id_of_its_own():
    taken = [Case(id="p1", location="y:1", score=Rule("exact"))]
    (row,) = cases_of("exact", "sent", taken=taken)[1].rows

    assert row == {
        "id": "p1-production", "input": "Where?", "expected": "sent",
        "tags": ["shop", "from-production"],
    }  # fmt: skip


def test_what_a_judge_calls_right_is_no_right_answer():
    assert cases_of("exact", "sent", judge=True)[0] == []
