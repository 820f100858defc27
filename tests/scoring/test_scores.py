"""The sheet: replies scored case by case, and what did not come kept apart from what is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_ftgate.errors import Refused, ScorerError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Ask, Call
from pytest_ftgate.scoring.scores import score
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

LABELS = (Rule("choice", ["a", "b"]),)


def case(name, expected="a", form=LABELS, kind="exact", value=None):
    return Case(
        id=name,
        where=f"c.jsonl:{name}",
        input="q",
        expected=expected,
        score=Rule(kind, value),
        format=form,
    )


def ask(one, repeat=0, fingerprint=None):
    call = Call(
        fingerprint=fingerprint or f"{one.id}-{repeat}",
        provider="anthropic",
        model="m",
        messages=(("user", "q"),),
        max_tokens=9,
        sampling={},
    )
    return Ask(one, repeat, call)


def column(asks, answers):
    return score("one", asks, answers, Path())


def said(text, stop="end"):
    return Reply(text=text, stop=stop)


def test_a_reply_has_a_score_for_what_it_says_and_apart_from_it_for_its_form():
    asks = [ask(case("1")), ask(case("2")), ask(case("3", expected="A."))]
    found = column(asks, {"1-0": said("a"), "2-0": said("b"), "3-0": said("A.")}).rows

    assert [(row.correct, row.valid) for row in found.values()] == [
        (1.0, 1.0),
        (0.0, 1.0),
        (1.0, 0.0),
    ]


def test_a_case_without_an_expectation_or_a_form_has_no_such_score():
    asks = [ask(case("1", expected=None)), ask(case("2", form=()))]
    found = column(asks, {"1-0": said("a"), "2-0": said("a")}).rows

    assert [(row.correct, row.valid) for row in found.values()] == [(None, 1.0), (1.0, None)]


def test_the_score_of_a_case_is_the_mean_of_its_repeats():
    one = case("1")
    asks = [ask(one, repeat) for repeat in range(4)]
    texts = ("a", "b", "a", "nonsense")
    row = column(asks, {f"1-{n}": said(text) for n, text in enumerate(texts)}).rows["1"]

    assert (row.correct, row.valid) == (0.5, 0.75)
    assert [reply.text for reply in row.replies] == list(texts)
    assert row.calls == ("1-0", "1-1", "1-2", "1-3")


def test_an_answer_that_did_not_come_is_no_wrong_answer():
    one = case("1")
    answers = {"1-0": said("a"), "1-1": Refused("overloaded")}
    row = column([ask(one, 0), ask(one, 1)], answers).rows["1"]

    assert (row.correct, row.valid) == (1.0, 1.0)
    assert row.missing == ("overloaded",)
    assert row.calls == ("1-0", "1-1")


def test_a_case_without_a_single_reply_is_missing_and_has_no_score():
    asks = [ask(case("1")), ask(case("2"))]
    found = column(asks, {"1-0": said("b"), "2-0": Refused("no such model")})

    assert [row.case.id for row in found.missing] == ["2"]
    assert (found.rows["2"].correct, found.rows["2"].valid) == (None, None)


def test_broken_forms_are_counted_by_kind():
    asks = [ask(case(name)) for name in "1234"]
    texts = [said("c"), said(""), said("c"), said("no", stop="refusal")]
    found = column(asks, {f"{n}-0": text for n, text in zip("1234", texts, strict=True)})

    assert found.faults == {"not in enumeration": 2, "empty": 1, "refusal": 1}


def test_a_reply_that_only_a_strict_reader_minds_is_meant_rightly():
    one = case("1")
    asks = [ask(one, repeat) for repeat in range(3)]
    texts = ("a", "A.", "nonsense")
    row = column(asks, {f"1-{n}": said(text) for n, text in enumerate(texts)}).rows["1"]

    assert (row.valid, row.meant) == (pytest.approx(1 / 3), pytest.approx(2 / 3))


def test_cases_that_share_a_call_are_each_scored_by_their_own_expectation():
    asks = [ask(case("1", "a"), fingerprint="x"), ask(case("2", "b"), fingerprint="x")]
    found = column(asks, {"x": said("a")}).rows

    assert [row.correct for row in found.values()] == [1.0, 0.0]


def test_a_scorer_that_breaks_stops_the_sheet(tmp_path):
    (tmp_path / "sheet_marks.py").write_text("def broken(case, reply): return 1 / 0\n")
    one = case("1", kind="python", value="sheet_marks:broken")

    with pytest.raises(ScorerError):
        score("one", [ask(one)], {"1-0": said("a")}, tmp_path)


def test_nothing_asked_is_an_empty_column():
    found = column([], {})

    assert (found.variant, found.rows, found.missing, found.faults) == ("one", {}, (), {})


def test_a_schema_of_the_variants_own_is_checked_besides_the_forms_of_the_case():
    schema = {"type": "object"}
    asks = [ask(case("1", form=(Rule("regex", "."),)), fingerprint=name) for name in "xy"]
    held = [
        replace(one, call=replace(one.call, constraint={"json_schema": schema})) for one in asks
    ]
    found = [column([one], {"x": said("{}"), "y": said("[]")}).rows["1"].valid for one in held]

    assert found == [1.0, 0.0]
