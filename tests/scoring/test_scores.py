"""Scores of replies, case by case; missing replies stay apart from incorrect ones."""

from __future__ import annotations

import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from threading import current_thread

import pytest

from pytest_ftgate.errors import RequestRejected, ScorerError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import CaseRequest, Request
from pytest_ftgate.scoring import sandbox
from pytest_ftgate.scoring.score import ContentScore
from pytest_ftgate.scoring.scores import digest_replies, score_replies, skill_score
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

LABELS = (Rule("choice", ["a", "b"]),)


def case(name, expected="a", form=LABELS, kind="exact", value=None):
    return Case(
        id=name,
        location=f"c.jsonl:{name}",
        input="q",
        expected=expected,
        score=Rule(kind, value),
        format=form,
    )


def case_request(one, repeat=0, fingerprint=None):
    call = Request(
        fingerprint=fingerprint or f"{one.id}-{repeat}",
        provider="anthropic",
        model="m",
        messages=(("user", "q"),),
        max_tokens=9,
        sampling={},
    )
    return CaseRequest(one, repeat, call)


def scores(asks, answers):
    return score_replies("one", asks, answers, Path())


def reply(text, stop="end"):
    return Reply(text=text, stop=stop)


def test_content_and_format_of_a_reply_are_scored_apart():
    asks = [
        case_request(case("1")),
        case_request(case("2")),
        case_request(case("3", expected="A.")),
    ]
    found = scores(asks, {"1-0": reply("a"), "2-0": reply("b"), "3-0": reply("A.")}).results

    assert [(row.correct, row.valid) for row in found.values()] == [
        (1.0, 1.0),
        (0.0, 1.0),
        (1.0, 0.0),
    ]


def test_a_case_without_an_expected_answer_or_a_format_has_no_such_score():
    asks = [case_request(case("1", expected=None)), case_request(case("2", form=()))]
    found = scores(asks, {"1-0": reply("a"), "2-0": reply("a")}).results

    assert [(row.correct, row.valid) for row in found.values()] == [(None, 1.0), (1.0, None)]


def test_the_score_of_a_case_is_the_mean_of_its_repeats():
    one = case("1")
    asks = [case_request(one, repeat) for repeat in range(4)]
    texts = ("a", "b", "a", "nonsense")
    row = scores(asks, {f"1-{n}": reply(text) for n, text in enumerate(texts)}).results["1"]

    assert (row.correct, row.valid) == (0.5, 0.75)
    assert [reply.text for reply in row.replies] == list(texts)
    assert row.fingerprints == ("1-0", "1-1", "1-2", "1-3")


def test_repeats_of_a_case_need_not_follow_each_other():
    asks = [case_request(case(key), repeat) for repeat in range(3) for key in "21"]
    found = scores(asks, {one.fingerprint: reply("a") for one in asks}).results

    assert {key: row.fingerprints for key, row in found.items()} == {
        "2": ("2-0", "2-1", "2-2"),
        "1": ("1-0", "1-1", "1-2"),
    }
    assert [*found] == ["2", "1"]


def test_a_missing_reply_is_no_incorrect_reply():
    one = case("1")
    answers = {"1-0": reply("a"), "1-1": RequestRejected("overloaded")}
    row = scores([case_request(one, 0), case_request(one, 1)], answers).results["1"]

    assert (row.correct, row.valid) == (1.0, 1.0)
    assert row.missing_reasons == ("overloaded",)
    assert row.fingerprints == ("1-0", "1-1")


def test_a_case_without_any_reply_is_unanswered_and_has_no_score():
    asks = [case_request(case("1")), case_request(case("2"))]
    found = scores(asks, {"1-0": reply("b"), "2-0": RequestRejected("no such model")})

    assert [row.case.id for row in found.unanswered] == ["2"]
    assert (found.results["2"].correct, found.results["2"].valid) == (None, None)


def test_format_errors_are_counted_by_kind():
    asks = [case_request(case(name)) for name in "1234"]
    texts = [reply("c"), reply(""), reply("c"), reply("no", stop="refusal")]
    found = scores(asks, {f"{n}-0": text for n, text in zip("1234", texts, strict=True)})

    assert found.format_errors == {"not in enumeration": 2, "empty": 1, "refusal": 1}


def test_a_reply_that_only_a_strict_reader_rejects_is_lenient_valid():
    one = case("1")
    asks = [case_request(one, repeat) for repeat in range(3)]
    texts = ("a", "A.", "nonsense")
    row = scores(asks, {f"1-{n}": reply(text) for n, text in enumerate(texts)}).results["1"]

    assert (row.valid, row.lenient_valid) == (pytest.approx(1 / 3), pytest.approx(2 / 3))


def test_cases_that_share_a_request_are_scored_by_their_own_expected_answers():
    asks = [
        case_request(case("1", "a"), fingerprint="x"),
        case_request(case("2", "b"), fingerprint="x"),
    ]
    found = scores(asks, {"x": reply("a")}).results

    assert [row.correct for row in found.values()] == [1.0, 0.0]


def test_a_scorer_that_fails_is_an_error(tmp_path):
    (tmp_path / "sheet_marks.py").write_text("def broken(case, reply): return 1 / 0\n")
    one = case("1", kind="python", value="sheet_marks:broken")

    with pytest.raises(ScorerError):
        score_replies("one", [case_request(one)], {"1-0": reply("a")}, tmp_path)


def test_without_requests_there_are_no_results():
    found = scores([], {})

    assert (found.variant, found.results, found.unanswered, found.format_errors) == (
        "one",
        {},
        (),
        {},
    )


def test_the_schema_of_a_request_is_checked_besides_the_formats_of_the_case():
    schema = {"type": "object"}
    asks = [case_request(case("1", form=(Rule("regex", "."),)), fingerprint=name) for name in "xy"]
    held = [
        replace(one, request=replace(one.request, constraint={"json_schema": schema}))
        for one in asks
    ]
    found = [scores([one], {"x": reply("{}"), "y": reply("[]")}).results["1"].valid for one in held]

    assert found == [1.0, 0.0]


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


def told(text, one=None, **changes):
    one = one or case("1")
    found = scores([case_request(one)], {"1-0": replace(reply(text), **changes)}).results["1"]
    return found.replies[0], found.scores[0]


@pytest.mark.parametrize("text", ["<think>a or b?</think>\n\na", "a or b?</think>a"])
def test_a_thought_is_no_part_of_the_answer_that_is_scored(text):
    read, score = told(text)

    assert (read.text, read.thought) == ("a", "a or b?")
    assert (score.correct, score.format_error) == (1.0, None)


@pytest.mark.parametrize(
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

    assert (score.correct, score.format_error.kind) == (0.0, "truncated")
    remedy = "raise it, or write thinking: {type: disabled}"
    assert score.format_error.detail == f"the thought took all of max_tokens: 9; {remedy}"


def test_without_a_format_the_content_says_that_there_is_no_answer():
    score = told("<think>it is a", case("1", form=()))[1]

    assert (score.correct, score.format_error) == (0.0, None)
    assert score.reason.startswith("the thought took all of max_tokens: 9")


def test_a_reply_cut_off_before_any_word_need_not_be_a_thought():
    score = told("", case("1", form=()), stop="length")[1]

    assert score.reason == "cut off at max_tokens: 9 before the answer; raise max_tokens"


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
    ask = case_request(case("1", form=()))
    ask = replace(ask, request=replace(ask.request, thoughts=()))
    result = scores([ask], {"1-0": reply("<think>a or b?</think>a")}).results["1"]

    assert (result.correct, result.replies[0].thought) == (0.0, "")


def test_replies_with_other_thoughts_are_other_replies():
    digests = [
        digest_replies(scores([case_request(case("1"))], {"1-0": reply(text)}).results["1"])
        for text in ("a", "<think>b?</think>a", "<think>c?</think>a", "<think>b?</think>a")
    ]
    assert len({*digests}) == 3
    assert digests[1] == digests[3]


def test_each_reply_that_hedges_counts():
    asks = [case_request(case("1"), repeat) for repeat in range(3)]
    said = {"1-0": reply("I think it is a."), "1-1": reply("a"), "1-2": reply("I think it is a.")}

    assert scores(asks, said).hedge_count == 2


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
