"""Scores of replies, case by case; missing replies stay apart from incorrect ones."""

from __future__ import annotations

import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from threading import current_thread
from types import MappingProxyType

import numpy as np
import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError, RequestRejected
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import CaseRequest, Passage, Request, Step, ToolCall
from pytest_ftgate.scoring import sandbox
from pytest_ftgate.scoring.score import ContentScore, FormatError
from pytest_ftgate.scoring.scores import (
    CaseResult,
    Score,
    VariantScores,
    digest_replies,
    score_replies,
    shared_ids,
    skill_score,
    unscored_results,
    validate_rules,
)
from pytest_ftgate.suite.model import Case, digest
from pytest_ftgate.suite.rule import Rule

LABELS = (Rule("choice", ["a", "b"]),)


def case(name, expected="a", form=LABELS, kind="exact", value=None):
    rule = Rule(kind, value)
    return Case(
        id=name, location=f"c.jsonl:{name}", input="q", expected=expected, score=rule, format=form
    )


def case_request(one, repeat=0, fingerprint=None, **more):
    call = Request(
        fingerprint=fingerprint or f"{one.id}-{repeat}",
        provider="anthropic",
        model="m",
        messages=(("user", "q"),),
        **{"max_tokens": 9, "sampling": {}, **more},
    )
    return CaseRequest(one, repeat, call)


def scores(asks, answers):
    return score_replies("one", asks, answers, Path())


def reply(text, stop="end"):
    return Reply(text=text, stop=stop)


@every_row(
    ("one", "text", "score"),
    [
        (case("1"), "a", (1.0, None)),
        (case("1"), "b", (0.0, None)),
        (case("1", expected="A."), "A.", (1.0, "wrong label casing")),
        (case("1", expected=None), "a", (None, None)),
        (case("1", form=()), "a", (1.0, None)),
    ],
)
def test_content_and_format_of_a_reply_are_scored_apart(one, text, score):
    row = scores([case_request(one)], {"1-0": reply(text)}).results["1"]

    error = row.scores[0].format_error
    assert (row.correct, error and error.kind) == score
    assert row.valid == (None if not one.format else float(error is None))


def test_repeats_of_a_case_need_not_follow_each_other_and_some_may_be_missing():
    asks = [case_request(case(key), repeat) for repeat in range(4) for key in "213"]
    answers = {one.fingerprint: reply("b") for one in asks}
    answers |= {"1-0": reply("a"), "1-1": RequestRejected("busy"), "1-3": RequestRejected("gone")}
    answers |= {f"3-{repeat}": RequestRejected("no such model") for repeat in range(4)}

    found = scores(asks, answers)

    assert [*found.results] == ["2", "1", "3"]
    row = found.results["1"]
    assert row.fingerprints == ("1-0", "1-1", "1-2", "1-3")
    assert [one.text for one in row.replies] == ["a", "b"]
    assert row.scores == (Score(1.0, None), Score(0.0, None))
    assert row.missing_reasons == ("busy", "gone")
    assert [row.case.id for row in found.unanswered] == ["3"]
    assert (found.results["3"].correct, found.results["3"].valid) == (None, None)


def test_cases_that_share_a_request_are_scored_by_their_own_expected_answers():
    asks = [
        case_request(case("1", "a"), fingerprint="x"),
        case_request(case("2", "b"), fingerprint="x"),
    ]
    found = scores(asks, {"x": reply("a")}).results

    assert [row.correct for row in found.values()] == [1.0, 0.0]


def test_without_requests_there_are_no_results():
    found = scores([], {})

    assert (found.variant, found.results, found.unanswered) == ("one", {}, ())
    assert found.format_errors == {}


def test_a_copied_rule_still_finds_the_score_of_its_judge():
    judge = Rule("judge", "Is it polite?", {"samples": 1})
    mean = Rule("mean", ((judge, 1.0), (Rule("contains"), 1.0)))
    for rule in (judge, mean):
        one = replace(case("1", form=()), score=rule)
        for copied in (one, deepcopy(one), replace(one, score=replace(rule))):
            grades = {"1-0": {judge.key: ContentScore(1.0)}}
            asks = [case_request(copied)]
            row = score_replies("one", asks, {"1-0": reply("a")}, Path(), grades).results["1"]

            assert row.correct == 1.0


def told(text, one=None, request=MappingProxyType({}), **changes):
    one = one or case("1")
    asks = [case_request(one, **request)]
    found = scores(asks, {"1-0": replace(reply(text), **changes)}).results["1"]
    return found.replies[0], found.scores[0]


@every_row("text", ["<think>a or b?</think>\n\na", "a or b?</think>a"])
def test_a_thought_is_no_part_of_the_answer_that_is_scored(text):
    read, score = told(text)

    assert (read.text, read.thought) == ("a", "a or b?")
    assert (score.correct, score.format_error) == (1.0, None)


@every_row(
    ("text", "more"),
    [
        ("<think>it is a, since", {}),
        ("<think>it is a, since", {"stop": "length"}),
        ("", {"stop": "length", "thought": "it is a, since"}),
        ("", {"stop": "length", "usage": {"thought": 9}}),
    ],
)
def test_a_thought_without_an_answer_is_incorrect_and_names_what_to_change(text, more):
    score = told(text, case("1", kind="contains"), **more)[1]

    assert (score.correct, score.format_error.kind, score.reason) == (0.0, "truncated", "")
    remedy = "raise it, or write thinking: {type: disabled}"
    assert score.format_error.detail == f"the thought took all of max_tokens: 9; {remedy}"


@every_row(
    ("text", "more", "reason"),
    [
        ("<think>it is a", {}, "the thought took all of max_tokens: 9"),
        # A reply cut off before any word need not be a thought.
        ("", {"stop": "length"}, "cut off at max_tokens: 9 before the answer; raise max_tokens"),
    ],
)
def test_without_a_format_the_content_says_that_there_is_no_answer(text, more, reason):
    score = told(text, case("1", form=()), **more)[1]

    assert (score.correct, score.format_error) == (0.0, None)
    assert score.reason.startswith(reason)


def test_a_score_says_why_the_content_is_wrong_and_each_hedge_counts():
    similar = case("1", form=(), kind="similarity", expected="abcd")
    asks = [case_request(similar, repeat) for repeat in range(3)]
    found = scores(asks, {"1-0": reply("b"), "1-1": reply("I think"), "1-2": reply("I think b")})

    assert found.results["1"].scores[0] == Score(0.4, None, "similarity 0.40")
    assert found.hedge_count == 2


def test_a_thought_that_was_cut_off_answers_no_skills_case(tmp_path):
    (tmp_path / "mine.py").write_text("def always(case, reply): return 1.0\n", "utf-8")
    for one in (
        replace(case("1", form=(), kind="contains"), skill="logic"),
        replace(case("1", form=(), kind="python", value="mine:always"), skill="logic"),
        replace(case("1", form=(Rule("lines", {"max": 3}),), expected=None), skill="logic"),
    ):
        asks = [case_request(one)]
        result = score_replies("one", asks, {"1-0": reply("<think>a")}, tmp_path).results["1"]
        assert skill_score(one, result.replies[0], result.scores[0]) == 0.0


def test_a_suite_may_score_whole_replies():
    read, score = told("<think>a or b?</think>a", case("1", form=()), {"thoughts": ()})

    assert (score.correct, read.thought) == (0.0, "")


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")
def test_code_runs_on_all_cores_once_for_each_reply(monkeypatch):
    started, start = [], sandbox._start

    def watched(*arguments):
        started.append(current_thread().name)
        return start(*arguments)

    monkeypatch.setattr(sandbox, "_start", watched)
    sandbox._run_tests.cache_clear()
    code = [case(f"{n}", expected=f"assert x == {n}", form=(), kind="code") for n in range(4)]
    answers = {f"{n}-0": reply(f"x = {n % 3}") for n in range(4)}

    found = scores([case_request(one) for one in code], answers)

    assert [result.scores[0].correct for result in found.results.values()] == [1, 1, 1, 0]
    assert len(started) == 4
    assert all(name.startswith("ftgate-code") for name in started)


# What gates read of a variant ------------------------------------------------------------------

BROKEN = FormatError("empty")
FENCED = FormatError("fenced", lenient=True)


def result(name, *values, form=LABELS, replies=None, **properties):
    """Return the result of a case whose replies have the scores *values*, with errors or not."""
    pairs = [value if isinstance(value, tuple) else (value, None) for value in values]
    return CaseResult(
        case=replace(case(name, form=form), **properties),
        replies=replies or tuple(reply("a") for _ in values),
        scores=tuple(Score(*pair) for pair in pairs),
        fingerprints=tuple(f"{name}-{n}" for n, _ in enumerate(values)),
    )


def variant(*results):
    return VariantScores("v", {one.case.id: one for one in results})


SEVERAL = (
    result("right", 1.0),
    result("twice", 1.0, (0.0, BROKEN)),
    result("none", form=LABELS),
    result("free", (0.5, None), form=()),
    result("unscored", (None, FENCED), (None, BROKEN), (None, None)),
    result("mean", (1.0, FENCED), (0.5, None), weight=3.0, group="g"),
)


def test_the_arrays_of_a_variant_follow_the_order_of_its_cases():
    found = variant(*SEVERAL)

    assert found.case_ids == ("right", "twice", "none", "free", "unscored", "mean")
    assert found.case_results == SEVERAL
    assert found.cases == tuple(one.case for one in SEVERAL)
    for values, expected in (
        (found.correct, [1.0, 0.5, np.nan, 0.5, np.nan, 0.75]),
        (found.valid, [1.0, 0.5, np.nan, np.nan, 1 / 3, 0.5]),
        (found.lenient_valid, [1.0, 0.5, np.nan, np.nan, 2 / 3, 1.0]),
        (found.repeats, [1, 2, 1, 1, 3, 2]),
        (found.is_answered, [True, True, False, True, True, True]),
        (found.is_formatted, [True, True, False, False, True, True]),
        (found.is_graded, [False, False, False, True, False, True]),
    ):
        assert values.tolist() == pytest.approx(expected, nan_ok=True)
    shares = [(one.correct, one.valid, one.lenient_valid) for one in SEVERAL]
    arrays = zip(found.correct, found.valid, found.lenient_valid, strict=True)
    assert np.array(shares, float).tolist() == pytest.approx(np.array([*arrays]), nan_ok=True)
    assert found.facts.group_numbers.max() == found.facts.group_numbers[-1] == 5


def test_the_arrays_of_a_variant_with_one_reply_for_each_case_hold_its_scores():
    found = variant(result("1", 1.0), result("2", (None, BROKEN)), result("3", (0.25, FENCED)))

    assert found.correct.tolist() == pytest.approx([1.0, np.nan, 0.25], nan_ok=True)
    assert found.correct.dtype == found.valid.dtype == found.repeats.dtype == np.float64
    assert found.valid.tolist() == [1.0, 0.0, 0.0]
    assert found.lenient_valid.tolist() == [1.0, 0.0, 1.0]
    assert found.is_graded.tolist() == [False, False, True]


def test_a_mean_of_right_and_wrong_repeats_is_no_graded_score():
    found = variant(result("1", 1.0, 0.0), result("2", 1.0, None, 0.0), result("3", 0.0, 0.1))

    assert found.is_graded.tolist() == [False, False, True]


def test_broken_results_come_with_their_places():
    found = variant(*SEVERAL)

    assert found.broken == ((1, SEVERAL[1]), (4, SEVERAL[4]), (5, SEVERAL[5]))
    assert found.unanswered == (SEVERAL[2],)
    assert found.format_errors == {"empty": 2, "fenced": 2}
    assert [one.has_format_error for one in SEVERAL] == [False, True, False, False, True, True]


def test_shared_cases_are_in_the_order_of_the_later_variant():
    before = variant(*SEVERAL[:3])
    after = variant(SEVERAL[2], SEVERAL[4], SEVERAL[0])

    assert [*shared_ids(before, after)] == ["none", "right"]
    assert [*shared_ids(after, before)] == ["right", "none"]
    assert shared_ids(before, variant(*SEVERAL[:3])) == before.case_ids


def test_the_replies_of_a_variant_are_in_the_order_of_its_cases():
    passage = Passage(source="s", text="t")
    one = result("1", 1.0, 1.0, replies=(reply("a"), reply("b")))
    other = result("2", 1.0, replies=(Reply(text="c", passages=(passage,)),))

    assert [one.text for one in variant(one, other).replies] == ["a", "b", "c"]
    assert variant(one, other).has_passages
    assert not variant(one).has_passages
    assert variant(one, other).stop_reasons == {"end": 3}


@every_row("thinking", [{"thought": "hm"}, {"usage": {"thought": 3}}])
def test_the_thoughts_of_a_variant_are_the_replies_that_think(thinking):
    thought = Reply(text="a", **thinking)
    replies = (thought, reply("b"), Reply(text="c", usage={"thought": 0}))

    assert variant(result("1", 1.0, 1.0, 1.0, replies=replies)).thoughts == (thought,)
    assert variant(result("1", 1.0, 1.0, replies=replies[1:])).thoughts == ()
    assert variant(result("1", 1.0, replies=replies[1:2])).thoughts == ()


def test_empty_replies_are_those_that_ended_by_themselves_without_text():
    steps = (Step("", (ToolCall(name="f", arguments={}),)),)
    stopped = [reply("", stop=stop) for stop in ("end", "stop", "length", "refusal")]
    replies = (*stopped, reply(" \n"), reply("a"), Reply(text="", steps=steps))

    assert variant(result("1", *[1.0] * 7, replies=replies)).empty_count == 3
    assert variant(result("1", 1.0, replies=(reply("a"),))).empty_count == 0


def test_unscored_results_hold_the_replies_by_case():
    asks = [case_request(case("1"), 0), case_request(case("2")), case_request(case("1"), 1)]
    answers = {"1-0": reply("<think>b</think>a"), "1-1": RequestRejected("busy"), "2-0": reply("")}

    found = unscored_results("one", asks, answers)

    assert found.variant == "one"
    assert {**found.results} == {
        "1": CaseResult(
            asks[0].case, (Reply(text="a", thought="b"),), (), ("1-0", "1-1"), ("busy",)
        ),
        "2": CaseResult(asks[1].case, (reply(""),), (), ("2-0",)),
    }


def test_the_digest_of_replies_tells_texts_calls_and_requests_apart():
    def digest_of(*replies, fingerprints=("f",)):
        return digest_replies(
            CaseResult(
                case("1"), tuple(replies), tuple(Score(1.0, None) for _ in replies), fingerprints
            )
        )

    call = ToolCall(name="f", arguments={"a": 1})
    several = [
        digest_of(reply("a")),
        digest_of(reply("b")),
        digest_of(reply("a"), reply("a")),
        digest_of(reply("a"), fingerprints=("g",)),
        digest_of(Reply(text="a", steps=(Step("", (call,)),))),
        digest_of(Reply(text="a", steps=(Step("", (replace(call, name="g"),)),))),
        digest_of(Reply(text="a", steps=(Step("", (replace(call, arguments={}),)),))),
        digest_of(Reply(text="b", thought="t")),
        digest_of(Reply(text="a", thought="t")),
        digest_of(Reply(text="a", thought="t", steps=(Step("", (call,)),))),
    ]

    assert len({*several}) == len(several)
    assert {len(one) for one in several} == {16}
    assert digest_of(reply("a")) == digest_of(reply("a"))
    # Kept results rest on it.
    assert several[0] == digest([("f",), ["a"]])[:16]
    assert several[0] == digest_of(Reply(text="a", seconds=3.0, stop="stop"))


SCHEMA = {"type": "object", "required": ["a"]}


def test_a_schema_of_a_request_is_checked_once_though_the_case_declares_it_too():
    own = case("1", form=(Rule("json_schema", SCHEMA),))
    other = case("2", form=(Rule("json_schema", {"type": "object"}),))
    free = case("3", form=())
    schema = {"constraint": {"json_schema": SCHEMA}}
    asks = [case_request(one, **schema) for one in (own, other)]
    asks += [case_request(free, 0, **schema), case_request(case("4"), constraint={"choice": ["a"]})]
    answers = dict.fromkeys(("1-0", "2-0", "3-0"), reply("{}")) | {"4-0": reply("a")}

    found = scores(asks, answers).results

    errors = {key: row.scores[0].format_error for key, row in found.items()}
    assert (errors["1"].kind, errors["1"].rules) == ("missing key", ("json_schema",))
    assert (errors["2"].kind, errors["2"].rules) == ("missing key", ("json_schema",))
    # Only what has a format of its own has one, and only a schema adds to it.
    assert errors["3"] is errors["4"] is None
    assert found["2"].case == other


# Skills ----------------------------------------------------------------------------------------

LINES = (Rule("lines", {"max": 3}),)
LENGTH = (Rule("length", {"unit": "words", "max": 3}),)


@every_row(
    ("form", "answer", "score", "value"),
    [
        ((), reply("x"), Score(0.5, None), 0.5),
        ((), reply("x"), Score(None, None), 1.0),
        ((), reply("x"), Score(1.0, BROKEN), 1.0),
        (LABELS, reply("x"), Score(1.0, None), 1.0),
        (LABELS, reply("x"), Score(1.0, FENCED), 1.0),
        (LABELS, reply("x"), Score(1.0, BROKEN), 0.0),
        (LABELS, reply("x", stop="length"), Score(1.0, None), 1.0),
        (LINES, reply("x", stop="length"), Score(1.0, None), 0.0),
        (LENGTH, reply("x", stop="length"), Score(1.0, None), 0.0),
        ((*LABELS, *LENGTH), reply("x", stop="length"), Score(1.0, None), 0.0),
        (LENGTH, reply("x"), Score(1.0, None), 1.0),
        ((), reply("x", stop="length"), Score(1.0, None), 1.0),
        ((), reply(" q\n"), Score(1.0, None), 0.0),
        ((), reply("q q"), Score(1.0, None), 1.0),
        ((), reply("", stop="length"), Score(1.0, None), 0.0),
        ((), reply(""), Score(1.0, None), 1.0),
    ],
)
def test_a_skill_is_scored_by_content_and_format_together(form, answer, score, value):
    assert skill_score(case("1", form=form), answer, score) == value


def test_a_recorded_score_of_a_skill_counts_even_if_the_reply_repeats_the_question():
    assert skill_score(case("1", form=(), kind="recorded"), reply("q"), Score(1.0, None)) == 1.0


# Before the first request ----------------------------------------------------------------------


@every_row(
    ("one", "error"),
    [
        (case("1", kind="python", value="no_such_module:f"), ConfigurationError),
        (case("1", kind="mean", value=((Rule("exact"), 1), (Rule("python", "no_such:f"), 1))),
         ConfigurationError),
        (case("1", form=(Rule("python", "no_such_module:f"),)), ConfigurationError),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_used_is_an_error_before_the_first_request(one, error, tmp_path):
    validate_rules([case("0")], tmp_path)

    with pytest.raises(error):
        validate_rules([case("0"), one], tmp_path)


def test_functions_of_a_case_are_searched_in_its_own_folder(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "own_folder_marks.py").write_text("def f(case, reply): return 1\n")
    rule = Rule("python", "own_folder_marks:f")
    cases = replace(case("1"), score=rule), replace(case("1"), format=(rule,))
    for one in cases:
        with pytest.raises(ConfigurationError):
            validate_rules([case("0"), one], tmp_path)
    for one in cases:
        validate_rules([case("0"), replace(one, folder=tmp_path / "own")], tmp_path)
