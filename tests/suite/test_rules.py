"""Scores and answers as an author writes them: read, or refused with what to write instead."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from pytest_ftgate.suite.rules import (
    SCORES,
    SCORES_LATER,
    Expected,
    Rule,
    Score,
    pattern_fault,
)


def refusal(kind, raw):
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(raw)
    return caught.value.errors()[0]["msg"]


def read(kind, raw):
    return TypeAdapter(kind).validate_python(raw)


@pytest.mark.parametrize("kind", [kind for kind in SCORES if kind != "python"])
def test_a_score_is_named_by_a_word(kind):
    assert read(Score, kind) == Rule(kind)


def test_a_score_may_carry_its_options():
    raw = {"numeric": {"tolerance": 0.5, "pick": "first"}}

    assert read(Score, raw) == Rule("numeric", None, raw["numeric"])


def test_a_python_score_is_named_by_module_and_function():
    assert read(Score, {"python": "pkg.marks:close"}) == Rule("python", "pkg.marks:close")


SCORE_FAULTS = [
    ("exakt", 'unknown score "exakt"; did you mean "exact"?; known: exact, '),
    ({"exact": {"ignore": True}}, "score exact takes ignore_case"),
    ({"choice": {"ignore_case": True}}, "score choice takes no options"),
    ({"exact": 5}, "score exact takes ignore_case"),
    ({"exact": {}, "regex": {}}, "score is one name, or one name with its value"),
    (5, "score is one name, or one name with its value"),
    ({"numeric": {"tolerance": "wide"}}, "tolerance must be a number from 0 up, not wide"),
    ({"numeric": {"tolerance": -1}}, "tolerance must be a number from 0 up, not -1"),
    ({"numeric": {"tolerance": True}}, "tolerance must be a number from 0 up, not True"),
    ({"numeric": {"pick": "often"}}, "pick must be first or last, not often"),
    ({"exact": {"ignore_case": "no"}}, "ignore_case must be true or false, not no"),
    ({"contains": {"all": 1}}, "all must be true or false, not 1"),
    ("python", "python needs a function, written package.module:function"),
    (
        {"python": "module.function"},
        'python: "module.function" is no function; write module:function',
    ),
    ({"python": "module:"}, 'python: "module:" is no function; write module:function'),
    ({"python": "a:b:c"}, 'python: "a:b:c" is no function; write module:function'),
]


@pytest.mark.parametrize(("raw", "message"), SCORE_FAULTS)
def test_a_score_that_cannot_be_used_says_what_to_write(raw, message):
    assert refusal(Score, raw).startswith(message)


@pytest.mark.parametrize("kind", SCORES_LATER)
def test_a_score_that_is_not_built_yet_is_refused_and_not_ignored(kind):
    assert refusal(Score, kind) == f"score: {kind} is not available yet; remove it"


def test_no_kind_is_both_available_and_not():
    assert not set(SCORES) & set(SCORES_LATER)


@pytest.mark.parametrize("raw", ["a", 5, 0.5, ["a", "b"], [1, 2], None])
def test_an_answer_is_text_or_a_number_or_a_list_of_either(raw):
    assert read(Expected, raw) == raw


CALL = (
    "expected as a mapping is the call of a tool, such as "
    '{name: lookup_order, arguments: {order_id: "17"}}'
)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (True, 'expected is true, but an answer is text or a number: write "true"'),
        (["a", False], 'expected is false, but an answer is text or a number: write "false"'),
        ({"total": 3}, CALL),
        ({"name": 3}, CALL),
        ({"name": "a", "arguments": ["b"]}, CALL),
        (["a", {"name": "a", "order_id": "17"}], CALL),
        ([["a"]], "expected is text, a number, or a list of either"),
    ],
)
def test_an_answer_that_is_neither_is_refused(raw, message):
    assert refusal(Expected, raw) == message


def test_a_pattern_that_compiles_has_no_fault():
    assert pattern_fault("^(a|b)$") is None
