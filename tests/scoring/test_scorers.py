"""Content: every scorer with replies that are right and replies that are not."""

from __future__ import annotations

from pathlib import Path

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError, ScorerError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.score import ContentScore
from pytest_ftgate.scoring.scorers import contains_answer, expected_text, score_content
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule


def scored(kind, expected, text, options=None, stop="end"):
    rule = Rule(kind, None, options or {})
    case = Case(id="a", location="c.jsonl:1", input="q", expected=expected, score=rule)
    return score_content(case, Reply(text=text, stop=stop), Path()).value


@every_row(
    ("kind", "expected", "text", "value"),
    [
        ("contains", "refund", "Is it billing or refund?", 0.0),
        ("contains", "refund", " Is it billing  or refund?\n", 0.0),
        ("contains", "refund", "Is it billing or refund? Refund.", 1.0),
        ("contains", ["Is it billing or refund?"], "Is it billing or refund?", 1.0),
        ("regex", "refund", "Is it billing or refund?", 0.0),
        ("exact", "Is it billing or refund?", "Is it billing or refund?", 1.0),
        ("similarity", "Is it billing or refund.", "Is it billing or refund?", 23 / 24),
    ],
)
def test_a_question_that_is_only_repeated_is_no_answer_that_was_found(kind, expected, text, value):
    question = "Is it billing or refund?"
    case = Case(id="a", location="", input=question, expected=expected, score=Rule(kind))

    assert score_content(case, Reply(text=text), Path()).value == pytest.approx(value)


@every_row("kind", ["exact", "choice", "contains", "regex", "numeric"])
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


@every_row(("name", "text", "value"), [("half", "b", 0.5), ("same", "b", 1.0), ("same", "c", 0.0)])
def test_a_function_gives_its_own_score(tmp_path, name, text, value):
    assert score_by_function(tmp_path, name, text=text) == value


def test_a_function_scores_a_case_without_an_expected_answer(tmp_path):
    assert score_by_function(tmp_path, "half", expected=None) == 0.5


@every_row(
    ("name", "what"),
    [("broken", "ZeroDivisionError"), ("nothing", "TypeError"), ("words", "ValueError")],
)
def test_a_function_that_fails_is_an_error_at_the_case_and_never_an_incorrect_reply(
    tmp_path, name, what
):
    with pytest.raises(
        ScorerError, match=rf'^content_marks:{name} broke on case "a" \(c\.jsonl:7\): {what}: '
    ):
        score_by_function(tmp_path, name)


@every_row("name", ["above", "below", "nan"])
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


@every_row(("kind", "expected", "found"), STANDS)
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
    with pytest.raises(ScorerError) as raised:
        recorded_score(0.5)

    assert str(raised.value) == (
        'score: the recorded score of case "a" is 0.5; for replies that are right in part write '
        "{recorded: {partial: true}}"
    )


# Several scores ------------------------------------------------------------------------------

EXACT, CONTAINS = Rule("exact"), Rule("contains")
JUDGE = Rule("judge", "Is it polite?")


def mean_of(*parts, text="It is Rome", expected="Rome", grades=None, stop="end"):
    case = Case(
        id="a", location="c.jsonl:1", input="q", expected=expected, score=Rule("mean", tuple(parts))
    )
    return score_content(case, Reply(text=text, stop=stop), Path(), grades)


def test_a_mean_weighs_its_scores_and_names_those_that_are_imperfect():
    half = Rule("offered", "half", {}, lambda case, reply: 0.5)
    third = Rule("offered", "third", {}, lambda case, reply: 1 / 3)

    assert mean_of((EXACT, 1.0), (CONTAINS, 3.0)) == (0.75, "exact 0")
    assert mean_of((half, 1.0), (third, 2.0), (CONTAINS, 1.0)) == (
        pytest.approx((0.5 + 2 / 3 + 1.0) / 4),
        "offered 0.5\noffered 0.333",
    )
    assert mean_of((CONTAINS, 2.0), (CONTAINS, 1.0)) == (1.0, "")


def test_a_mean_without_the_grade_of_its_judge_has_no_score():
    missing = ContentScore(None, "no grade")
    graded = ContentScore(0.5, "curt X")

    assert mean_of((CONTAINS, 1.0), (JUDGE, 1.0), grades={JUDGE.key: missing}) == missing
    assert mean_of((CONTAINS, 1.0), (JUDGE, 1.0)) == (None, "")
    assert mean_of((CONTAINS, 1.0), (JUDGE, 1.0), grades={JUDGE.key: graded}) == (
        0.75,
        "judge 0.5: curt X",
    )


def test_scores_without_an_expected_answer_are_left_out_of_a_mean():
    half = Rule("offered", "half", {}, lambda case, reply: 0.5)

    assert mean_of((EXACT, 1.0), (half, 1.0), expected=None) == (0.5, "offered 0.5")
    assert mean_of((EXACT, 1.0), (CONTAINS, 1.0), expected=None) == (None, "")


@every_row("stop", ["refusal", "length"])
def test_a_judge_need_not_grade_a_reply_that_is_wrong_in_any_case(stop):
    assert mean_of((JUDGE, 1.0), stop=stop) == (0.0, "judge 0")
    case = Case(id="a", location="c.jsonl:1", input="q", score=JUDGE)
    assert score_content(case, Reply(text="a", stop=stop), Path()) == (0.0, "")
    assert score_content(case, Reply(text="a"), Path()) == (None, "")
    graded = {JUDGE.key: ContentScore(1.0)}
    assert score_content(case, Reply(text="a", stop=stop), Path(), graded) == (1.0, "")


def single(rule, text, stop="end", **properties):
    case = Case(id="a", location="c.jsonl:1", **{"expected": "a", **properties}, score=rule)
    return score_content(case, Reply(text=text, stop=stop), Path()).value


def test_a_reply_cut_off_by_its_limit_is_incorrect_except_in_skills():
    assert single(CONTAINS, "a", "length") == 0.0
    assert single(CONTAINS, "a", "length", skill="logic") == 1.0
    assert single(CONTAINS, "", "length", skill="logic") == 0.0
    assert single(CONTAINS, "a", "refusal", skill="logic") == 0.0


def test_a_reply_without_any_answer_is_incorrect_if_it_can_be_correct():
    always = Rule("offered", "always", {}, lambda case, reply: 1.0)

    assert single(always, " ", "length") == 0.0
    assert single(always, " ", "length", expected=None) == 0.0
    assert single(always, "a", "length") == 1.0
    assert single(always, "") == 1.0
    assert single(CONTAINS, "", "length", expected=None) is None
    assert single(Rule("margin"), "a", expected=None) is None


def test_a_plugins_scorer_is_named_in_its_errors():
    def broken(case, reply):
        raise ScorerError("no model here")

    def above(case, reply):
        return 1.01

    with pytest.raises(ScorerError) as raised:
        single(Rule("offered", "mine", {}, broken), "a")
    assert str(raised.value) == 'mine broke on case "a" (c.jsonl:1): no model here'
    with pytest.raises(ScorerError) as raised:
        single(Rule("offered", "mine", {}, above), "a")
    assert str(raised.value) == 'mine returned 1.01 for case "a"; a score is 0 to 1'


def test_an_interrupted_scorer_stays_interrupted():
    def interrupted(case, reply):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        single(Rule("offered", "mine", {}, interrupted), "a")


def test_a_skipped_scorer_is_an_error():
    with pytest.raises(ScorerError, match=r'^mine broke on case "a" \(c\.jsonl:1\): Skipped: no'):
        single(Rule("offered", "mine", {}, lambda case, reply: pytest.skip("no")), "a")


def test_a_function_of_a_case_is_searched_in_its_own_folder(tmp_path):
    (tmp_path / "own_scorers.py").write_text("def f(case, reply): return 0.25\n")
    rule = Rule("python", "own_scorers:f")

    with pytest.raises(ConfigurationError):
        single(rule, "a")
    assert single(rule, "a", folder=tmp_path) == 0.25
    for whole in (rule, Rule("mean", ((rule, 1.0),))):
        case = Case(id="a", location="c.jsonl:1", score=whole)
        assert score_content(case, Reply(text="a"), tmp_path).value == 0.25


@every_row(
    ("kind", "expected", "line"),
    [
        ("exact", None, ""),
        ("exact", "a", "a"),
        ("exact", ["a", 2], "a | 2"),
        ("labels", ["a", "b"], "a, b"),
        ("fields", {"a": "ü"}, '{"a": "ü"}'),
        ("fields", [{"a": 1}, {"a": 2}], '{"a": 1} | {"a": 2}'),
        ("tool_call", [{"name": "f", "arguments": {"x": 1}}, "none"], "f(x=1) | none"),
    ],
)
def test_the_accepted_answers_are_shown_in_one_line(kind, expected, line):
    case = Case(id="a", location="c:1", expected=expected, score=Rule(kind))
    several = Case(
        id="a", location="c:1", expected=expected, score=Rule("mean", ((Rule(kind), 1.0),))
    )

    assert expected_text(case) == expected_text(several) == line
