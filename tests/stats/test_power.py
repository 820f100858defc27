"""Sizes and chances: the tables of statistics.md 1.5, and simulation-free cross-checks."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from ftgate_testing.properties import examples
from ftgate_testing.tables import every_row
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_ftgate.stats.paired import (
    is_noninferior,
    paired_counts,
)
from pytest_ftgate.stats.power import (
    cases_needed,
    certifiable_margin,
    detectable_drop,
    fail_cases_needed,
    flip_rate,
    graded_cases_needed,
    graded_certifiable_margin,
    graded_detectable_drop,
    graded_pass_probability,
    minimum_cases_needed,
    minimum_pass_probability,
    pass_probability,
    point_rule_pass_probability,
)
from pytest_ftgate.stats.proportions import exact_noninferior_p

DISCORDANCES = (0.01, 0.02, 0.05, 0.10, 0.15, 0.20, 0.30)
#: By margin and discordance, the cases for a power of 80, 90 and 95 %. Where the exact test
#: judges, they come from an enumeration of it that shares no code with the package.
NEEDED = {
    0.01: "804/1063/1315 1327/1847/2307 3134/4340/5471 6211/8591/10854 9301/12869/16259"
    " 12378/17143/21661 18554/25698/32474",
    0.02: "255/328/422 398/530/655 810/1117/1409 1565/2170/2736 2331/3228/4080"
    " 3106/4291/5431 4649/6440/8124",
    0.03: "147/199/218 206/265/325 380/520/652 705/972/1229 1042/1440/1820"
    " 1381/1913/2417 2066/2858/3611",
    0.05: "93/93/118 93/118/147 158/210/260 263/362/454 382/525/660 501/691/876 745/1030/1301",
    0.10: "29/46/46 46/46/61 50/65/84 79/100/125 102/139/174 130/178/223 187/259/327",
}
SIZES = [
    (margin, discordance, power, int(n))
    for margin, row in NEEDED.items()
    for discordance, cell in zip(DISCORDANCES, row.split(), strict=True)
    for power, n in zip((0.8, 0.9, 0.95), cell.split("/"), strict=True)
]


@every_row(("margin", "discordance", "power", "n"), SIZES)
def test_published_number_of_cases_has_the_power_it_claims(margin, discordance, power, n):
    assert pass_probability(n, discordance, 0.0, margin) >= power - 1e-4


@pytest.mark.slow
@every_row(("margin", "discordance", "power", "n"), [size for size in SIZES if size[3] < 1300])
def test_cases_needed_are_the_published_ones_or_the_few_fewer_it_overlooked(
    margin, discordance, power, n
):
    found = cases_needed(margin, discordance, power)
    assert n - 3 <= found <= n
    assert pass_probability(found, discordance, 0.0, margin) >= power


@every_row("size", [size for size in SIZES if size[3] > 12_000])
def test_cases_needed_beyond_enumeration_are_the_closed_form(size):
    margin, discordance, power, n = size
    assert cases_needed(margin, discordance, power) == pytest.approx(n, rel=1e-3)


@pytest.mark.parametrize(("margin", "discordance"), [(0.03, 0.1), (0.1, 0.02), (0.05, 0.01)])
def test_no_smaller_suite_has_the_power(margin, discordance):
    n = cases_needed(margin, discordance)
    assert all(pass_probability(k, discordance, 0.0, margin) < 0.9 for k in range(1, n))


@examples(0.1)
@given(
    st.sampled_from([0.02, 0.03, 0.05, 0.1]),
    st.sampled_from([0.0, 0.02, 0.05, 0.1]),
    st.integers(30, 1400),
    st.integers(1, 200),
)
def test_more_cases_let_an_unchanged_variant_pass_as_often_within_the_next_whole_loss(
    margin, discordance, n, more
):
    """Between two numbers of cases that allow one more loss, the chance falls: a sawtooth."""
    later = range(n + more, n + more + round(1.0 / margin) + 1)
    first = pass_probability(n, discordance, 0.0, margin)
    assert max(pass_probability(k, discordance, 0.0, margin) for k in later) >= first - 0.005


def test_a_true_drop_takes_more_cases_and_an_improvement_fewer():
    better, same, worse = (cases_needed(0.05, 0.1, drop=drop) for drop in (-0.02, 0.0, 0.02))
    assert better < same < worse


@examples(0.25)
@given(st.integers(1, 9), st.floats(0.05, 0.9), st.floats(-1, 1), st.floats(0.02, 0.6))
def test_chance_of_passing_agrees_with_enumeration(n, discordance, slant, margin):
    drop = slant * discordance
    cells = [(discordance - drop) / 2, (discordance + drop) / 2, 1 - discordance]
    expected = 0.0
    for fixed in range(n + 1):
        for regressed in range(n - fixed + 1):
            if exact_noninferior_p(fixed, regressed, n, margin) <= 0.05:
                expected += stats.multinomial.pmf(
                    [fixed, regressed, n - fixed - regressed], n, cells
                )
    assert pass_probability(n, discordance, drop, margin) == pytest.approx(expected, abs=1e-9)


@every_row(
    ("drop", "row"),
    [
        (0.01, "1235/2005 3090/5016 6181/10034 9272/15052 12364/20070 18546/30106"),
        (0.02, "- 771/1252 1544/2507 2317/3761 3090/5016 4635/7525"),
        (0.03, "- 342/555 685/1113 1029/1671 1372/2228 2059/3343"),
        (0.05, "- - 246/399 369/600 493/801 740/1202"),
        (0.10, "- - - 91/148 122/199 184/299"),
    ],
)
def test_cases_to_prove_a_drop_are_the_published_ones(drop, row):
    for discordance, cell in zip(DISCORDANCES[1:], row.split(), strict=True):
        if cell != "-":
            wanted = [fail_cases_needed(drop, discordance, 0.8, alpha) for alpha in (0.05, 0.01)]
            assert wanted == pytest.approx([int(n) for n in cell.split("/")], abs=1)


@given(st.integers(30, 5000), st.floats(0.02, 0.5))
def test_detectable_drop_is_the_inverse_of_cases_needed(n, discordance):
    drop = detectable_drop(n, discordance)
    if drop <= discordance:
        assert fail_cases_needed(drop, discordance) == pytest.approx(n, abs=1)
    else:
        assert fail_cases_needed(drop, drop) == pytest.approx(n, abs=1)


@every_row("n", [40, 120, 1000])
def test_certifiable_margin_is_passed_with_power_and_nothing_narrower_is(n):
    margin = certifiable_margin(n, 0.1)
    assert pass_probability(n, 0.1, 0.0, margin) >= 0.9
    assert pass_probability(n, 0.1, 0.0, margin - 2e-4) < 0.9


@every_row(
    ("minimum", "rate", "power", "alpha"),
    [
        (0.9, 0.905, 0.9, 0.05),
        (0.999, 0.9999, 0.9, 0.05),
        (0.5, 0.51, 0.3, 0.2),
        (0.99, 1.0, 0.9, 0.05),
        (0.04, 0.95, 0.9, 0.05),
    ],
)
def test_fewer_cases_than_those_needed_do_not_reach_the_power(minimum, rate, power, alpha):
    n = minimum_cases_needed(minimum, rate, power, alpha)

    sizes = np.arange(1, n + 1)
    most_missed = stats.binom.isf(alpha, sizes, minimum)
    reached = stats.binom.sf(most_missed, sizes, rate) >= power
    assert np.flatnonzero(reached).tolist() == [n - 1]


def test_the_ends_of_the_scale_have_their_sizes_and_defaults():
    assert [flip_rate(p) for p in (0.0, 0.5, 0.95, 1.0)] == pytest.approx([0, 0.5, 0.095, 0])

    assert cases_needed(0.03, 0.0) == 99
    assert cases_needed(0.02, 0.0) == 149

    assert fail_cases_needed(1.0, 1.0) == fail_cases_needed(1.0 - 1e-9, 1.0)

    assert minimum_pass_probability(100, 0.8, 0.9) == minimum_pass_probability(100, 0.8, 0.9, 0.05)


@every_row(
    ("n", "discordance", "drop", "percent"),
    [
        *((50, 0.16, 0.03, 51), (100, 0.16, 0.03, 56), (200, 0.16, 0.03, 55)),
        *((500, 0.16, 0.03, 53), (1000, 0.16, 0.03, 51)),
        *((50, 0.1, 0.0, 75), (100, 0.1, 0.0, 87), (200, 0.1, 0.0, 93), (500, 0.1, 0.0, 99)),
    ],
)
def test_a_point_threshold_misses_half_of_its_drops_and_blames_unchanged_models(
    n, discordance, drop, percent
):
    chance = point_rule_pass_probability(n, discordance, drop, 0.03)
    assert chance == pytest.approx(percent / 100, abs=0.02)


# --- graded and weighted scores -----------------------------------------------------------------


WEIGHTS = np.r_[np.full(10, 5.0), np.ones(190)]
GRADED = {"plain": {}, "weighted": {"weights": WEIGHTS}, "grouped": {"groups": np.arange(200) % 40}}


def graded_pairs(kind):
    rng = np.random.default_rng(12)
    before = np.clip(rng.normal(0.7, 0.1, 200), 0, 1)
    after = np.clip(before + rng.normal(0, 0.12, 200), 0, 1)
    return paired_counts(before, after, **GRADED[kind])


@every_row("kind", GRADED)
@every_row("power", [0.5, 0.9])
def test_a_graded_suite_passes_its_certifiable_margin_with_the_power(kind, power):
    pairs = graded_pairs(kind)
    margin = graded_certifiable_margin(pairs, power)
    assert graded_pass_probability(pairs, margin + 1e-9) >= power
    assert graded_pass_probability(pairs, margin - 1e-6) < power


def test_a_graded_suite_without_any_change_certifies_from_one_margin_on():
    pairs = paired_counts([0.5] * 100, [0.5] * 100)
    margin = graded_certifiable_margin(pairs, 0.9)
    assert is_noninferior(pairs, margin + 1e-9, 0.05)
    assert not is_noninferior(pairs, margin - 1e-9, 0.05)
    around = [graded_pass_probability(pairs, margin + step) for step in (-1e-9, 1e-9)]
    assert around == [0.0, 1.0]


@every_row("kind", ["plain", "weighted"])
def test_the_cases_needed_for_a_certifiable_margin_are_those_that_are_there(kind):
    pairs = graded_pairs(kind)
    margin = graded_certifiable_margin(pairs, 0.9)
    assert graded_cases_needed(pairs, 0.9, 0.0, margin, 0.01) == pytest.approx(200, abs=1)


def test_graded_cases_for_a_drop_are_those_beyond_the_margin_and_show_what_they_detect():
    pairs = graded_pairs("plain")
    drop = graded_detectable_drop(pairs, 0.9, 0.01, 0.001)
    assert graded_cases_needed(pairs, 0.9, drop, 0.001, 0.01) == pytest.approx(200, abs=1)
    rest = graded_cases_needed(pairs, 0.9, 0.0, 0.08, 0.01)
    assert graded_cases_needed(pairs, 0.9, 0.02, 0.1, 0.01) == pytest.approx(rest, abs=1)
    shown = graded_cases_needed(pairs, 0.9, 0.1, 0.02, 0.01)
    assert graded_cases_needed(pairs, 0.9, 0.1, 0.1, 0.01) == shown
    error = math.sqrt(pairs.spread / pairs.n)
    drop = graded_detectable_drop(pairs, 0.9, 0.01, 0.2)
    assert drop == pytest.approx(0.2 + stats.norm.ppf(0.9) * error)


@every_row(("groups", "off"), [(None, 0.05), (10, 0.10), (40, 0.05)])
def test_drawn_variants_pass_near_the_margin_that_a_graded_suite_certifies(groups, off):
    labels = None if groups is None else np.arange(200) % groups
    rng, before = np.random.default_rng(3), np.full(200, 0.5)
    drawn = [
        paired_counts(before, before + np.clip(rng.normal(0, 0.12, 200), -0.5, 0.5), groups=labels)
        for _ in range(500)
    ]
    pairs = replace(drawn[0], spread=float(np.mean([one.spread for one in drawn])))
    margin = graded_certifiable_margin(pairs, 0.7)

    below, above = (
        np.mean([is_noninferior(one, share * margin, 0.05) for one in drawn])
        for share in (1.0 - off, 1.0 + off)
    )

    assert below < 0.7 < above


@every_row(
    ("call", "told"),
    [
        (lambda: cases_needed(0.0, 0.1), "margin"),
        (lambda: cases_needed(0.03, 1.1), "discordance"),
        (
            lambda: cases_needed(0.03, 0.1, drop=0.03),
            "a drop of 0.03 never passes a margin of 0.03 with power",
        ),
        (lambda: cases_needed(0.03, 0.1, 1.0), "power must"),
        (lambda: pass_probability(0, 0.1, 0.0, 0.03), "."),
        (lambda: pass_probability(math.nan, 0.1, 0.0, 0.03), "."),
        (lambda: pass_probability(10, 0.1, 0.2, 0.03), "drop"),
        (lambda: fail_cases_needed(0.2, 0.1), "a drop of 0.2 needs a discordance of at least that"),
        (lambda: fail_cases_needed(0.0, 0.1), "a drop of 0.0 needs"),
        (lambda: fail_cases_needed(0.2, 1.1), "and at most 1"),
        (lambda: detectable_drop(1, 0.1), "no drop can be proved with 1 cases"),
        (lambda: minimum_cases_needed(0.9, 0.9), "0.9 cannot be proven to reach a minimum of"),
        (lambda: minimum_cases_needed(0.9, 1.1), "1.1 cannot be proven"),
        (lambda: minimum_cases_needed(1.2, 0.9), "minimum must"),
        (lambda: minimum_cases_needed(0.8, 0.9, 1.2), "power must"),
        (lambda: minimum_pass_probability(9, 1.2, 0.9), "minimum must"),
    ],
)
def test_questions_without_an_answer_are_refused(call, told):
    with pytest.raises(ValueError, match=told):
        call()


@every_row(
    ("n", "minimum", "rate", "alpha"),
    [(200, 0.8, 0.9, 0.05), (60, 0.9, 0.97, 0.02), (40, 0.5, 0.5, 0.05), (10, 0.9, 0.99, 0.05)],
)
def test_the_chance_of_reaching_a_minimum_is_exact(n, minimum, rate, alpha):
    k = np.arange(n + 1)
    shown = stats.binom.sf(k - 1, n, minimum) <= alpha

    chance = minimum_pass_probability(n, minimum, rate, alpha)

    assert chance == pytest.approx(stats.binom.pmf(k, n, rate)[shown].sum(), abs=1e-12)


def test_too_few_cases_or_too_many_are_refused(monkeypatch):
    with pytest.raises(ValueError, match="no margin is passed"):
        certifiable_margin(1, 0.5)

    monkeypatch.setattr("pytest_ftgate.stats.power._MAX_CASES", 1024)

    with pytest.raises(ValueError, match="more than 1024 cases are needed"):
        minimum_cases_needed(0.9, 0.901)
