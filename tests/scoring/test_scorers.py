"""Content: every scorer with replies that are right and replies that are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_ftgate.errors import ConfigurationError, ScorerError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.scorers import contains_answer, score_content
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule


def scored(kind, expected, text, options=None, stop="end"):
    rule = Rule(kind, None, options or {})
    case = Case(id="a", location="c.jsonl:1", input="q", expected=expected, score=rule)
    return score_content(case, Reply(text=text, stop=stop), Path()).value


RIGHT = [
    ("exact", "Berlin", "Berlin", {}),
    ("exact", "Berlin", "  Berlin\n", {}),
    ("exact", ["Berlin", "Bonn"], "Bonn", {}),
    ("exact", "Straße", "STRASSE", {"ignore_case": True}),
    ("choice", "refund", "refund", {}),
    ("choice", "refund", '"Refund."', {}),
    ("choice", "refund", "**refund**", {}),
    ("choice", ["refund", "billing"], "Billing!", {}),
    ("contains", "Paris", "It is Paris, of course.", {}),
    ("contains", "paris", "PARIS", {}),
    ("contains", ["six", "6"], "At 6.", {}),
    ("contains", ["bridge", "fog"], "Fog lay on the bridge.", {"all": True}),
    ("contains", "C++", "I like C++.", {}),
    ("contains", "née", "She is née Curie", {}),
    ("regex", r"^\d{4}$", "1984", {}),
    ("regex", ["^a", "^b"], "banana", {}),
    ("regex", "(?i)yes", "Oh YES", {}),
    ("numeric", 42, "42", {}),
    ("numeric", "42", "The answer is 42.", {}),
    ("numeric", 1234.5, "That makes 1,234.5 euros", {}),
    ("numeric", "1,234", "1234", {}),
    ("numeric", 42, "First 7, then 42", {}),
    ("numeric", 7, "First 7, then 42", {"pick": "first"}),
    ("numeric", 0.3, "0.30000000000000004", {}),
    ("numeric", 10, "about 10.5", {"tolerance": 0.5}),
    ("numeric", -5, "It is -5 degrees", {}),
    ("numeric", -5, "It is −5 degrees", {}),
    ("numeric", 12, "between 10-12", {}),
    ("numeric", 0.5, "about .5", {}),
    ("numeric", [3, 4], "4", {}),
]

WRONG = [
    ("exact", "Berlin", "berlin", {}),
    ("exact", "Berlin", "Berlin.", {}),
    ("exact", "Berlin", "", {}),
    ("choice", "refund", "a refund", {}),
    ("choice", "refund", "refunds", {}),
    ("choice", "refund", "refund or billing", {}),
    ("contains", "art", "a party", {}),
    ("contains", ["bridge", "fog"], "The bridge.", {"all": True}),
    ("contains", "6", "16", {}),
    ("contains", "a.c", "abc", {}),
    ("regex", r"^\d{4}$", "year 1984", {}),
    ("numeric", 42, "forty-two", {}),
    ("numeric", 42, "", {}),
    ("numeric", 42, "42 or 43", {}),
    ("numeric", 10, "10.51", {"tolerance": 0.5}),
    ("numeric", 5, "It is −5 degrees", {}),
    ("numeric", -12, "between 10-12", {}),
    ("numeric", 5, "about .5", {}),
]


@pytest.mark.parametrize(("kind", "expected", "text", "options"), RIGHT)
def test_a_correct_reply_scores_one(kind, expected, text, options):
    assert scored(kind, expected, text, options) == 1.0


@pytest.mark.parametrize(("kind", "expected", "text", "options"), WRONG)
def test_an_incorrect_reply_scores_zero(kind, expected, text, options):
    assert scored(kind, expected, text, options) == 0.0


@pytest.mark.parametrize("kind", ["exact", "choice", "contains", "regex", "numeric"])
def test_without_an_expected_answer_there_is_no_score(kind):
    assert scored(kind, None, "anything") is None


def test_a_refusal_is_incorrect_even_if_it_contains_the_answer():
    assert scored("contains", "refund", "I cannot help with a refund", stop="refusal") == 0.0


# Functions -----------------------------------------------------------------------------------

MARKS = """\
def half(case, reply): return 0.5
def same(case, reply): return case.expected == reply.text
def broken(case, reply): return 1 / 0
def nothing(case, reply): return None
def words(case, reply): return "good"
def above(case, reply): return 1.5
def below(case, reply): return -0.1
def nan(case, reply): return float("nan")
"""


def score_by_function(folder, name, expected="b", text="b"):
    (folder / "content_marks.py").write_text(MARKS)
    rule = Rule("python", f"content_marks:{name}")
    case = Case(id="a", location="c.jsonl:7", input="q", expected=expected, score=rule)
    return score_content(case, Reply(text=text), folder).value


@pytest.mark.parametrize(
    ("name", "text", "value"), [("half", "b", 0.5), ("same", "b", 1.0), ("same", "c", 0.0)]
)
def test_a_function_gives_its_own_score(tmp_path, name, text, value):
    assert score_by_function(tmp_path, name, text=text) == value


def test_a_function_scores_a_case_without_an_expected_answer(tmp_path):
    assert score_by_function(tmp_path, "half", expected=None) == 0.5


@pytest.mark.parametrize(
    ("name", "what"),
    [("broken", "ZeroDivisionError"), ("nothing", "TypeError"), ("words", "ValueError")],
)
def test_a_function_that_fails_is_an_error_at_the_case_and_never_an_incorrect_reply(
    tmp_path, name, what
):
    with pytest.raises(
        ScorerError, match=rf'content_marks:{name} broke on case "a" \(c\.jsonl:7\): {what}'
    ):
        score_by_function(tmp_path, name)


@pytest.mark.parametrize("name", ["above", "below", "nan"])
def test_a_number_that_is_no_score_is_an_error(tmp_path, name):
    with pytest.raises(ScorerError, match='for case "a"; a score is 0 to 1'):
        score_by_function(tmp_path, name)


def test_a_missing_function_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigurationError, match='no function "haf"; did you mean "half"'):
        score_by_function(tmp_path, "haf")


# Where the answer stands ---------------------------------------------------------------------

STANDS = [
    ("exact", "14 days", [True, False]),
    ("exact", ["a week", "14 days"], [True, False]),
    ("contains", ["14 days", "three"], [True, True]),
    ("regex", r"\d+ days", [True, False]),
    ("python", "14 DAYS", [True, False]),
    ("contains", "4 days", [False, False]),
    ("choice", "refund", None),
    ("numeric", "14", None),
    ("python", 14, None),
    ("python", None, None),
]


@pytest.mark.parametrize(("kind", "expected", "found"), STANDS)
def test_an_answer_is_searched_in_texts_only_if_it_can_be_quoted(kind, expected, found):
    case = Case(id="a", location="c.jsonl:1", input="q", expected=expected, score=Rule(kind))

    assert contains_answer(case, ["Within **14\ndays**.", "Or three."]) == found


def recorded_score(score, **options):
    case = Case(id="a", location="c.jsonl:1", score=Rule("recorded", None, options))
    return score_content(case, Reply(text="x", score=score), Path()).value


def test_a_recorded_score_counts_as_it_is():
    assert [recorded_score(score) for score in (1.0, 0.0, None)] == [1.0, 0.0, None]
    assert recorded_score(0.5, partial=True) == 0.5


def test_a_recorded_score_in_part_needs_the_option():
    with pytest.raises(ScorerError, match=r"is 0\.5; .* write \{recorded: \{partial: true\}\}"):
        recorded_score(0.5)
