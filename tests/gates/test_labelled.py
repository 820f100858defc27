"""Labelled cases and inputs decide together, by labels of the inputs that differ."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ftgate_testing.inputs import (
    compared,
    every,
    inputs_of,
    labelled,
    pair_labels,
    replied,
    with_labels,
)
from ftgate_testing.score_columns import case_samples
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.checks import DropRule, check_drop
from pytest_ftgate.gates.design import Levels
from pytest_ftgate.gates.labelled import InputReplies, check_labelled_drop
from pytest_ftgate.gates.notes import NoteKind
from pytest_ftgate.gates.pair_labels import PAIRS_FOR_JUDGE
from pytest_ftgate.gates.samples import Samples
from pytest_ftgate.gates.verdict import Check, Outcome
from pytest_ftgate.suite.pair_labels import PairAnswer
from pytest_ftgate.suite.rule import Rule

NONE = case_samples([])
PASSED, FAILED, OPEN = Outcome.PASSED, Outcome.FAILED, Outcome.INCONCLUSIVE
#: Of ten labels three say that the new reply is better, and three that it is worse.
EVEN = every("old", "new", "both", "neither", "old", "new", "both", "old", "new", "both")


def check(
    replies: InputReplies, before: Samples = NONE, after: Samples = NONE, **rule: object
) -> Check:
    known = {"against": "old", "margin": 0.03, "levels": Levels()}
    return check_labelled_drop(before, after, replies, DropRule(**{**known, **rule}))


def kinds(found: Check) -> set[str]:
    return {note.kind for note in found.notes}


def blocked_by(found: Check) -> str:
    assert found.outcome is OPEN
    assert found.inputs.is_blocked
    assert found.inputs.to_label == 0
    return found.notes[0].kind


# What needs no label ------------------------------------------------------------------------------


def test_inputs_with_equal_replies_alone_are_unchanged():
    found = check(compared(1_000, differ=0))

    assert (found.outcome, found.is_unchanged, found.n) == (PASSED, True, 1_000)


def test_equal_inputs_do_not_excuse_labelled_cases_that_got_worse():
    before, after = case_samples([1.0] * 200), case_samples([0.0] * 40 + [1.0] * 160)

    found = check(compared(200, differ=0), before, after)

    assert (found.outcome, found.is_unchanged) == (FAILED, False)
    assert found.change == pytest.approx(-40 / 400)


def test_few_differences_pass_without_a_label_as_if_all_were_lost():
    found = check(compared(1_000, differ=10))

    assert (found.outcome, found.change, found.inputs.is_bound) == (PASSED, -0.01, True)


@pytest.mark.parametrize(
    ("count", "draw", "answer"), [(8, "earlier", "both"), (30, None, "unknown")]
)
def test_a_change_is_a_bound_as_long_as_no_label_of_the_draw_tells_anything(count, draw, answer):
    replies = compared(300, differ=60)
    labels = pair_labels(replies, count, every(answer), **({"draw": draw} if draw else {}))

    found = check(with_labels(replies, labels)).inputs

    assert (found.known + found.labelled, found.is_bound) == (count, True)


def test_fewer_than_ten_inputs_that_differ_from_each_other_show_nothing():
    few, enough = (check(compared(n, differ=1), margin=0.9) for n in (9, 10))

    assert (few.outcome, enough.outcome) == (OPEN, PASSED)


# Looks --------------------------------------------------------------------------------------------


def test_without_labels_many_differences_are_open_and_the_next_look_is_named():
    found = check(compared(1_000, differ=50), case_samples([1.0] * 130), case_samples([1.0] * 130))

    inputs = found.inputs
    assert (found.outcome, found.n, inputs.cases) == (OPEN, 1_130, 130)
    assert (inputs.inputs, inputs.equal, inputs.differing, inputs.labelled) == (1_000, 950, 50, 0)
    assert (inputs.to_label, inputs.to_last, inputs.looks) == (10, 50, 5)
    assert 0.0 <= inputs.chance < 0.5 < inputs.chance_at_last


def test_the_first_look_that_decides_counts_and_later_labels_change_nothing():
    start = compared(1_000, differ=50)
    passed = check(labelled(start, 30, EVEN))
    later = check(labelled(labelled(start, 30, EVEN), 20, every("old")))

    assert (passed.outcome, passed.inputs.look, passed.inputs.labelled) == (PASSED, 3, 30)
    assert (later.outcome, later.inputs.look, later.change) == (PASSED, 3, passed.change)


def test_labels_between_two_looks_wait_for_the_second_one():
    found = check(labelled(compared(1_000, differ=50), 13, every("old", "both")))

    assert (found.outcome, found.inputs.look) == (OPEN, 1)
    assert (found.inputs.labelled, found.inputs.to_label) == (13, 7)
    assert NoteKind.LABELS_WAIT in kinds(found)


def test_labels_of_a_worse_variant_fail_it():
    found = check(labelled(compared(1_000, differ=100), 60, every("old")))

    assert found.outcome is FAILED
    assert found.change == pytest.approx(-0.1)
    assert (found.inputs.better, found.inputs.worse) == (0, found.inputs.labelled)


def test_with_every_label_the_test_is_that_of_counted_cases():
    found = check(labelled(compared(400, differ=40), 40, every("old", "new", "both")), margin=0.02)
    changes = [-1.0] * 14 + [1.0] * 13 + [0.0] * 373
    counted = check_drop(
        case_samples([max(-one, 0.0) for one in changes]),
        case_samples([max(one, 0.0) for one in changes], "y"),
        DropRule(against="old", margin=0.02, levels=Levels()),
    )

    assert found.change == pytest.approx(-1 / 400)
    assert (found.low, found.high) == pytest.approx((counted.low, counted.high))
    assert (found.p_pass, found.p_fail) == pytest.approx((counted.p_pass, counted.p_fail))


def test_a_declared_number_of_labels_ends_the_looks():
    start = compared(inputs_of(1_000, most_labels=20), differ=100)
    found = check(labelled(start, 40, every("old", "new", "new", "old", "old")))

    assert blocked_by(found) == NoteKind.LABELS_USED_UP
    assert (found.inputs.looks, found.inputs.look) == (5, 5)


def test_labels_of_an_earlier_draw_are_no_sample_of_this_one():
    old = labelled(compared(1_000, differ=30), 30, every("both"))
    now = with_labels(compared(1_000, differ=80), old.inputs.labels)
    found = check(now)

    assert (found.inputs.known, found.inputs.labelled) == (30, 0)
    assert found.inputs.to_label == 10
    assert found.change == pytest.approx(-50 / 1_000)


def test_equal_inputs_take_one_label_and_count_as_often_as_they_are_asked():
    asked = [f"Where is parcel {n}?" for n in range(900)] + ["Where is parcel 0?"] * 100
    inputs = inputs_of(asked)
    texts = {0, *range(900, 1_000), *range(1, 20)}
    replies = InputReplies(
        inputs,
        replied("old", inputs.cases, lambda _: "late"),
        replied("new", inputs.cases, lambda at: "lost" if at in texts else "late"),
    )
    found = check(labelled(replies, 20, every("old")))

    assert (found.inputs.differing, found.inputs.equal) == (20, 880)
    assert found.change == pytest.approx(-120 / 1_000)


# What labels are worth ----------------------------------------------------------------------------


def test_labels_that_cannot_say_do_not_end_the_labelling_of_an_open_check():
    found = check(labelled(compared(1_000, differ=50), 5, every("both", "unknown")))

    assert (found.outcome, found.inputs.is_blocked) == (OPEN, False)
    assert found.inputs.to_label > 0
    assert NoteKind.LABELS_CANNOT_SAY in kinds(found)


def test_labels_that_cannot_say_keep_a_check_open_if_they_could_turn_it():
    start = compared(1_000, differ=50)
    few = check(labelled(start, 50, every("both", *["both"] * 15, "unknown")))
    turning = check(
        labelled(start, 50, every("old", "old", "new", "old", "both", "old", "both")), margin=0.04
    )
    many = check(labelled(start, 50, every("both", "both", "unknown")))

    near = check(
        labelled(start, 50, lambda at: "unknown" if at == 5 else every("old", "both")(at)),
        margin=0.025,
    )

    assert few.outcome is PASSED
    assert turning.outcome is PASSED
    assert blocked_by(near) == NoteKind.LABELS_COULD_TURN
    assert near.notes[0].values == {"n": 1, "of": 50}
    assert blocked_by(many) == NoteKind.LABELS_CANNOT_SAY


def test_labels_that_contradict_themselves_decide_nothing():
    start = labelled(compared(1_000, differ=50), 20, EVEN)
    turned = [
        replace(one, again=True, first=one.second, second=one.first)
        for one in start.inputs.labels[:10]
    ]
    unsure = [
        replace(one, again=True, answer=PairAnswer.UNKNOWN) for one in start.inputs.labels[10:]
    ]
    found = check(with_labels(start, [*turned, *unsure]))

    assert blocked_by(found) == NoteKind.LABELS_CONTRADICT
    assert found.notes[0].values == {"n": 6, "of": 10}


def test_people_who_agree_are_counted_and_their_majority_is_the_truth():
    start = labelled(compared(1_000, differ=50), 20, every("both"))
    other = pair_labels(compared(1_000, 50), 20, every("both"), by="bob")
    found = check(with_labels(start, other))

    (agree,) = (note for note in found.notes if note.kind == NoteKind.LABELLERS_AGREE)
    assert agree.values == {"people": 2, "n": 40, "of": 40}
    assert found.outcome is PASSED


def test_labels_of_a_judge_count_only_beside_labels_of_people():
    start = compared(4_000, differ=200)
    judge = pair_labels(start, 200, EVEN, by="judge", judge=True)
    people = pair_labels(start, PAIRS_FOR_JUDGE, EVEN)
    alone = check(with_labels(start, judge))
    both = check(with_labels(start, (*judge, *people)), margin=0.04)

    assert (alone.outcome, alone.inputs.labelled) == (OPEN, 0)
    (needs,) = (note for note in alone.notes if note.kind == NoteKind.JUDGE_NEEDS_LABELS)
    assert needs.values == {"n": 200, "missing": PAIRS_FOR_JUDGE}
    assert both.outcome is PASSED
    (shows,) = (note for note in both.notes if note.kind == NoteKind.JUDGE_LABELS)
    assert 0.5 < shows.values["share"] < 1.0


def test_a_pair_of_which_a_judge_cannot_say_is_not_shared_with_people():
    start = compared(4_000, differ=200)
    unsure = pair_labels(
        start, 200, lambda at: "unknown" if at == 1 else EVEN(at), by="m", judge=True
    )
    people = pair_labels(start, PAIRS_FOR_JUDGE, EVEN)
    found = check(with_labels(start, (*unsure, *people)))

    (needs,) = (note for note in found.notes if note.kind == NoteKind.JUDGE_NEEDS_LABELS)
    assert needs.values["missing"] == 1


def test_a_judge_that_sees_the_opposite_of_people_counts_for_nothing():
    start = compared(4_000, differ=200)
    judge = pair_labels(start, 200, every("new"), by="m", judge=True)
    people = pair_labels(start, PAIRS_FOR_JUDGE, every("old"))
    found = check(with_labels(start, (*judge, *people)))

    assert NoteKind.JUDGE_SHOWS_NO_CHANGE in kinds(found)
    assert (found.outcome, found.inputs.better) == (FAILED, 0)


# Refusals -----------------------------------------------------------------------------------------


def test_replies_that_nearly_all_differ_are_not_worth_labels():
    found = check(labelled(compared(100, differ=60), 20, every("both")))

    assert blocked_by(found) == NoteKind.NEARLY_ALL_DIFFER


def test_labels_of_other_replies_are_noted_and_block_if_none_fits():
    start = labelled(compared(1_000, differ=50), 10, every("both"))
    strange = replace(start.inputs.labels[0], first="gone", second="went", place=1)
    found, foreign = (
        check(with_labels(start, [strange])),
        check(with_labels(compared(1_000, differ=50), [strange])),
    )

    (note,) = (note for note in found.notes if note.kind == NoteKind.LABELS_OF_NO_REPLY)
    assert (note.values["n"], note.values["of"]) == (1, 11)
    assert not found.inputs.is_blocked
    assert blocked_by(foreign) == NoteKind.LABELS_OF_NO_REPLY
    # New inputs leave the labels of older ones behind, which change no verdict that needs none.
    assert check(with_labels(compared(1_000, differ=0), [strange])).is_unchanged


@every_row(
    "changed, what",
    [({"instruction": "Is it polite?"}, "instruction"), ({"score": "numeric"}, "score")],
)
def test_labels_of_another_instruction_or_score_are_stale(changed, what):
    start = labelled(compared(1_000, differ=50), 50, every("both"))
    more = {key: Rule(value) if key == "score" else value for key, value in changed.items()}
    found = check(replace(start, inputs=replace(start.inputs, **more)))

    (note,) = (note for note in found.notes if note.kind == NoteKind.LABELS_STALE)
    assert (note.values["n"], note.values["changed"]) == (50, what)
    assert (found.outcome, found.inputs.labelled) == (OPEN, 0)


def test_labels_behind_a_gap_do_not_count_and_the_place_is_named():
    start = compared(1_000, differ=50)
    labels = pair_labels(start, 30, every("both"))
    found = check(with_labels(start, [one for one in labels if one.place != 8]))

    (note,) = (note for note in found.notes if note.kind == NoteKind.LABELS_BEHIND_GAP)
    assert (note.values["n"], note.values["place"]) == (22, 8)
    assert note.values["id"] == labels[7].id
    assert found.inputs.labelled == 7


def test_missing_replies_keep_a_check_open_if_many_or_if_they_could_turn_it():
    few = check(compared(1_000, differ=0, missing=5))
    turning = check(compared(1_000, differ=10, missing=12))
    many = check(compared(1_000, differ=0, missing=60))

    assert (few.outcome, few.is_unchanged, few.missing) == (PASSED, False, 5)
    assert blocked_by(turning) == NoteKind.MISSING_COULD_TURN
    assert blocked_by(many) == NoteKind.MISSING


def test_repeated_replies_say_how_often_the_baseline_differs_from_itself():
    inputs = inputs_of(100)
    replies = InputReplies(
        inputs,
        replied("old", inputs.cases, lambda at: ["late", "lost" if at < 20 else "late"]),
        replied("new", inputs.cases, lambda at: ["late", "lost" if at < 20 else "late"]),
    )
    found = check(replies)

    (note,) = (note for note in found.notes if note.kind == NoteKind.BASELINE_UNSTEADY)
    assert note.values == {"share": 0.2}
    assert found.outcome is PASSED
