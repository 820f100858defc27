"""Scorers of skills with one right result: worked out, called, or held to rules."""

from __future__ import annotations

import json
from types import SimpleNamespace

from ftgate_testing.tables import every_row

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


@every_row(
    ("expected", "text", "right"),
    [
        ("50", "61e = 3050, so e = 50.\nAnswer: 50", True),
        ("50", "$\\boxed{50}$", True),
        ("1234567", "Answer: 1,234,567", True),
        ("-7", "Answer: −7", True),
        ("50", "Answer: 51", False),
        ("-7", "Answer: 7", False),
        ("50", "Answer: ", False),
        ("[5, -2]", "Answer: [5,-2]", True),
        ("[5, -2]", "Answer: [5, 2]", False),
        ("[5, -2]", "Answer: [-2, 5]", False),
        ("Ann is a fool, and Bo is a sage.", "Answer: Ann is a fool and Bo is a sage", True),
        ("Ann is a fool, and Bo is a sage.", "Answer: Ann is a sage, and Bo is a sage.", False),
        ("50", "Answer: 49\nANSWER: 50\nThat is all: 3", True),
        ("50", "Answer：50", True),
        ("50", "Answer ----- : 50\n51", False),
        ("50", "the sum\n50\n***\n", True),
        ("50", "50 of 60", False),
        ("50", "60, so 50", True),
        ("50", "", False),
        ("1234", "Answer: 1\u202f234", True),
        ("Ann", "Answer: the Ann", True),
        ("the", "Answer: the", False),
        (["6", "50"], "50", True),
    ],
)  # fmt: skip
def test_the_result_is_read_at_the_end_in_many_notations(expected, text, right):
    assert final(case(expected), Reply(text=text)) is right


@every_row(
    ("text", "right"),
    [
        ("Answer: “RIVER sun”.", True),
        ("Answer: **RIVER**  `sun`", True),
        ("x\nRIVER sun", True),
        ("Answer: river sun", False),
        ("Answer: the RIVER sun", False),
    ],
)
def test_an_edited_line_is_compared_letter_by_letter(text, right):
    assert final_exact(case("RIVER sun"), Reply(text=text)) is right
    assert final_exact(case(["x", "RIVER  sun"]), Reply(text=text)) is right


CALL = [{"find": {"city": ["Rome", "Roma"], "days": [3], "unit": ["", "c"]}}]
ONE = {"name": "f", "arguments": {"x": 1}}
TWO = [{"f": {"x": [1]}}, {"f": {"x": [1, 2]}}]


@every_row(
    ("expected", "made", "right"),
    [
        (CALL, [{"name": "find", "arguments": {"city": "rome", "days": 3}}], True),
        (CALL, [{"name": "find", "arguments": {"city": "Roma", "days": 3.0, "unit": "c"}}], True),
        (CALL, {"name": "find", "arguments": {"city": "Rome", "days": 3}}, True),
        (CALL, [{"name": "find", "arguments": {"city": "Rome"}}], False),
        (CALL, [{"name": "find", "arguments": {"city": "Rome", "days": 3, "x": 1}}], False),
        (CALL, [{"name": "seek", "arguments": {"city": "Rome", "days": 3}}], False),
        (CALL, [], False),
        (CALL, ["find"], False),
        (TWO, [{"name": "f", "arguments": {"x": 2}}, {"name": "f", "arguments": {"x": 2}}], False),
        (TWO, [{"name": "f", "arguments": {"x": 1}}], False),
        ([{"f": {"a": [{"b": ["x"]}]}}], [{"name": "f", "arguments": {"a": {"b": "X"}}}], True),
        ([{"f": {"a": [[1, 2]]}}], [{"name": "f", "arguments": {"a": [1, 2]}}], True),
        ([{"f": {"a": [[1, 2]]}}], [{"name": "f", "arguments": {"a": [2, 1]}}], False),
        ([{"f": {"a": [[1, 2]]}}], [{"name": "f", "arguments": {"a": [1]}}], False),
        ([{"f": {"a": [["a", "b"]]}}], [{"name": "f", "arguments": {"a": "ab"}}], False),
        ([{"f": {"a": [True]}}], [{"name": "f", "arguments": {"a": True}}], True),
        ([{"f": {"a": [True]}}], [{"name": "f", "arguments": {"a": 1}}], False),
        ([{"f": {"a": [1]}}], [{"name": "f", "arguments": {"a": "1"}}], False),
        ([{"f": {"a": ["1"]}}], [{"name": "f", "arguments": {"a": 1}}], False),
        ([{"f": {"a": ["a-b c"]}}], [{"name": "f", "arguments": {"a": "A.B/C_"}}], True),
        ([{"f": {"a": ["ab"]}}], [{"name": "f", "arguments": {"a": "a;b"}}], False),
        ([{"f": {"a": [{"b": [1, ""]}]}}], [{"name": "f", "arguments": {"a": {}}}], True),
        ([{"f": {"a": [{"b": "x"}]}}], [{"name": "f", "arguments": {"a": {"b": "y"}}}], False),
        ([{"f": {"a": [{"b": "x"}]}}], [{"name": "f", "arguments": {"a": {"c": "x"}}}], False),
        ([{"f": {"a": [{"b": "x"}]}}], [{"name": "f", "arguments": {"a": ["x"]}}], False),
        ([{"f": {"a": [1]}}], [{"name": "f", "parameters": {"a": 1}}], True),
        ([{"f": {"a": [1]}}], [{"name": "f", "arguments": [1]}], False),
        ([{"f": {}}], [{"name": "f"}, "f"], False),
        ([*TWO, {"g": {}}], [ONE, {"name": "g"}, {"name": "f", "arguments": {"x": 2}}], True),
    ],
)  # fmt: skip
def test_calls_are_right_if_they_are_exactly_the_accepted_ones(expected, made, right):
    text = f"Here:\n```json\n{json.dumps(made)}\n```"

    assert calls(case(json.dumps(expected)), Reply(text=text)) is right


@every_row(
    ("text", "right"),
    [
        ('{"b": [1], "a": true}', True),
        ('```json\n{"a": true, "b": [1]}\n```', True),
        ('{"a": 1, "b": [1]}', False),
        ('{"a": true}', False),
        ("null", False),
        ("[" * 1200 + '{"a": true, "b": [1]}', True),
    ],
)
def test_an_object_is_compared_as_json(text, right):
    assert same_object(case('{"a": true, "b": [1]}'), Reply(text=text)) is right


RULES = [
    ["lines", 2], ["without", "q"], ["times", "river", 2], ["lower"], ["words_each", 3],
    ["initials", "ta"], ["ends", "sea"], ["once", "river"],
]  # fmt: skip
GOOD = "the river sings\na river, sea"


@every_row(
    ("text", "stop", "right"),
    [
        (GOOD, "end", True),
        (GOOD, "length", False),
        (GOOD.replace("\n", " "), "end", False),
        (GOOD.replace("the", "The"), "end", False),
        (GOOD.replace("sings", "a"), "end", False),
    ],
)
def test_a_text_is_right_if_it_holds_to_every_rule(text, stop, right):
    assert rules(case(json.dumps(RULES)), Reply(text=text, stop=stop)) is right


@every_row(
    ("text", "right"),
    [
        ("Ivory Coast\nUNKNOWN\n4,312", True),
        ("1. Cote d'Ivoire\n2. unknown.\n3. 4312", True),
        ("Here you are:\n\n1) **Ivory Coast**\n2) Unknown\n3) It is 4312 in all.\n\nDone.", True),
        ("1. Ivory Coast\n2. The place is unknown to me\n3. 4312", False),
        ("1. Ivory Coast or UNKNOWN\n2. UNKNOWN\n3. 4312", False),
        ("1. Ivory Coast\n2. UNKNOWN\n3. 14312", False),
        ("1. Ivory Coast\n2. UNKNOWN\n3. 1 2 3 4 5 6 7 8 9 4312", False),
        ("", False),
    ],
)
def test_lines_are_right_if_each_has_its_answer_or_the_declared_word_alone(text, right):
    expected = json.dumps([["Ivory Coast", "Cote d'Ivoire"], ["UNKNOWN"], ["4312"]])

    assert every_line(case(expected), Reply(text=text)) is right


def test_an_expected_list_is_compared_in_its_order():
    assert same_object(case("[1, 2]"), Reply(text="It is [1, 2].")) is True
    assert same_object(case("[1, 2]"), Reply(text="[2, 1]")) is False


ONE_RULE = [
    (["lines", 2], "a b\n\n c \n", True),
    (["lines", 2], "a b", False),
    (["without", "q"], "a Queen", False),
    (["without", "q"], "a b", True),
    (["times", "river", 2], "River, river-bed river", True),
    (["times", "river", 2], "River river river", False),
    (["times", "don't", 1], "I don't", True),
    (["times", "don’t", 1], "I don’t", True),
    (["lower"], "a b", True),
    (["lower"], "a B", False),
    (["words_each", 2], "a b\nc, d!", True),
    (["words_each", 2], "a b\nc", False),
    (["initials", "ab"], 'Ann x\n"Bo" y', True),
    (["initials", "ab"], "bo\nann", False),
    (["initials", "a "], "ann x\n!!", True),
    (["initials", "aXXXX"], "ann x\n!!", False),
    (["ends", "sea"], "the Sea!", True),
    (["ends", "sea"], "sea the", False),
    (["once", "a"], "a b a c A", True),
    (["once", "a"], "a b b", False),
]


@every_row(("rule", "text", "right"), ONE_RULE)
def test_a_rule_holds_for_a_text_or_does_not(rule, text, right):
    assert rules(case(json.dumps([rule])), Reply(text=text)) is right


def test_a_text_of_one_word_or_of_a_refusal_holds_to_no_rule():
    assert rules(case("[]"), Reply(text="two words")) is True
    assert rules(case("[]"), Reply(text=" word ")) is False
    assert rules(case("[]"), Reply(text="two words", stop="refusal")) is False
    assert rules(case("[]"), Reply(text="two words", stop="length")) is False


FOUR, TWO_QUESTIONS, DECLARED = '[["four", "4"]]', '[["a"], ["b"]]', '[["UNKNOWN", "a"]]'
LINES = [
    # An answer may stand among eight other words.
    (FOUR, "1 2 3 4 5 6 7 8 four", True),
    (FOUR, "four 1 2 3 4 5 6 7 8", True),
    (FOUR, "1 2 3 4 5 6 7 8 9 four", False),
    (FOUR, "fourteen", False),
    (FOUR, "123) four", True),
    (FOUR, "unknown four", False),
    # Numbered lines count alone if they are as many as the questions.
    (TWO_QUESTIONS, "I cannot\n1. a\n2. b", True),
    (TWO_QUESTIONS, "I cannot\n a\n b", False),
    (TWO_QUESTIONS, "b\na", False),
    (TWO_QUESTIONS, "1. a\n2. b\n3. c", False),
    (TWO_QUESTIONS, "1. a\nb", True),
    # Only the number at the beginning of a line is removed.
    ('[["no 2 b"]]', "1. no 2. b", True),
    # A declared word is the whole answer.
    (DECLARED, "Unknown.", True),
    (DECLARED, "a", False),
    ('[["a", "unknown"]]', "unknown", False),
]


@every_row(("expected", "text", "right"), LINES)
def test_each_line_is_read_for_its_answer(expected, text, right):
    assert every_line(case(expected), Reply(text=text)) is right
