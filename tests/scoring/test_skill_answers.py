"""Scorers of skills with one right result: worked out, called, or held to rules."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.skill_answers import (
    calls,
    every_line,
    final,
    final_exact,
    rules,
    same_object,
)


def case(expected):
    answers = (expected,) if isinstance(expected, str) else tuple(expected)
    return SimpleNamespace(expected=expected, answers=answers)


@pytest.mark.parametrize(
    ("expected", "text", "right"),
    [
        ("50", "61e = 3050, so e = 50.\nAnswer: 50", True),
        ("50", "Answer: **50**", True),
        ("50", "Answer: e = 50", True),
        ("50", "Answer:\n50", True),
        ("50", "The answer is: 50 apples", True),
        ("50", "$\\boxed{50}$", True),
        ("50", "50.0", True),
        ("1234567", "Answer: 1,234,567", True),
        ("-7", "Answer: −7", True),
        ("50", "Answer: 51", False),
        ("50", "50 was my first guess.\nAnswer: 49", False),
        ("50", "Answer: 150", False),
        ("-7", "Answer: 7", False),
        ("50", "Answer: ", False),
        ("[5, -2]", "Answer: [5,-2]", True),
        ("[5, -2]", "Answer: [5, 2]", False),
        ("[5, -2]", "Answer: [-2, 5]", False),
        ("Ann is a fool, and Bo is a sage.", "Answer: Ann is a fool and Bo is a sage", True),
        ("Ann is a fool, and Bo is a sage.", "Answer: Ann is a sage, and Bo is a sage.", False),
        ("DO YOU", "Answer: do you", True),
    ],
)  # fmt: skip
def test_the_result_is_read_at_the_end_in_many_notations(expected, text, right):
    assert final(case(expected), Reply(text=text)) is right


@pytest.mark.parametrize(
    ("text", "right"),
    [("Answer: RIVER sun", True), ("Answer: “RIVER sun”.", True), ("Answer: river sun", False)],
)
def test_an_edited_line_is_compared_letter_by_letter(text, right):
    assert final_exact(case("RIVER sun"), Reply(text=text)) is right


CALL = [{"find": {"city": ["Rome", "Roma"], "days": [3], "unit": ["", "c"]}}]
TWO = [{"f": {"x": [1]}}, {"f": {"x": [1, 2]}}]


@pytest.mark.parametrize(
    ("expected", "made", "right"),
    [
        (CALL, [{"name": "find", "arguments": {"city": "rome", "days": 3}}], True),
        (CALL, [{"name": "find", "arguments": {"city": "Roma", "days": 3.0, "unit": "c"}}], True),
        (CALL, {"name": "find", "arguments": {"city": "Rome", "days": 3}}, True),
        (CALL, [{"name": "find", "arguments": {"city": "Rome"}}], False),
        (CALL, [{"name": "find", "arguments": {"city": "Rome", "days": 3, "x": 1}}], False),
        (CALL, [{"name": "find", "arguments": {"city": "Rome", "days": True}}], False),
        (CALL, [{"name": "seek", "arguments": {"city": "Rome", "days": 3}}], False),
        (CALL, [], False),
        (CALL, ["find"], False),
        (TWO, [{"name": "f", "arguments": {"x": 2}}, {"name": "f", "arguments": {"x": 1}}], True),
        (TWO, [{"name": "f", "arguments": {"x": 1}}, {"name": "f", "arguments": {"x": 1}}], True),
        (TWO, [{"name": "f", "arguments": {"x": 2}}, {"name": "f", "arguments": {"x": 2}}], False),
        (TWO, [{"name": "f", "arguments": {"x": 1}}], False),
        ([{"f": {"a": [{"b": ["x"]}]}}], [{"name": "f", "arguments": {"a": {"b": "X"}}}], True),
        ([{"f": {"a": [[1, 2]]}}], [{"name": "f", "arguments": {"a": [1, 2]}}], True),
        ([{"f": {"a": [[1, 2]]}}], [{"name": "f", "arguments": {"a": [2, 1]}}], False),
    ],
)  # fmt: skip
def test_calls_are_right_if_they_are_exactly_the_accepted_ones(expected, made, right):
    text = f"Here:\n```json\n{json.dumps(made)}\n```"

    assert calls(case(json.dumps(expected)), Reply(text=text)) is right


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ('{"b": [1], "a": true}', True),
        ('```json\n{"a": true, "b": [1]}\n```', True),
        ('{"a": 1, "b": [1]}', False),
        ('{"a": true}', False),
        ("a: true", False),
    ],
)
def test_an_object_is_compared_as_json(text, right):
    assert same_object(case('{"a": true, "b": [1]}'), Reply(text=text)) is right


RULES = [
    ["lines", 2], ["without", "q"], ["times", "river", 2], ["lower"], ["words_each", 3],
    ["initials", "ta"], ["ends", "sea"], ["once", "river"],
]  # fmt: skip
GOOD = "the river sings\na river, sea"


@pytest.mark.parametrize(
    ("text", "stop", "right"),
    [
        (GOOD, "end", True),
        (GOOD, "length", False),
        (GOOD.replace("\n", " "), "end", False),
        (GOOD.replace("sings", "quits"), "end", False),
        (GOOD.replace("river, sea", "lake, sea"), "end", False),
        (GOOD.replace("the", "The"), "end", False),
        (GOOD.replace("sings", "sings here"), "end", False),
        (GOOD.replace("the", "my"), "end", False),
        (GOOD.replace("sea", "end"), "end", False),
        (GOOD.replace("sings", "a"), "end", False),
        ("", "end", False),
    ],
)
def test_a_text_is_right_if_it_holds_to_every_rule(text, stop, right):
    assert rules(case(json.dumps(RULES)), Reply(text=text, stop=stop)) is right


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Ivory Coast\nUNKNOWN\n4,312", True),
        ("1. Cote d'Ivoire\n2. unknown.\n3. 4312", True),
        ("Here you are:\n\n1) **Ivory Coast**\n2) Unknown\n3) It is 4312 in all.\n\nDone.", True),
        ("1. Ivory Coast\n2. UNKNOWN", False),
        ("1. Ivory Coast\n2. The place is unknown to me\n3. 4312", False),
        ("1. Ivory Coast or UNKNOWN\n2. UNKNOWN\n3. 4312", False),
        ("1. UNKNOWN\n2. Ivory Coast\n3. 4312", False),
        ("1. Ivory Coast\n2. UNKNOWN\n3. 14312", False),
        ("1. Ivory Coast\n2. UNKNOWN\n3. 1 2 3 4 5 6 7 8 9 4312", False),
        ("UNKNOWN\nUNKNOWN\nUNKNOWN", False),
        ("", False),
    ],
)
def test_lines_are_right_if_each_has_its_answer_or_the_declared_word_alone(text, right):
    expected = json.dumps([["Ivory Coast", "Cote d'Ivoire"], ["UNKNOWN"], ["4312"]])

    assert every_line(case(expected), Reply(text=text)) is right
