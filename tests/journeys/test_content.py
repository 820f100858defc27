"""Replies that are no labels: the build says which field, which assertion, how alike."""

from __future__ import annotations

import json

import pytest

SUITE = """\
cases: cases.jsonl
reply: {{score: {score}}}
variants:
  current: {{provider: recorded, replies: current.jsonl}}
  worse: {{provider: recorded, replies: worse.jsonl}}
gates: {{accuracy: {{max_drop: 0.05}}}}
"""


@pytest.fixture
def judged(desk):
    """Judge 60 cases that expect the same; *current* says what is right, *worse* what is wrong."""

    def run(score, expected, right, wrong, *args):
        ids = [f"c{n:02}" for n in range(60)]
        rows = {
            "cases": [{"id": one, "input": f"Order {one}", "expected": expected} for one in ids],
            "current": [{"id": one, "text": right} for one in ids],
            "worse": [{"id": one, "text": wrong} for one in ids],
        }
        for name, lines in rows.items():
            text = "".join(f"{json.dumps(line)}\n" for line in lines)
            desk.path(f"{name}.jsonl").write_text(text, "utf-8")
        desk.path("s.ftgate.yaml").write_text(SUITE.format(score=score), "utf-8")
        return desk.run(*args)

    return run


def test_a_wrong_field_is_told_with_what_was_expected_of_it(judged):
    score = "{fields: {total: {numeric: {tolerance: 0.01}}, items: {set: true}}}"
    order = {"id": "A-17", "total": 12.5, "items": ["pen", "ink"]}
    said = {**order, "total": 13, "items": ["ink", "pen"]}

    result = judged(score, order, json.dumps(order), f"```json\n{json.dumps(said)}\n```")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "accuracy down 33 points *: current 100 % → worse 67 %",
            '      │ expected  {"id": "A-17", "total": 12.5, "items": [[]"pen", "ink"]}',
            "      │ wrong     total: expected 12.5, got 13",
        ]
    )
    result.stdout.no_fnmatch_line("*wrong*items*")


def test_a_failing_assertion_is_told(judged):
    result = judged(
        "code", "assert add(2, 2) == 4", "def add(a, b): return a + b", "def add(a, b): return a"
    )

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["      │ wrong     tests.py:1: assert add(2, 2) == 4: AssertionError"]
    )


def test_what_a_reply_puts_into_the_reason_cannot_act_on_the_terminal(judged):
    hostile = "raise ValueError('\x1b[2J\\n::error::gone')"

    result = judged("code", "pass", "", hostile)

    result.stdout.fnmatch_lines(
        ["      │ wrong     reply.py:1: raise ValueError(*", "*ValueError: ?x1b*"]
    )
    result.stdout.no_fnmatch_line("::error*")
    result.stdout.no_fnmatch_line("*\x1b*")


def test_a_pattern_that_hangs_is_an_error_and_no_wrong_answer(judged):
    result = judged("regex", "(a+)+$", "aa", "a" * 5000 + "b")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*score: regex broke on case*took longer than 1 s*"])


def test_several_scores_tell_which_of_them_was_short(judged):
    score = "[{similarity: {}, weight: 3}, exact]"

    result = judged(score, "abcd", "abcd", "abcx")

    result.stdout.fnmatch_lines(
        ["      │ wrong     similarity 0.75: similarity 0.75", "      │           exact 0"]
    )


def test_a_score_that_cannot_be_used_is_told_with_its_line_before_anything_is_asked(judged):
    result = judged("{numeric: {unit: EUR}}", "5", "5", "5")

    result.stdout.fnmatch_lines(
        ['*s.ftgate.yaml:2: score numeric: unit must be a list, not "EUR" (https://*']
    )
