"""The thoughts of a variant against those of its baseline: their share, and their length."""

from __future__ import annotations

from dataclasses import replace

import pytest
from columns import variant_scores

from pytest_ftgate.gates.levels import Levels
from pytest_ftgate.gates.thoughts import (
    drift_fields,
    no_answer_notes,
    thought_checks,
    thought_drifts,
)
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.suite.gate_kinds import RateGate
from pytest_ftgate.suite.rule import Rule


def side(variant, lengths, *, key="characters", cut_off=0):
    """Return the scores of a variant with one thought of each length; 0 is none."""
    scores = variant_scores(variant, [1.0] * len(lengths))
    results = {}
    for n, (name, result) in enumerate(scores.results.items()):
        length = lengths[n]
        thought, usage = ("x" * length, {}) if key == "characters" else ("", {"thought": length})
        text, stop = ("", "length") if n < cut_off else ("refund", "end")
        reply = Reply(text=text, stop=stop, thought=thought, usage=usage)
        case = replace(result.case, format=(Rule("choice", ["refund"]),))
        results[name] = replace(result, case=case, replies=(reply,))
    return VariantScores(variant, results)


def checks(before, after, **limits):
    gate = RateGate(kind="format", line=1, **limits)
    return [*thought_checks(gate, before, after, Levels())]


STEADY = [100 + n for n in range(40)]


@pytest.mark.parametrize(
    ("lengths", "outcome", "regressed"),
    [
        (STEADY, Outcome.PASSED, 0),
        ([0] * 40, Outcome.FAILED, 40),
        ([0] * 20 + STEADY[20:], Outcome.FAILED, 20),
        ([0] * 3 + STEADY[3:], Outcome.INCONCLUSIVE, 3),
    ],
)
def test_the_share_of_thoughts_is_held_to_a_drop(lengths, outcome, regressed):
    (check,) = checks(side("plain", STEADY), side("new", lengths), max_thought_drop=0.15)

    assert (check.outcome, check.regressed, check.measure) == (outcome, regressed, "thoughts")
    assert (check.unit, check.against) == ("share", "plain")


def test_a_baseline_that_does_not_think_has_no_thought_to_lose():
    before, after = side("plain", [0] * 40), side("new", [0] * 39 + [9])
    (check,) = checks(before, after, max_thought_drop=0.15)

    assert not check.informative
    assert check.note == "plain thinks in 0 % of its replies, so no drop can show"


@pytest.mark.parametrize(
    ("factor", "outcome"),
    [(1.0, Outcome.PASSED), (0.3, Outcome.PASSED), (2.0, Outcome.FAILED)],
)
@pytest.mark.parametrize("key", ["characters", "tokens"])
def test_the_length_of_a_thought_is_held_to_a_rise(factor, outcome, key):
    longer = [round(factor * length) + n % 7 for n, length in enumerate(STEADY)]
    before, after = side("plain", STEADY, key=key), side("new", longer, key=key)
    (check,) = checks(before, after, max_thought_rise=0.5)

    assert (check.outcome, check.unit, check.measure) == (outcome, key, "thought length")
    assert check.rise == pytest.approx(check.after / check.before - 1)
    assert check.low <= check.rise <= check.high


def test_only_cases_in_which_both_sides_think_have_a_length_to_compare():
    before, after = side("plain", STEADY), side("new", [0] * 5 + [2 * n for n in STEADY[5:]])
    (check,) = checks(before, after, max_thought_rise=0.5)

    assert (check.n, check.rise) == (35, pytest.approx(1.0))
    assert checks(before, side("new", [0] * 40), max_thought_rise=0.5) == []


def test_a_few_thoughts_do_not_decide_about_their_length():
    (check,) = checks(side("plain", STEADY[:20]), side("new", STEADY[:20]), max_thought_rise=0.5)

    assert (check.outcome, check.informative) == (Outcome.INCONCLUSIVE, False)
    assert check.note == "both sides think in 20 unrelated cases; 30 are needed"


def test_thoughts_that_are_only_counted_are_not_compared_with_thoughts_that_are_shown():
    sides = side("plain", STEADY, key="tokens"), side("new", STEADY)
    (check,) = checks(*sides, max_thought_rise=0.5)

    assert not check.informative
    assert (
        check.note == "one side counts its thoughts and the other shows them, so none is compared"
    )
    assert messages(*sides) == {"thoughts": ""}


def messages(before, after):
    return {drift.what: drift.message for drift in thought_drifts(before, after)}


def test_a_variant_that_stopped_thinking_is_told():
    assert messages(side("plain", STEADY), side("new", [0] * 40)) == {
        "thoughts": "0 % of replies begin with a thought, 100 % before"
    }


def test_a_variant_that_began_to_think_is_told():
    assert messages(side("plain", [0] * 40), side("new", STEADY)) == {
        "thoughts": "100 % of replies begin with a thought, 0 % before"
    }


@pytest.mark.parametrize(
    ("factor", "message"),
    [
        (2, "thoughts are twice as long as before (median 120 → 239 characters)"),
        (0.5, "thoughts are half as long as before (median 120 → 60 characters)"),
        (1.4, ""),
    ],
)
def test_thoughts_of_another_length_are_told(factor, message):
    longer = [round(factor * length) for length in STEADY]
    told = messages(side("plain", STEADY), side("new", longer))

    assert told == {"thoughts": "", "thought length": message}


def test_a_variant_that_is_cut_off_more_often_is_told():
    told = messages(side("plain", STEADY, cut_off=1), side("new", STEADY, cut_off=20))

    assert told["cut off"] == "50 % of replies are cut off at their token limit, 2 % before"


def test_models_that_do_not_think_have_nothing_to_tell():
    assert messages(side("plain", [0] * 40), side("new", [0] * 40)) == {}


def test_what_is_told_of_thoughts_is_a_fact_even_without_a_change():
    drifts = thought_drifts(side("plain", STEADY), side("new", STEADY, cut_off=2))

    assert drift_fields(drifts)["facts"] == {
        "thoughts": "100 → 100 %",
        "thought length": "120 → 120 characters",
        "cut off": "0 → 5 %",
    }


def test_many_replies_without_an_answer_are_counted_by_side():
    before, after = side("plain", STEADY, cut_off=2), side("new", STEADY, cut_off=3)

    assert [*no_answer_notes(before, after)] == [
        "3 of 40 replies of new were cut off before an answer, which counts as wrong"
    ]
