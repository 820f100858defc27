"""The thoughts of a variant against those of its baseline: their share, and their length."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ftgate_testing.reports import failing_run
from ftgate_testing.score_columns import case_result, changed, with_case, without_replies
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.design import Levels
from pytest_ftgate.gates.format_errors import thought_drifts
from pytest_ftgate.gates.notes import NoteKind, ReplyNote, note
from pytest_ftgate.gates.thoughts import no_answer_notes, thought_checks
from pytest_ftgate.gates.verdict import Check, CheckKind, Drift, Outcome
from pytest_ftgate.reporting.verdict import verdict_facts
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.suite.gate_kinds import RateGate
from pytest_ftgate.suite.rule import Rule


def side(variant, lengths, *, key="characters", cut_off=0):
    """Return the scores of a variant with one thought of each length; 0 is none."""
    rule, results = Rule("choice", ["refund"]), {}
    for n, length in enumerate(lengths):
        thought, usage = ("x" * length, {}) if key == "characters" else ("", {"thought": length})
        text, stop = ("", "length") if n < cut_off else ("refund", "end")
        row = case_result(f"c{n:03}", 1.0, "refund")
        reply = Reply(text=text, stop=stop, thought=thought, usage=usage)
        results[f"c{n:03}"] = replace(row, case=replace(row.case, format=(rule,)), replies=(reply,))
    return VariantScores(variant, results)


def checks(before, after, **limits):
    gate = RateGate(kind="format", line=1, **limits)
    return [*thought_checks(gate, before, after, Levels())]


STEADY = [100 + n for n in range(40)]


def near(value):
    return pytest.approx(value, abs=0.001)


def test_both_checks_of_thoughts_state_all_that_they_compare():
    longer = [round(1.2 * length) + n % 7 for n, length in enumerate(STEADY)]
    levels = Levels(alarm=0.002, shared=5)
    gate = RateGate(kind="format", line=1, max_thought_drop=0.15, max_thought_rise=0.5)

    share, length = thought_checks(gate, side("plain", STEADY), side("new", longer), levels)

    assert (share.kind, share.against, share.limit) == (CheckKind.BASELINE, "plain", 0.15)
    assert (share.alarm, share.shared, share.n) == (0.002, 5, 40)
    assert (share.before, share.after, share.notes) == (1.0, 1.0, ())
    assert length == Check(
        kind=CheckKind.BASELINE, against="plain", outcome=Outcome.PASSED, limit=0.5, n=40,
        effective=40, before=119.5, after=146.275, low=near(0.219), high=near(0.230),
        rise=near(146.275 / 119.5 - 1), unit="characters", method="t", measure="thought length",
    )  # fmt: skip


def test_the_length_of_few_thoughts_is_stated_and_not_bounded():
    before, after = side("plain", STEADY), side("new", [0] * 11 + STEADY[11:])

    (length,) = checks(before, after, max_thought_rise=0.5)

    assert length == Check(
        kind=CheckKind.BASELINE, against="plain", outcome=Outcome.INCONCLUSIVE, limit=0.5, n=29,
        effective=29, before=125.0, after=125.0, rise=0.0, unit="characters", method="t",
        measure="thought length", informative=False,
        notes=(note(NoteKind.FEW_THOUGHTS, n=29, needed=30),),
    )  # fmt: skip
    assert checks(before, side("new", [0] * 10 + STEADY[10:]), max_thought_rise=0.5)[0].informative


def test_related_cases_are_one_of_those_that_are_needed():
    def in_groups(of):
        sides = (
            changed(side(name, STEADY), lambda n, row: with_case(row, group=f"g{n % of}"))
            for name in ("plain", "new")
        )
        (check,) = checks(*sides, max_thought_rise=0.5)
        return check

    few, more = in_groups(29), in_groups(30)

    assert (few.n, few.effective, few.informative) == (40, 29, False)
    assert few.notes == (note(NoteKind.FEW_THOUGHTS, n=29, needed=30),)
    assert (more.n, more.effective, more.outcome) == (40, 30, Outcome.PASSED)


def test_cases_without_a_format_or_a_weight_are_not_compared_and_heavy_ones_count_more():
    sides = side("plain", STEADY), side("new", [300] * 4 + STEADY[4:])

    def found(**first_four):
        def change(n, row):
            return with_case(row, **first_four) if n < 4 else row

        both = (changed(one, change) for one in sides)
        return checks(*both, max_thought_drop=0.5, max_thought_rise=0.5)

    for share, length in (found(format=()), found(weight=0.0)):
        assert (share.n, length.n, length.rise) == (36, 36, 0.0)
    (_, plain), (_, weighted) = found(), found(weight=4.0)
    assert plain.low < plain.rise < plain.high < weighted.high
    assert weighted.low < weighted.rise < weighted.high
    assert weighted.rise > 2 * plain.rise


def test_repeated_replies_share_their_thoughts_of_a_case():
    def twice(variant, other):
        def change(_, row):
            return replace(row, replies=(*row.replies, other), scores=row.scores * 2)

        return changed(side(variant, [100] * 40), change)

    quiet, long = Reply(text="refund"), Reply(text="refund", thought="x" * 300)
    before, after = twice("plain", long), twice("new", quiet)

    share, length = checks(before, after, max_thought_drop=0.15, max_thought_rise=0.5)

    assert (share.before, share.after) == (1.0, 0.5)
    assert (length.before, length.after) == (200.0, 100.0)


def test_a_case_without_a_reply_has_no_thoughts_to_compare():
    after = without_replies(side("new", STEADY), [f"c{n:03}" for n in range(5)])
    limits = {"max_thought_drop": 0.5, "max_thought_rise": 0.5}

    share, length = checks(side("plain", STEADY), after, **limits)

    assert (share.n, share.missing, length.n) == (35, 5, 35)


@every_row(
    ("lengths", "outcome", "regressed"),
    [
        (STEADY, Outcome.PASSED, 0),
        ([0] * 20 + STEADY[20:], Outcome.FAILED, 20),
        ([0] * 3 + STEADY[3:], Outcome.INCONCLUSIVE, 3),
    ],
)
def test_the_share_of_thoughts_is_held_to_a_drop(lengths, outcome, regressed):
    (check,) = checks(side("plain", STEADY), side("new", lengths), max_thought_drop=0.15)

    assert (check.outcome, check.regressed, check.measure) == (outcome, regressed, "thoughts")
    assert (check.unit, check.against) == ("share", "plain")


def test_thoughts_have_a_share_to_lose_and_a_length_only_where_both_sides_think():
    before, after = side("plain", [0] * 40), side("new", [0] * 39 + [9])
    (check,) = checks(before, after, max_thought_drop=0.15)

    assert not check.informative
    assert check.notes == (note(NoteKind.RARE_THOUGHTS, baseline="plain", share=0.0),)
    few = side("plain", [9] * 2 + [0] * 38)
    (check,) = checks(few, after, max_thought_drop=0.15)
    assert check.notes == (note(NoteKind.RARE_THOUGHTS, baseline="plain", share=0.05),)

    before, after = side("plain", STEADY), side("new", [0] * 5 + [2 * n for n in STEADY[5:]])
    (check,) = checks(before, after, max_thought_rise=0.5)

    assert (check.n, check.rise) == (35, pytest.approx(1.0))
    assert checks(before, side("new", [0] * 40), max_thought_rise=0.5) == []


@every_row(
    ("factor", "outcome"), [(1.0, Outcome.PASSED), (0.3, Outcome.PASSED), (2.0, Outcome.FAILED)]
)
@every_row("key", ["characters", "tokens"])
def test_the_length_of_a_thought_is_held_to_a_rise(factor, outcome, key):
    longer = [round(factor * length) + n % 7 for n, length in enumerate(STEADY)]
    before, after = side("plain", STEADY, key=key), side("new", longer, key=key)
    (check,) = checks(before, after, max_thought_rise=0.5)

    assert (check.outcome, check.unit, check.measure) == (outcome, key, "thought length")
    assert check.rise == pytest.approx(check.after / check.before - 1)
    assert check.low <= check.rise <= check.high


def test_lengths_of_thoughts_without_a_common_unit_are_not_compared():
    sides = side("plain", STEADY, key="tokens"), side("new", STEADY)
    (check,) = checks(*sides, max_thought_rise=0.5)

    assert (check.informative, check.outcome, check.unit) == (False, Outcome.INCONCLUSIVE, "tokens")
    assert (check.n, check.rise) == (0, None)
    assert check.notes == (note(NoteKind.OTHER_THOUGHTS),)
    assert messages(*sides) == {"thoughts": None}

    counted, after = side("plain", STEADY, key="tokens"), side("new", STEADY, key="tokens")
    shown = side("plain", STEADY).results["c000"]
    mixed = replace(counted, results={**counted.results, "c000": shown})

    (check,) = checks(mixed, after, max_thought_rise=0.5)

    assert (check.n, check.informative, check.outcome) == (39, False, Outcome.INCONCLUSIVE)


def messages(before, after):
    return {drift.what: drift.message for drift in thought_drifts(before, after)}


def share(what, before, after):
    return note(ReplyNote.SHARE, what=what, before=before, after=after)


def length(before, after):
    unit = "characters"
    return note(ReplyNote.LENGTH, what="thoughts", before=before, after=after, unit=unit)


def test_a_drift_of_thoughts_is_described_in_whole():
    before = side("plain", STEADY)
    after = side("new", [2 * length for length in STEADY[:35]] + [0] * 5, cut_off=20)

    assert [*thought_drifts(before, after)] == [
        Drift(what="thoughts", unit="share", before=1.0, after=0.875, n=40,
              message=share("thoughts", 1.0, 0.875)),
        Drift(what="thought length", unit="characters", before=119.5, after=234.0,
              n=35, message=length(119.5, 234.0)),
        Drift(what="cut off", unit="share", before=0.0, after=0.5, n=40,
              message=share("cut off", 0.0, 0.5)),
    ]  # fmt: skip


@every_row(
    ("old", "new", "is_told"),
    [(100, 150, True), (100, 149, False), (150, 100, True), (149, 100, False), (1, 3, True)],
)
def test_a_length_is_told_from_half_as_long_again_on(old, new, is_told):
    found = messages(side("plain", [old] * 20), side("new", [new] * 20))

    assert found == {"thoughts": None, "thought length": length(old, new) if is_told else None}
    few = messages(side("plain", [old] * 20), side("new", [new] * 19))
    assert few == messages(side("plain", [old] * 19), side("new", [new] * 20))
    assert few == {"thoughts": None, "thought length": None}


def test_a_share_is_told_if_it_is_far_on_both_sides_and_of_twenty_replies():
    def found(old, new, of=20, now=20):
        lengths = [[9] * count + [0] * (n - count) for count, n in ((old, of), (new, now))]
        return messages(*(side(*one) for one in zip("ab", lengths, strict=True)))["thoughts"]

    assert found(20, 16) == share("thoughts", 1.0, 0.8)
    assert found(20, 17) is None
    assert found(16, 20) == share("thoughts", 0.8, 1.0)
    assert found(17, 20) is None
    assert found(19, 1, of=19) is found(20, 1, now=19) is None


def test_nothing_is_told_without_thoughts_or_replies():
    nothing = VariantScores("none", {})

    for sides in ((nothing, side("new", STEADY, cut_off=9)), (side("a", STEADY), nothing)):
        assert messages(*sides) == {}

    assert messages(side("plain", [0] * 40), side("new", [0] * 40)) == {}


def test_what_is_told_of_thoughts_is_a_fact_even_without_a_change():
    drifts = thought_drifts(side("plain", STEADY), side("new", STEADY, cut_off=2))

    drifts = (*drifts, Drift(what="length", unit="words", before=1, after=1, n=1))

    verdict = failing_run().verdicts[0]
    assert verdict_facts(replace(verdict, drifts=drifts, facts={})) == {
        "thoughts": "100 → 100 %",
        "thought length": "120 → 120 characters",
        "cut off": "0 → 5 %",
    }
    long = tuple(thought_drifts(side("plain", [1500] * 40), side("new", [2500] * 40)))
    facts = verdict_facts(replace(verdict, drifts=long))
    assert facts["thought length"] == "1,500 → 2,500 characters"


def test_many_replies_without_an_answer_are_counted_by_side():
    before, after = side("plain", STEADY, cut_off=2), side("new", STEADY, cut_off=3)

    told = note(NoteKind.NO_ANSWER, n=3, of=40, variant="new")
    assert [*no_answer_notes(before, after)] == [told]
