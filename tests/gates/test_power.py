"""What the cases of a gate can show, counted as the verdict counts them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from ftgate_testing.score_columns import case, suite, variant_scores
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.checks import drop_outcome
from pytest_ftgate.gates.design import (
    LAST_LOOK_MISS,
    Design,
    Levels,
    design_of,
    design_of_rows,
    suite_repeats,
)
from pytest_ftgate.gates.feasibility import smallest_limit
from pytest_ftgate.gates.measures import pairs_of_scores
from pytest_ftgate.gates.notes import NoteKind, note
from pytest_ftgate.gates.power import (
    PowerEstimate,
    assumed_discordance,
    build_odds,
    coarse_limit,
    default_limit,
    design_cases_needed,
    design_certifiable_limit,
    design_pass_probability,
    estimate_minimum_power,
    estimate_power,
    grouped_cases_needed,
    needed_repeats,
    smallest_uneven_limit,
)
from pytest_ftgate.gates.rates import Comparison, evaluate_rate
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.stats.paired import change_counts, is_noninferior, paired_counts
from pytest_ftgate.stats.power import (
    cases_needed,
    certifiable_margin,
    minimum_cases_needed,
    minimum_pass_probability,
    pass_probability,
)
from pytest_ftgate.stats.rates import mean_score, p_reaches
from pytest_ftgate.suite.gate_kinds import ForgettingGate, RateGate


def design(n: int, **keys) -> Design:
    return Design(**{"weights": (1.0,) * n, "groups": tuple(range(n)), **keys})


HEAVY = design(200, weights=(10.0,) * 5 + (1.0,) * 195)
PAIRS = design(200, groups=tuple(number // 2 for number in range(200)))


def test_plain_cases_have_the_exact_probability():
    assert design_pass_probability(design(200), 0.1, 0.05) == pass_probability(200, 0.1, 0.0, 0.05)
    assert design_certifiable_limit(design(200), 0.1) == certifiable_margin(200, 0.1)


UNEVEN = (3.0,) * 4 + (1.0,) * 36


@every_row("weights", [[0.3, 0.1 * 3] * 50, [1e-10] * 100])
def test_weights_that_are_equal_but_for_rounding_are_counted_in_plan_and_verdict(weights):
    assert design_of_rows(weights, [*map(str, range(100))]).is_plain
    assert paired_counts([1.0] * 100, [1.0] * 100, weights=weights).countable


def test_weights_that_are_small_and_unequal_are_weights_in_plan_and_verdict():
    weights = [1e-10, 5e-10] * 50

    assert not design_of_rows(weights, [*map(str, range(100))]).is_plain
    assert not paired_counts([1.0] * 100, [1.0] * 100, weights=weights).countable


def test_the_limit_that_a_large_group_just_shows_is_passed():
    groups = (*[0] * 20, *range(1, 81))
    limit = smallest_limit(design(100, groups=groups))
    right = np.ones(100)

    assert limit == pytest.approx(0.19)
    assert is_noninferior(paired_counts(right, right, groups=groups), 0.19, 0.05)


@pytest.mark.parametrize(
    ("cases", "chance"),
    [
        (design(40, weights=UNEVEN), pytest.approx(0.3065, abs=1e-4)),
        (design(40, is_graded=True, repeats=(1, 3)), pytest.approx(0.6646, abs=1e-4)),
        (design(40, groups=tuple(number % 10 for number in range(40))), 0.105),
    ],
)
def test_the_chance_of_uneven_cases_has_a_formula_and_that_of_groups_a_thousand_draws(
    cases, chance
):
    assert design_pass_probability(cases, 0.2, 0.15) == chance


def test_what_uneven_cases_can_show_is_known_to_a_tenth_of_a_point():
    cases = design(40, weights=UNEVEN)

    assert design_certifiable_limit(cases, 0.2) == 0.2880859375
    assert design_certifiable_limit(design(40, weights=(39.0,) + (1.0,) * 39), 0.2) is None
    assert design_cases_needed(cases, 0.2, 0.15) == 148
    assert design_cases_needed(cases, 0.2, 0.34) == 40


@every_row(
    ("cases", "limit"),
    [
        (design(60, weights=(2.0,) * 10 + (1.0,) * 50), 0.0740),
        (
            design(60, weights=(2.0,) * 10 + (1.0,) * 50, groups=tuple(i // 2 for i in range(60))),
            0.1288,
        ),
        (design(200, groups=tuple(number % 9 for number in range(200))), 1.0),
        (design(100, is_graded=True), 0.0295),
        (PAIRS, 0.0295),
        (replace(PAIRS, miss=0.04), 0.0317),
        (design(4, weights=(9.0, 1.0, 1.0, 1.0)), 0.8052),
        (design(15, groups=(*[0] * 5, *range(1, 11)), miss=LAST_LOOK_MISS), 0.3678),
    ],
)
def test_the_smallest_limit_of_uneven_cases_where_no_reply_changes(cases, limit):
    assert smallest_uneven_limit(cases) == pytest.approx(limit, abs=1e-4)


def test_related_cases_take_as_many_as_their_groups_need():
    assert [grouped_cases_needed(PAIRS, limit) for limit in (0.05, 0.01)] == [117, 597]
    assert grouped_cases_needed(replace(PAIRS, miss=0.01), 0.05) > 200
    one_large = design(150, groups=(*[0] * 81, *range(1, 70)))
    assert [grouped_cases_needed(one_large, limit) for limit in (0.6, 0.3)] == [80, 555]


def test_a_repeated_baseline_adds_power():
    once, often = (design(200, repeats=(count, 1)) for count in (1, 10))

    assert (
        design_pass_probability(often, 0.1, 0.05) > design_pass_probability(once, 0.1, 0.05) + 0.1
    )


@every_row("cases", [design(60), design(150), design(900), HEAVY, PAIRS])
def test_the_smallest_limit_is_the_least_that_the_verdict_passes_without_a_change(cases):
    labels = None if cases.units == cases.n else np.array(cases.groups)
    right = np.ones(cases.n)
    pairs = paired_counts(right, right, groups=labels, weights=cases.weights)
    limit = smallest_limit(cases)

    assert drop_outcome(pairs, limit + 1e-4, Levels()) is Outcome.PASSED
    assert drop_outcome(pairs, limit - 1e-3, Levels()) is Outcome.INCONCLUSIVE


DROP = RateGate(kind="accuracy", line=1, max_drop=0.05)
OPEN = replace(DROP, max_drop=None)
OF_FORMAT = replace(OPEN, kind="format")


@every_row(
    ("cases", "varies", "figures", "repeats"),
    [
        (PAIRS, False, (100, 0.0957, 0.467, 533), None),
        (PAIRS, True, (100, 0.0957, 0.467, 533), 4),
        (design(200), True, (200, 0.0684, 0.6948, 162), 2),
        (design(2000), True, (2000, 0.0208, 1.0, 0), None),
    ],
)
def test_an_estimate_counts_related_cases_and_names_what_is_missing(
    cases, varies, figures, repeats
):
    units, certifiable, chance, needed = figures

    assert estimate_power(DROP, "new", cases, 0.1, varies=varies) == PowerEstimate(
        gate="accuracy", variant="new", cases=cases.n, units=units, margin=0.05, discordance=0.1,
        certifiable=pytest.approx(certifiable, abs=1e-4),
        pass_probability=pytest.approx(chance, abs=1e-4), needed=needed, repeats=repeats,
    )  # fmt: skip


def graded(spread):
    """Return the estimate for a variant whose graded scores change by up to *spread*."""
    rng = np.random.default_rng(1)
    before = rng.uniform(0.4, 0.6, 200)
    measured = paired_counts(before, before + rng.uniform(-spread, spread, 200))
    gate = replace(DROP, has_default_limit=True)
    return estimate_power(gate, "new", design(200), 0.1, varies=True, measured=measured)


def test_measured_changes_of_graded_scores_replace_the_assumption_and_few_show_no_limit():
    sure, doubtful = graded(0.05), graded(0.4)

    assert (sure.measured, sure.has_default_limit) == (True, True)
    assert (sure.needed, sure.repeats) == (0, None)
    assert sure.pass_probability > 0.99
    assert doubtful.pass_probability == pytest.approx(0.8376, abs=1e-3)
    assert doubtful.needed == pytest.approx(60, abs=60)
    assert doubtful.discordance > 0.9
    assert doubtful.certifiable > 0.05

    measured = paired_counts([0.1, 0.9, 0.5], [0.9, 0.1, 0.5])

    found = estimate_power(DROP, "new", design(3), 0.1, varies=False, measured=measured)

    assert found.certifiable is None
    assert found.needed > 0


def test_measured_changes_of_counted_replies_give_their_discordance():
    before = np.array([1.0] * 90 + [0.0] * 10)
    measured = paired_counts(before, np.roll(before, 2))

    found = estimate_power(DROP, "new", design(100), 0.3, varies=False, measured=measured)

    # Four of a hundred cases change, and half a case of each kind is added.
    assert found.discordance == pytest.approx(0.04, abs=0.011)
    assert found.measured
    assert found.pass_probability == design_pass_probability(design(100), found.discordance, 0.05)


def side(name, values, *, repeats=1, group=None, weights=(1.0,)):
    """Return scores of cases: so many replies to each, *group* cases in a group."""
    made = variant_scores(name, values, text="refund" if name == "new" else "late_delivery")
    rows = {}
    for number, (key, row) in enumerate(made.results.items()):
        case = replace(
            row.case,
            group=None if group is None else f"g{number // group}",
            weight=weights[number % len(weights)],
        )
        rows[key] = replace(
            row, case=case, replies=row.replies * repeats, scores=row.scores * repeats
        )
    return VariantScores(name, rows)


@every_row(
    ("wrong", "keys"),
    [
        ([0.0] * 4, {}),
        ([0.0] * 4, {"repeats": 3}),
        ([0.0] * 4, {"group": 2}),
        ([0.0] * 4, {"weights": (1.0, 2.0)}),
        ([0.5] * 8, {}),
        ([0.5] * 8, {"group": 4}),
    ],
    ids=["plain", "repeated", "in groups", "weighted", "graded", "graded in groups"],
)
def test_power_and_verdict_name_as_many_cases_of_the_same_replies(wrong, keys):
    values = [*wrong, *[1.0] * (100 - len(wrong))]
    after, before = side("new", values, **keys), side("current", [1.0] * 100, **keys)
    of = replace(suite(DROP), cases=tuple(row.case for row in after.results.values()))
    repeats = keys.get("repeats", 1)

    verdict = evaluate_rate(of, DROP, Comparison(after, before))
    measured = pairs_of_scores(DROP, before, after)
    cases = design_of(of, DROP, (repeats, repeats))
    estimate = estimate_power(DROP, "new", cases, 0.1, varies=False, measured=measured)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert estimate.needed == verdict.check.needed_unchanged > 0
    assert estimate.certifiable == verdict.check.certifiable
    (told,) = (one.values for one in verdict.notes if one.kind == NoteKind.UNCHANGED_PASSES)
    assert told["check"] == estimate.pass_probability < 0.9
    assert (told["checks"], told["build"]) == build_odds([replace(estimate, checks=3)])


def test_without_a_limit_or_a_baseline_to_fall_from_there_is_nothing_to_estimate():
    measured = paired_counts(np.zeros(200), np.zeros(200))

    for known in (None, measured):
        found = estimate_power(DROP, "new", design(200), None, varies=True, measured=known)
        assert found == PowerEstimate(
            gate="accuracy", variant="new", cases=200, units=200, margin=0.05, discordance=None,
            measured=known is not None,
        )  # fmt: skip

    gate = replace(DROP, max_drop=None, min=0.8)

    assert estimate_power(gate, "new", design(200), 0.1, varies=True) == PowerEstimate(
        gate="accuracy", variant="new", cases=200, units=200
    )


def least(minimum, cases, measured=None) -> PowerEstimate:
    gate = RateGate(kind="accuracy", line=1, min=minimum)
    return estimate_minimum_power(gate, "new", cases, measured)


def right(count, of=60):
    return mean_score([1.0] * count + [0.0] * (of - count))


def test_a_minimum_has_the_power_of_the_measured_rate_and_names_the_cases_that_it_takes():
    estimate = least(0.60, design(60), right(52))

    assert (estimate.needed, estimate.measured) == (0, True)
    assert estimate.pass_probability > 0.99
    # Of 60 cases 9 in 10 such variants have 49 right or more.
    assert estimate.certifiable == 0.71

    estimate = least(0.80, design(60), right(52))

    assert estimate.needed == minimum_cases_needed(0.80, 52 / 60, 0.9) - 60


@every_row(
    ("minimum", "cases", "measured"),
    [
        (0.80, design(60), right(48)),
        (0.7499, design(60), right(45)),
        # Within rounding of the minimum.
        (0.80, design(100, is_graded=True), mean_score(np.linspace(0.7, 0.9, 100))),
    ],
)
def test_no_number_of_cases_is_named_where_none_or_millions_would_show_a_minimum(
    minimum, cases, measured
):
    assert least(minimum, cases, measured).needed is None


def test_a_minimum_without_replies_assumes_a_rate_above_it():
    assert least(0.80, design(60)) == PowerEstimate(
        gate="accuracy", variant="new", cases=60, units=60, minimum=0.80, rate=0.80 + 0.05,
        certifiable=0.67, pass_probability=pytest.approx(0.1848, abs=1e-4),
        needed=minimum_cases_needed(0.80, 0.85, 0.9) - 60,
    )  # fmt: skip


@every_row(
    ("minimum", "rate", "chance", "needed"),
    [(0.0, 0.05, 1.0, 0), (0.01, 0.06, 0.7060, 50), (0.99, 1.0, 0.0, 239), (1.0, 1.0, 0.0, None)],
)
def test_a_minimum_at_either_end_of_the_scale(minimum, rate, chance, needed):
    found = least(minimum, design(60))

    assert found.rate == pytest.approx(rate)
    assert found.pass_probability == pytest.approx(chance, abs=1e-4)
    assert found.needed == needed


@every_row(("minimum", "count", "shown"), [(0.99, 400, 0.99), (0.01, 300, 0.02), (0.01, 110, 0.01)])
def test_the_largest_and_the_smallest_minimum_that_cases_can_show_are_whole_points(
    minimum, count, shown
):
    assert least(minimum, design(count)).certifiable == shown


def test_related_cases_take_more_of_them_to_show_a_minimum():
    found = least(0.80, PAIRS)

    assert (found.cases, found.units, found.certifiable) == (200, 100, 0.72)
    assert found.needed == 2 * minimum_cases_needed(0.80, 0.85, 0.9) - 200


@every_row(
    ("cases", "most"),
    [
        (design(220, groups=tuple(number for number in range(40) for _ in range(1 + number % 10))),
         minimum_pass_probability(40, 0.80, 0.85)),
        (design(200, weights=(5.0,) * 20 + (1.0,) * 180),
         minimum_pass_probability(200, 0.80, 0.85)),
    ],
)  # fmt: skip
def test_a_minimum_of_uneven_units_passes_as_often_as_its_verdict_does(cases, most):
    rng, groups, weights = np.random.default_rng(3), np.array(cases.groups), np.array(cases.weights)
    rights = (rng.random((400, cases.units)) < 0.85)[:, groups].astype(float)
    rates = [mean_score(right, groups=groups, weights=weights) for right in rights]
    passed = np.mean([p_reaches(rate, 0.80) <= 0.05 for rate in rates])

    found = least(0.80, cases)

    assert found.pass_probability == pytest.approx(passed, abs=0.06)
    assert found.pass_probability < most - 0.06
    assert found.needed > least(0.80, design(cases.units)).needed * cases.n / cases.units


def test_a_minimum_of_graded_scores_has_the_power_of_their_spread():
    scores = mean_score(np.linspace(0.7, 0.9, 100))

    enough, short = (
        least(minimum, design(100, is_graded=True), scores) for minimum in (0.75, 0.79)
    )

    assert enough.pass_probability > 0.95
    assert (enough.minimum, enough.rate, enough.needed) == (0.75, pytest.approx(0.8), 0)
    assert enough.certifiable == 0.76
    assert short.pass_probability == pytest.approx(2.64e-3, abs=1e-5)
    assert short.needed == 418


def test_few_cases_show_no_limit_and_those_of_few_groups_take_as_many_as_plain_ones():
    assert design_certifiable_limit(design(2), 0.9) is None

    nine = design(180, groups=tuple(number // 20 for number in range(180)))

    assert design_cases_needed(nine, 0.1, 0.05) == math.ceil(cases_needed(0.05, 0.1) * 180 / 9)
    assert design_pass_probability(nine, 0.1, 0.5) == 0.0
    assert design_certifiable_limit(nine, 0.1) is None
    assert smallest_uneven_limit(nine) == 1.0


def asked(cases, *gates, repeats=None, **sampling):
    """Return a suite whose variants are asked so."""
    rows = tuple(case(f"c{n}") for n in range(cases))
    made = suite(*gates)
    variants = {name: replace(one, sampling=sampling) for name, one in made.variants.items()}
    return replace(made, cases=rows, variants=variants, repeats=repeats)


@every_row(
    ("cases", "varied", "steady"),
    [
        (9, (None, None), (None, None)),
        (10, (None, None), (0.4, None)),
        (14, (0.39, None), (0.39, 0.39)),
        (30, (0.27, 0.28), (0.21, 0.24)),
        (50, (0.18, 0.2), (0.15, 0.16)),
        (75, (0.15, 0.16), (0.12, 0.13)),
        (100, (0.12, 0.14), (0.1, 0.11)),
        (150, (0.1, 0.11), (0.08, 0.08)),
        (200, (0.09, 0.09), (0.07, 0.07)),
        (500, (0.06, 0.06), (0.04, 0.04)),
        (1000, (0.04, 0.04), (0.03, 0.03)),
    ],
)
def test_a_default_limit_is_the_smallest_in_whole_points_that_builds_pass(cases, varied, steady):
    for limits, sampling in ((varied, {"temperature": 1.0}), (steady, {})):
        for limit, gates in zip(limits, ((OPEN,), (OPEN, OF_FORMAT)), strict=True):
            assert default_limit(asked(cases, *gates, **sampling), OPEN) == limit


@pytest.mark.slow
@every_row(
    ("cases", "repeats", "disagreement", "least"),
    [
        (n, repeats, disagreement, least)
        for n in (30, 100, 199, 200)
        for repeats in (1, 2, 10)
        for disagreement, least in ((0.1, 0.9), (0.2, 0.7))
    ],
)
def test_unchanged_builds_pass_with_any_number_of_cases_and_repeats(
    cases, repeats, disagreement, least
):
    """No case is as doubtful as the plan supposes: each is wrong as often."""
    made = asked(cases, OPEN, repeats=repeats, temperature=1.0)
    limit, rng = default_limit(made, OPEN), np.random.default_rng(7)
    wrong = (1.0 - math.sqrt(1.0 - 2.0 * disagreement)) / 2.0
    now, *before = rng.binomial(repeats, 1.0 - wrong, (4, 400, cases)) / repeats
    counts = (change_counts(one, now, (float(repeats),) * 2) for one in before)
    passed = np.all([is_noninferior(one, limit, 0.05) for one in counts], axis=0)

    assert np.mean(passed) >= least - 2.0 * math.sqrt(least * (1.0 - least) / 400)


@every_row(
    ("cases", "limits"),
    [
        (50, [0.18, 0.14, 0.1]),
        (100, [0.12, 0.1, 0.1]),
        (199, [0.09] * 3),
        (200, [0.09, 0.07, 0.03]),
    ],
)
def test_repeats_of_few_cases_make_no_default_limit_smaller_than_ten_points(cases, limits):
    made = [asked(cases, OPEN, repeats=count, temperature=1.0) for count in (1, 2, 10)]

    assert [default_limit(one, OPEN) for one in made] == limits


def test_the_odds_of_a_build_need_those_of_each_gate():
    of = {"gate": "accuracy", "variant": "new", "cases": 100, "units": 100}
    known = PowerEstimate(**of, margin=0.1, pass_probability=0.9, checks=3)
    least = PowerEstimate(**of, minimum=0.8, pass_probability=0.5)
    unknown = replace(known, pass_probability=None)

    assert build_odds([known, least]) == (3, pytest.approx(0.9**3))
    assert build_odds([known, known, least]) == (6, pytest.approx(1 - 2 * (1 - 0.9**3)))
    assert build_odds([known, unknown]) is None
    assert build_odds([least]) is None


@every_row("graded", [False, True])
def test_replies_that_are_known_are_planned_at_the_level_of_the_gate(graded):
    before = np.array([0.9 if graded else 1.0] * 196 + [0.0] * 4)
    measured, early = paired_counts(before, before[::-1]), design(200, miss=LAST_LOOK_MISS)

    at, once = (
        estimate_power(DROP, "new", cases, 0.1, varies=False, measured=measured)
        for cases in (early, design(200))
    )

    assert at.pass_probability < once.pass_probability
    assert at.certifiable > once.certifiable
    assert at.needed >= once.needed


@every_row(
    ("lost", "gained", "noise"),
    [
        # Disagreement that chance explains is noise.
        (5, 5, 10), (4, 0, 4), (10, 3, 13),
        # Where it explains less, twice the smaller number is.
        (60, 4, 8), (4, 60, 8), (20, 0, 0),
    ],
)  # fmt: skip
def test_the_change_of_a_variant_that_differs_is_not_its_noise(lost, gained, noise):
    before = np.array([1.0] * 70 + [0.0] * 130)
    after = before.copy()
    after[:lost], after[70 : 70 + gained] = 0.0, 1.0
    measured = paired_counts(before, after)

    found = estimate_power(DROP, "new", design(200), 0.1, varies=False, measured=measured)

    # One case of the ten that are added disagrees.
    assert found.discordance == pytest.approx((noise + 1) / 210)
    assert found.pass_probability == pass_probability(200, found.discordance, 0.0, 0.05)


@every_row(
    ("repeats", "cases", "needed", "limits"),
    [
        (1, 30, (50, 92, 285), [0.21, 0.15, 0.1, 0.05]),
        (3, 30, (36, 80, 320), [0.17, 0.15, 0.1, 0.04]),
        # So many cases with one reply show it, or so many unrelated ones with repeats.
        (3, 10, (60, 135, 508), [0.37, 0.11, 0.1, 0.03]),
        (5, 45, (45, 48, 200), [0.11, 0.11, 0.1, 0.04]),
    ],
)
def test_a_coarse_default_limit_says_how_many_cases_rule_out_smaller_drops(
    repeats, cases, needed, limits
):
    def made(count):
        varied = {"repeats": repeats, "temperature": 1.0} if repeats > 1 else {}
        return asked(count, OPEN, **varied)

    finer = dict(zip(("for_15", "for_10", "for_5"), needed, strict=True))
    values = {"cases": cases, "unrelated": 0, "points": 20, "none": 0, **finer}
    assert [*coarse_limit(made(cases), OPEN, 0.2)] == [note(NoteKind.COARSE_LIMIT, **values)]
    (none,) = coarse_limit(made(cases), OPEN, None)
    assert none.values == {**values, "points": 0, "none": 1}
    assert [default_limit(made(n), OPEN) for n in (cases, *needed)] == limits
    assert [*coarse_limit(made(cases), OPEN, 0.15)] == []


def test_repeats_lower_a_default_limit_but_not_that_of_the_skills():
    rows = tuple(case(f"c{n}", skill="facts") for n in range(60))
    skills = ForgettingGate(line=1, cases=rows)
    once, often = (asked(60, OPEN, skills, repeats=count, temperature=1.0) for count in (1, 8))

    assert [default_limit(made, OPEN) for made in (once, often)] == [0.18, 0.1]
    assert [default_limit(made, skills) for made in (once, often)] == [0.18, 0.18]


@every_row(
    ("sampling", "discordance"),
    [({}, 0.05), ({"temperature": 0}, 0.05), ({"temperature": 0.5}, 0.1)],
)
def test_the_discordance_is_that_of_steady_replies_where_all_are_said_to_be(sampling, discordance):
    made = asked(5, DROP, **sampling)
    hosted, recorded = (
        {name: replace(one, provider=provider) for name, one in made.variants.items()}
        for provider in ("openai", "recorded")
    )

    assert assumed_discordance(made) == discordance
    steady = 0.05 if sampling.get("temperature") == 0 else 0.1
    assert assumed_discordance(replace(made, variants=hosted)) == steady
    assert assumed_discordance(replace(made, variants=recorded)) == 0.1
    one = {**made.variants, "new": hosted["new"]}
    assert assumed_discordance(replace(made, variants=one)) == max(discordance, steady)


def test_each_side_is_repeated_as_declared_where_its_replies_vary():
    made = asked(5, DROP, temperature=1.0)
    steady = {**made.variants, "new": replace(made.variants["new"], sampling={})}
    alone = {"current": made.variants["current"]}

    other = {**made.variants, "third": replace(steady["new"], name="third")}

    for known, sides in (
        ({}, (1, 1)), ({"repeats": 3}, (3, 3)),
        ({"repeats": 3, "variants": steady}, (3, 1)), ({"repeats": 3, "variants": alone}, (3, 3)),
        ({"repeats": 3, "variants": other}, (3, 1)),
    ):  # fmt: skip
        assert suite_repeats(replace(made, **known)) == sides


@every_row(
    ("cases", "more", "needed"),
    [(60, {"temperature": 1.0}, 7), (20, {"temperature": 1.0}, 10),
     (2000, {"temperature": 1.0}, 1), (60, {}, 1), (60, {"temperature": 1.0, "repeats": 4}, 4)],
)  # fmt: skip
def test_repeats_are_planned_where_replies_vary_and_nothing_is_declared(cases, more, needed):
    assert needed_repeats(asked(cases, DROP, **more)) == needed


def test_cases_in_two_groups_show_no_limit_at_all():
    made = asked(200, OPEN)
    cases = [replace(one, group=f"g{number % 2}") for number, one in enumerate(made.cases)]

    assert default_limit(replace(made, cases=tuple(cases)), OPEN) is None
