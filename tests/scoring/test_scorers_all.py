"""The score `all`: right if every one of its formats and scores is."""

from __future__ import annotations

from pathlib import Path

import yaml
from ftgate_testing.tables import every_row
from pydantic import TypeAdapter

from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.score import ContentScore
from pytest_ftgate.scoring.scorers import score_content
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.score_rules import DeclaredScore

DECLARED = TypeAdapter(DeclaredScore)


def scored(rules, text, expected=None, stop="end", judged=None):
    rule = DECLARED.validate_python(yaml.safe_load(f"{{all: {rules}}}"))
    case = Case(id="a", location="c.jsonl:1", input="q", expected=expected, score=rule)
    grades = {part.key: judged for part in rule.parts if part.kind == "judge" and judged}
    return score_content(case, Reply(text=text, stop=stop), Path(), grades)


@every_row(
    ("rules", "text", "value", "reason"),
    [
        ("[exact, {avoids: [x]}]", "refund", 1, ""),
        ("[exact, {avoids: [x]}]", "x", 0, 'exact 0\navoids 0: it says "x"'),
        ("[fields, {avoids: [x]}]", '{"a": 1}', 0, None),
        ("{rules: [exact, {avoids: [x], weight: 2}], min: 0.6}", "y", 1, None),
        ("{rules: [exact, {avoids: [x], weight: 2}], min: 0.7}", "y", 0, None),
        ("[{all: {rules: [exact, {avoids: [x]}], min: 0.5}}, {avoids: [z]}]", "y", 1, None),
        ("[{json_schema: {type: object}}]", "[]", 0, None),
        ('{rules: [{javascript: "0.3"}, {avoids: [x]}], min: 0.7}', "y", 0, None),
        ('[{javascript: "0.3"}, {avoids: [x]}]', "y", 1, None),
    ],
)
def test_a_reply_is_right_if_every_part_is(rules, text, value, reason):
    expected = {"a": 1, "b": 2} if "fields" in rules else "refund"

    score = scored(rules, text, expected)

    assert score.value == value
    assert reason in (None, score.reason)


def test_without_an_expected_answer_a_case_is_scored_by_its_formats():
    assert scored("[exact, {avoids: [x]}]", "y").value == 1


@every_row("stop", ["refusal", "length"])
def test_a_reply_that_was_refused_or_cut_off_is_wrong(stop):
    assert scored("[{avoids: [x]}]", "y", stop=stop).value == 0


def test_a_judge_without_a_grade_leaves_the_reply_unscored():
    rules = "[{judge: {rubric: r, model: {}}}, {avoids: [x]}]"

    assert scored(rules, "y", judged=ContentScore(1.0)).value == 1
    assert scored(rules, "y", judged=ContentScore(0.0)).value == 0
    assert scored(rules, "y").value is None


def test_texts_may_be_parts_of_words_and_have_a_case():
    parts = "[{contains: {texts: [fund, Fun], any: true, whole_words: false, case: true}}]"

    assert [scored(parts, text).value for text in ("refund", "Funds", "FUND")] == [1, 1, 0]
    assert scored("[{avoids: {texts: [STRASSE], whole_words: false}}]", "straße").value == 1
