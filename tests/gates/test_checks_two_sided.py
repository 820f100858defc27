"""Limits on both sides: neither a drop nor a rise of the limit may be possible."""

from __future__ import annotations

import numpy as np
import pytest
from ftgate_testing.notes import kinds
from ftgate_testing.score_columns import case_samples
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.checks import DropRule, check_drop, check_point
from pytest_ftgate.gates.design import Levels
from pytest_ftgate.gates.notes import NoteKind
from pytest_ftgate.gates.verdict import Check, Outcome
from pytest_ftgate.stats.paired import p_drop, p_noninferior, paired_counts
from pytest_ftgate.stats.power import cases_needed, certifiable_margin

PASSED, FAILED, OPEN = Outcome.PASSED, Outcome.FAILED, Outcome.INCONCLUSIVE


def values(n, regressed, fixed, right=0.7):
    """Return the values of both sides."""
    before = np.zeros(n)
    before[: round(right * n)] = 1.0
    after = before.copy()
    after[:regressed] = 0.0
    after[n - fixed :] = 1.0
    return before, after


def change(n, regressed, fixed, *, two_sided=True, margin=0.05, missing=0, **rule) -> Check:
    before, after = values(n, regressed, fixed)
    after[n - missing :] = np.nan
    given = {"against": "current", "margin": margin, "levels": Levels(), **rule}
    sides = (case_samples(side, name) for name, side in (("b", before), ("a", after)))
    return check_drop(*sides, DropRule(**given, two_sided=two_sided))


@every_row(
    ("counts", "two_sided", "outcome"),
    [
        # cases, regressed, fixed: the rise is nothing to a limit on drops.
        ((400, 2, 4), True, PASSED),
        ((400, 2, 50), True, FAILED),
        ((400, 2, 50), False, PASSED),
        ((400, 50, 2), True, FAILED),
        ((400, 50, 2), False, FAILED),
        # The interval reaches over the limit on one side, and on the other.
        ((400, 2, 18), True, OPEN),
        ((400, 18, 2), True, OPEN),
        ((60, 2, 2), True, OPEN),
    ],
)
def test_one_side_is_enough_to_fail_and_both_must_pass(counts, two_sided, outcome):
    assert change(*counts, two_sided=two_sided).outcome is outcome


@every_row(("regressed", "fixed"), [(2, 14), (14, 2), (5, 5)])
def test_the_figures_are_those_of_the_side_that_decides(regressed, fixed):
    check = change(400, regressed, fixed)
    there, back = values(400, regressed, fixed), values(400, fixed, regressed)
    sides = [paired_counts(*there), paired_counts(*there[::-1])]

    assert check.p_pass == max(p_noninferior(side, 0.05) for side in sides)
    assert check.p_fail == min(p_drop(side) for side in sides)
    mirrored = change(400, fixed, regressed)
    assert (check.p_pass, check.p_fail) == pytest.approx((mirrored.p_pass, mirrored.p_fail))
    assert (check.low, check.high) == pytest.approx((-mirrored.high, -mirrored.low))
    assert check.needed == mirrored.needed
    assert len(back) == 2


def test_a_rise_is_told_apart_from_a_drop_and_a_small_one_is_named():
    small, drop = change(2_000, 2, 30), change(2_000, 30, 2)

    assert (small.outcome, small.is_rise, drop.is_rise) == (PASSED, True, False)
    assert kinds(small.notes) == [NoteKind.SMALL_RISE]
    assert kinds(drop.notes) == [NoteKind.SMALL_DROP]
    assert not change(2_000, 2, 30, two_sided=False).is_rise


def test_an_interval_beyond_either_limit_is_beyond():
    assert change(400, 2, 60).is_beyond
    assert change(400, 60, 2).is_beyond
    assert not change(400, 2, 60, two_sided=False).is_beyond


def test_more_cases_are_needed_so_that_both_sides_pass_nine_times_in_ten():
    one, both = (change(60, 2, 2, two_sided=sided) for sided in (False, True))
    shared = one.discordance

    assert both.certifiable == certifiable_margin(60, shared, 0.95, 0.05)
    assert both.needed_unchanged == cases_needed(0.05, shared, 0.95, 0.05) - 60
    assert one.certifiable < both.certifiable


def test_missing_replies_that_could_be_rises_keep_the_check_open():
    assert change(400, 2, 4, missing=3).outcome is PASSED
    assert change(400, 0, 7, missing=12).outcome is OPEN


@every_row(
    ("regressed", "fixed", "outcome", "shown"),
    [(4, 4, PASSED, None), (4, 30, FAILED, 0.07), (30, 4, FAILED, 0.07)],
)
def test_a_plain_threshold_holds_on_both_sides(regressed, fixed, outcome, shown):
    check = check_point(change(400, regressed, fixed))

    assert (check.outcome, check.shown_limit) == (outcome, shown)


def test_the_limit_that_the_same_replies_pass_holds_on_both_sides():
    shown = change(400, 2, 50).shown_limit

    assert change(400, 2, 50, margin=shown).outcome is PASSED
    assert change(400, 2, 50, margin=shown - 0.01).outcome is not PASSED
