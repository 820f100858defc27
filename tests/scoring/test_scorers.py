"""Content: every scorer with replies that are right and replies that are not."""

from __future__ import annotations

from pathlib import Path

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError, ScorerError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Step, ToolCall
from pytest_ftgate.scoring.score import ContentScore
from pytest_ftgate.scoring.scorers import (
    contains_answer,
    expected_text,
    score_content,
    tool_call_text,
)
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule


@every_row(
    ("kind", "expected", "text", "value"),
    [
        ("contains", "refund", "Is it billing or refund?", 0.0),
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


# Functions -----------------------------------------------------------------------------------

MARKS = """\
def half(case, reply): return 0.5
def same(case, reply): return case.expected == reply.text
def broken(case, reply): return 1 / 0
"""


def score_by_function(folder, name, expected="b", text="b"):
    (folder / "content_marks.py").write_text(MARKS)
    rule = Rule("python", f"content_marks:{name}")
    case = Case(id="a", location="c.jsonl:7", input="q", expected=expected, score=rule)
    return score_content(case, Reply(text=text), folder).value


@every_row(
    ("name", "expected", "text", "value"),
    [
        ("half", "b", "b", 0.5),
        ("half", None, "b", 0.5),
        ("same", "b", "b", 1),
        ("same", "b", "c", 0),
    ],
)
def test_a_function_gives_its_own_score(tmp_path, name, expected, text, value):
    assert score_by_function(tmp_path, name, expected, text) == value


def test_a_function_that_fails_or_is_missing_is_an_error(tmp_path):
    with pytest.raises(
        ScorerError, match=r'^content_marks:broken broke on case "a" \(c\.jsonl:7\): ZeroDivis'
    ):
        score_by_function(tmp_path, "broken")
    with pytest.raises(ConfigurationError, match='no function "haf"; did you mean "half"'):
        score_by_function(tmp_path, "haf")


def raises(error):
    def scorer(case, reply):
        raise error

    return scorer


BROKE = r'^mine broke on case "a" \(c\.jsonl:1\): '


@every_row(
    ("scorer", "error", "told"),
    [
        (lambda case, reply: None, ScorerError, f"{BROKE}TypeError: "),
        (lambda case, reply: "good", ScorerError, f"{BROKE}ValueError: "),
        (raises(ScorerError("no model here")), ScorerError, f"{BROKE}no model here$"),
        (lambda case, reply: pytest.skip("no"), ScorerError, f"{BROKE}Skipped: no"),
        *(
            (lambda case, reply, value=value: value, ScorerError,
             rf'^mine returned {value} for case "a"; a score is 0 to 1$')
            for value in (1.01, -0.1, float("nan"))
        ),
        (raises(KeyboardInterrupt("stop")), KeyboardInterrupt, "^stop$"),
    ],
)  # fmt: skip
def test_a_scorer_that_fails_is_an_error_at_the_case_and_never_an_incorrect_reply(
    scorer, error, told
):
    with pytest.raises(error, match=told):
        single(Rule("offered", "mine", {}, scorer), "a")


# Where the answer stands ---------------------------------------------------------------------

STANDS = [
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


def test_a_recorded_score_counts_as_it_is_and_in_part_by_an_option_alone():
    assert [recorded_score(score) for score in (1.0, 0.0, None)] == [1.0, 0.0, None]
    assert recorded_score(0.5, partial=True) == 0.5
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


@every_row("kind", ["exact", "choice", "contains", "regex", "numeric"])
def test_without_an_expected_answer_there_is_no_score(kind):
    assert single(Rule(kind), "anything", expected=None) is None


def test_a_reply_cut_off_by_its_limit_is_incorrect_except_in_skills_and_a_refusal_always():
    assert single(CONTAINS, "a", "refusal") == 0.0
    assert single(CONTAINS, "a", "length") == 0.0
    assert single(CONTAINS, "a", "length", skill="logic") == 1.0
    assert single(CONTAINS, "", "length", skill="logic") == 0.0
    assert single(CONTAINS, "a", "refusal", skill="logic") == 0.0


def test_of_the_code_of_a_reply_the_last_block_counts_but_in_a_skill_the_first():
    text = "```\nx = 1\n```\nOr so:\n```\nx = 2\n```"

    assert single(Rule("code"), text, expected="assert x == 1") == 0.0
    assert single(Rule("code"), text, expected="assert x == 1", skill="code_writing") == 1.0
    assert single(Rule("code"), text, "length", expected="assert x == 1", skill="coding") == 1.0


def test_a_reply_without_any_answer_is_incorrect_if_it_can_be_correct():
    always = Rule("offered", "always", {}, lambda case, reply: 1.0)

    assert single(always, " ", "length") == 0.0
    assert single(always, " ", "length", expected=None) == 0.0
    assert single(always, "a", "length") == 1.0
    assert single(always, "") == 1.0
    assert single(CONTAINS, "", "length", expected=None) is None


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
        ("exact", ["a", 2], "a | 2"),
        ("labels", ["a", "b"], "a, b"),
        ("fields", [{"a": 1}, {"a": 2}], '{"a": 1} | {"a": 2}'),
        ("tool_call", [{"name": "f", "arguments": {"x": 1}}, "none"], "f(x=1) | none"),
        ("tool_call", {"name": "f"}, "f()"),
        ("tool_call", "f", "f"),
    ],
)
def test_the_accepted_answers_are_shown_in_one_line(kind, expected, line):
    case = Case(id="a", location="c:1", expected=expected, score=Rule(kind))
    several = Case(
        id="a", location="c:1", expected=expected, score=Rule("mean", ((Rule(kind), 1.0),))
    )

    assert expected_text(case) == expected_text(several) == line


# Calls of tools ------------------------------------------------------------------------------

LOOKUP = ("lookup", {"order_id": "17", "deep": {"a": [1]}})
REFUND = ("refund", {"order_id": "17"})


def call(name, **arguments):
    return {"name": name, "arguments": arguments}


@every_row(
    ("expected", "uses", "stop", "value"),
    [
        ("lookup", [LOOKUP], "end", 1.0),
        ({"name": "lookup"}, [LOOKUP], "end", 1.0),
        # A part of the arguments is enough.
        (call("lookup", order_id="17"), [LOOKUP], "end", 1.0),
        (call("refund", order_id="17"), [LOOKUP, REFUND], "end", 1.0),
        (["refund", call("lookup", order_id="17")], [LOOKUP], "end", 1.0),
        ("none", [], "end", 1.0),
        ({"name": "none"}, [], "end", 1.0),
        (["none", "lookup"], [LOOKUP], "end", 1.0),
        ("lookup", [], "end", 0.0),
        ("refund", [LOOKUP], "end", 0.0),
        (call("lookup", order_id=17), [LOOKUP], "end", 0.0),
        (call("refund", amount=None), [REFUND], "end", 0.0),
        # Name and arguments must be those of one use.
        (call("refund", deep={"a": [1]}), [LOOKUP, REFUND], "end", 0.0),
        ("none", [LOOKUP], "end", 0.0),
        (call("lookup", order_id="17"), [("lookup", '{"order_id')], "end", 0.0),
        # At the last turn.
        ("lookup", [LOOKUP], "tool", 1.0),
        ("none", [], "refusal", 0.0),
        (None, [LOOKUP], "end", None),
    ],
)
def test_a_reply_is_right_if_it_made_the_expected_tool_call(expected, uses, stop, value):
    steps = tuple(Step("", (ToolCall(name=name, arguments=given),)) for name, given in uses)
    case = Case(id="a", location="c:1", input="q", expected=expected, score=Rule("tool_call"))
    assert score_content(case, Reply(text="lookup", steps=steps, stop=stop), Path()).value == value


@every_row(
    ("use", "line"),
    [
        ({"arguments": {"a": "b"}, "result": "shipped"}, 'f(a="b") -> "shipped"'),
        ({"arguments": {"a": 1, "b": [True]}, "result": '{"c": 2}'},
         'f(a=1, b=[true]) -> {"c": 2}'),
        ({"arguments": {}, "result": "3"}, "f() -> 3"),
        # Arguments that are no JSON, and a use that was not run.
        ({"arguments": '{"a', "result": "x"}, 'f({"a) -> "x"'),
        ({"arguments": {"a": "b"}, "result": ""}, 'f(a="b")'),
        ({"arguments": {"a": "ö"}, "result": "klein\nfein"}, 'f(a="ö") -> "klein\\nfein"'),
        ({"arguments": {}, "result": "KeyError: 3", "failed": True}, "f() failed: KeyError: 3"),
    ],
)  # fmt: skip
def test_a_tool_call_is_shown_with_its_result(use, line):
    assert tool_call_text(ToolCall(name="f", **use)) == line
