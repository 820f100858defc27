"""The drift of all replies, which no gate evaluates."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial

import pytest
from ftgate_testing.notes import kinds
from ftgate_testing.score_columns import changed, suite
from ftgate_testing.tables import every_row

from pytest_ftgate.gates import format_errors
from pytest_ftgate.gates.format_errors import drift_notes, reply_drifts, skill_drifts
from pytest_ftgate.gates.notes import ReplyNote, note, text_note
from pytest_ftgate.gates.rates import Comparison, evaluate_rate
from pytest_ftgate.gates.verdict import Drift, FormatErrorShare, Outcome
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.scores import CaseResult, Score, VariantScores
from pytest_ftgate.suite.gate_kinds import RateGate
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

ACCURACY = RateGate(kind="accuracy", line=7, max_drop=0.05)
FORMAT = RateGate(kind="format", line=8, max_drop=0.05)
ENGLISH = "Your order number {} was sent to you yesterday."
GERMAN = "Ihre Bestellung Nummer {} wurde gestern verschickt."


def scores(*texts, stop="end", right=None):
    """Return the scores of cases without a format, one for each text."""
    case = Case(
        id="", location="c.jsonl:1", input="q", expected="x" if right else None, score=Rule("exact")
    )
    results = {
        f"c{n:03}": CaseResult(
            replace(case, id=f"c{n:03}"), (Reply(text=text.format(n), stop=stop),),
            (Score(right, None),), (f"{n}",),
        )
        for n, text in enumerate(texts)
    }  # fmt: skip
    return VariantScores("new", results)


def thinking(scores):
    """Return *scores* with a thought in each reply."""
    return changed(
        scores, lambda _, row: replace(row, replies=(replace(row.replies[0], thought="x"),))
    )


def drifts_of(before, after):
    """Return the drift of replies to cases by what it is about."""
    return {one.what: one for one in reply_drifts(suite(ACCURACY), ACCURACY, before, after)}


def messages(before, after, *gates, gate=ACCURACY):
    drifts = reply_drifts(suite(*gates or (gate,)), gate, before, after)
    return [drift.message for drift in drifts if drift.message]


def share(what, before, after):
    return note(ReplyNote.SHARE, what=what, before=before, after=after)


def length(before, after, unit="words"):
    return note(ReplyNote.LENGTH, what="replies", before=before, after=after, unit=unit)


def language(changed):
    return note(ReplyNote.LANGUAGE, share=changed, before="en", after="de")


def test_the_drift_of_replies_is_described_in_whole():
    before = scores(*["{} a b c d e"] * 40, "", "")
    after = scores(*["I'm sorry, I can't do {}"] * 10, *["same"] * 30)

    longer, refusals, same = reply_drifts(suite(ACCURACY), ACCURACY, before, after)[:3]
    assert longer == Drift(
        what="length", unit="words", before=6, after=1, n=40, message=length(6, 1)
    )
    assert refusals == Drift(
        what="refusals", unit="share", before=0.0, after=0.25, n=40,
        message=share("refusals", 0.0, 0.25),
    )  # fmt: skip
    assert same == Drift(
        what="same text", unit="share", before=0, after=0.75, n=40,
        message=share("same text", 0.0, 0.75),
    )  # fmt: skip
    hedging = Drift(what="hedging", unit="share", before=0.0, after=0.0, n=40)
    assert skill_drifts(before, after) == (longer, refusals, hedging)


def test_a_habit_of_hedging_is_told_of_skills():
    before = scores(*["It is {}."] * 40)
    after = scores(*["I think that it is {}, but it may be more."] * 20, *["It is {}."] * 20)

    assert skill_drifts(before, after)[2].message == share("hedging", 0.0, 0.5)


@every_row(
    ("old", "new", "is_told"),
    [(6, 9, True), (6, 8, False), (4, 6, False), (9, 6, True), (8, 6, False), (7, 10, False)],
)
def test_a_length_is_reported_from_half_as_long_again_and_three_words_on(old, new, is_told):
    before, after = (scores(*["{}" + " a" * (count - 1)] * 40) for count in (old, new))

    assert messages(before, after) == [length(old, new)] * is_told


@every_row(("characters", "unit"), [(14, "words"), (15, "characters")])
def test_fifteen_characters_a_word_are_a_text_without_spaces(characters, unit):
    text = f"{{:0{characters}}}"

    drift = drifts_of(scores(*[text] * 40), scores(*["x"] * 40))["length"]

    before = 1 if unit == "words" else characters
    assert (drift.unit, drift.before, drift.after) == (unit, before, 1)


@every_row(
    ("old", "new", "of", "is_told"),
    [
        (50, 75, 100, True),
        (50, 74, 100, False),
        (4, 6, 20, False),
        (1, 4, 20, False),
        (0, 3, 20, False),
        (0, 4, 20, True),
    ],
)
def test_a_share_is_reported_if_it_grew_by_half_and_by_more_than_chance(old, new, of, is_told):
    before, after = (
        scores(*["I'm sorry, I can't do {}"] * count, *["I am glad to do that {}"] * (of - count))
        for count in (old, new)
    )

    assert messages(before, after) == [share("refusals", old / of, new / of)] * is_told


@every_row(("now", "told"), [(4, None), (6, share("refusals", 0.1, 0.3))])
def test_a_share_of_few_replies_that_may_be_that_of_before_is_not_reported(now, told):
    refusal, other = "I'm sorry, I can't do {}", "I am glad to do that {}"
    before = scores(*[refusal] * 40, *[other] * 360)
    after = scores(*[refusal] * now, *[other] * (20 - now))

    assert skill_drifts(before, after)[1].message == told


def test_twenty_replies_with_a_text_are_enough_and_fewer_tell_of_thoughts_only():
    few, more = (scores(*["{} a b"] * count, "") for count in (19, 20))
    by_gate = partial(reply_drifts, suite(ACCURACY), ACCURACY)

    assert by_gate(None, more) == ()
    for drifts, last in ((by_gate, "same text"), (skill_drifts, "hedging")):
        assert drifts(few, more) == drifts(more, few) == ()
        assert [drift.what for drift in drifts(more, more)] == ["length", "refusals", last]
        told = [drift.what for drift in drifts(more, thinking(more))]
        assert told == ["length", "refusals", last, "thoughts"]
        assert [drift.what for drift in drifts(more, thinking(few))] == ["thoughts"]


def test_refusals_that_the_provider_reports_count_whatever_they_say():
    before, after = scores(*["done {}"] * 40), scores(*["done {}"] * 40, stop="refusal")

    assert messages(before, after) == [share("refusals", 0.0, 1.0)]


def test_the_language_of_texts_with_few_common_words_is_detected():
    english = "Your order {} from Anna Schmidt arrived at our store yesterday."
    german = "Ihre Bestellung {} von Anna Schmidt kam gestern bei uns im Laden an."
    before, after = scores(*[english] * 40), scores(*[german] * 40)

    assert drifts_of(before, after)["language"] == Drift(
        what="language", unit="share", before=0.0, after=1.0, n=40,
        message=language(1.0),
    )  # fmt: skip


@every_row(("changed", "is_told"), [(3, False), (8, True)])
def test_a_changed_language_is_told_if_more_than_a_twentieth_changed_it_for_sure(changed, is_told):
    before = scores(*[ENGLISH] * 60)
    after = scores(*[GERMAN] * changed, *[ENGLISH] * (60 - changed))

    told = messages(before, after)

    assert told == [language(changed / 60)] * is_told


def test_the_language_of_three_hundred_cases_spread_over_all_is_detected(monkeypatch):
    monkeypatch.setattr(format_errors, "detect_language", pytest.fail)
    side, fewer = scores(*[ENGLISH] * 600), scores(*[ENGLISH] * 599)

    assert drifts_of(side, side)["language"].n == 300
    assert drifts_of(fewer, fewer)["language"].n == 599


@every_row(("characters", "count"), [(15, 0), (16, 40)])
def test_a_text_of_fewer_than_sixteen_characters_has_no_language(characters, count):
    long, short = (scores(*[f"{{:0{size}}}"] * 40) for size in (characters + 9, characters))

    for sides in ((long, short), (short, long)):
        drifts = drifts_of(*sides)
        assert (drifts["language"].n if count else len(drifts)) == (count or 3)


def test_replies_that_share_their_words_need_no_detection(monkeypatch):
    monkeypatch.setattr(format_errors, "detect_language", pytest.fail)
    before = scores(*[ENGLISH] * 40)
    after = scores(*[ENGLISH.replace("yesterday", "this morning")] * 40)

    drift = drifts_of(before, after)["language"]

    assert (drift.after, drift.message) == (0.0, None)


def test_without_the_package_for_languages_none_is_reported(monkeypatch):
    monkeypatch.setitem(sys.modules, "py3langid", None)

    assert messages(scores(*[ENGLISH] * 40), scores(*[GERMAN] * 40)) == []


def test_of_two_gates_the_format_gate_reports_the_drift():
    before, after = scores(*["{} a b"] * 40), scores(*["{} a b c d e f"] * 40)

    assert messages(before, after, ACCURACY, FORMAT, gate=ACCURACY) == []
    assert messages(before, after, ACCURACY, FORMAT, gate=FORMAT) != []


MIX, LONG = text_note("a mix"), text_note("longer")
FORMAT_DRIFT = Drift(what="format errors", unit="share", before=0.1, after=0.1, n=40, message=MIX)
LONGER = replace(FORMAT_DRIFT, what="length", message=LONG)
SHARE = FormatErrorShare(
    kind="fenced", replies=5, after=0.2, low=0.1, high=0.3, before=0.05, before_low=0.0,
    before_high=0.1,
)  # fmt: skip


def grew(before):
    return note(ReplyNote.ERROR_SHARE, what="fenced", before=before, after=0.2)


@every_row(
    ("gate", "passed", "share", "notes"),
    [
        (FORMAT, True, {}, [MIX, LONG, grew(0.05)]),
        (FORMAT, False, {}, [LONG]),
        (ACCURACY, False, {}, [MIX, LONG, grew(0.05)]),
        (FORMAT, True, {"before": None, "before_high": None}, [MIX, LONG]),
        (FORMAT, True, {"before": 0.0, "before_high": None, "low": 0.0}, [MIX, LONG]),
        (FORMAT, True, {"before": 0.0, "before_high": None}, [MIX, LONG, grew(0.0)]),
        (FORMAT, True, {"before_high": 0.2}, [MIX, LONG]),
        (FORMAT, True, {"low": 0.05}, [MIX, LONG]),
    ],
)
def test_a_drift_is_a_note_and_so_is_a_format_error_that_grew(gate, passed, share, notes):
    shares = [replace(SHARE, **share)]
    drifts = [FORMAT_DRIFT, LONGER, replace(LONGER, message=None)]

    assert [*drift_notes(iter(drifts), gate, shares, passed=passed)] == notes
    assert [*drift_notes([], gate, shares, passed=passed)] == []


def test_a_drift_blocks_nothing():
    before, after = (scores(*[text] * 200, right=1.0) for text in ("{} a b", "{} a b c d e f"))
    verdict = evaluate_rate(suite(ACCURACY), ACCURACY, Comparison(after, before))

    assert ReplyNote.LENGTH in kinds(verdict.notes)
    assert verdict.outcome is Outcome.PASSED
