"""The example and the figures of docs/statistics.md are those of the package's own rule."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from pytest_ftgate.gates.checks import drop_outcome
from pytest_ftgate.gates.design import MUST_PASS_REPEATS, Design, Levels, round_up_to_point
from pytest_ftgate.gates.power import COARSE_LIMIT, MAX_DEFAULT_LIMIT, design_pass_probability
from pytest_ftgate.reporting.number_text import change_size, span
from pytest_ftgate.stats.paired import change_interval, p_drop, p_noninferior, paired_counts
from pytest_ftgate.stats.power import cases_needed, certifiable_margin

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "statistics.md").read_text("utf-8")
EXAMPLE = re.findall(
    r"^\| (\d+) \| (\d+) \| (.+?) \| in (.+?) % .+? \| in (.+?) % .+? \| (\w+):", PAGE, re.MULTILINE
)


def figure(share: float) -> str:
    return f"{100 * share:.2g}".removesuffix(".0")


def test_the_page_has_three_examples():
    assert [row[-1] for row in EXAMPLE] == ["passed", "inconclusive", "failed"]


@pytest.mark.parametrize("row", EXAMPLE, ids=lambda row: row[-1])
def test_an_example_has_the_figures_of_the_rule(row):
    regressed, fixed = map(int, row[:2])
    limit = round_up_to_point(certifiable_margin(200, 0.10))
    before = np.concatenate([np.zeros(fixed), np.ones(200 - fixed)])
    after = np.concatenate([np.ones(200 - regressed), np.zeros(regressed)])

    pairs = paired_counts(before, after)
    low, high = change_interval(pairs, 0.95)

    assert limit == 0.07
    size = change_size(pairs.delta).removesuffix(" points").removesuffix(" point")
    assert row[2] == f"{size} ({span(low, high)})"
    assert row[3:5] == (figure(p_noninferior(pairs, limit)), figure(p_drop(pairs)))
    assert row[5] == drop_outcome(pairs, limit, Levels())


def test_must_pass_cases_fail_an_unchanged_variant_as_often_as_the_page_says():
    wrong = 0.05
    repeated = 1.0 - (1.0 - wrong) ** (MUST_PASS_REPEATS - 1)

    share = 1.0 - (1.0 - wrong * repeated) ** 20

    assert f"an unchanged variant fails in {100 * share:.0f} % of runs" in PAGE


def test_the_default_limits_of_the_manual_are_those_of_the_rule():
    manual = (DOCS / "suite.md").read_text("utf-8")
    limits = {
        n: [round(100 * round_up_to_point(certifiable_margin(n, psi))) for psi in (0.10, 0.05)]
        for n in (30, 100, 200, 500)
    }
    few = {cases_needed(MAX_DEFAULT_LIMIT, psi) for psi in (0.10, 0.05)}
    said = " ".join(manual.split())

    assert f"With 30 cases that is {limits[30][0]} points ({limits[30][1]} if steady)" in said
    for n in (100, 200, 500):
        assert f"with {n} cases {limits[n][0]} ({limits[n][1]})" in said
    assert f"Above {100 * COARSE_LIMIT:g} points, plan, verdict and" in said
    assert (
        f"At most it is {100 * MAX_DEFAULT_LIMIT:g} points, which takes {few.pop()} cases" in said
    )
    assert not few


@pytest.mark.parametrize("n", [50, 100, 200, 500])
@pytest.mark.parametrize("disagreement", [0.05, 0.10])
def test_the_table_of_what_cases_show_is_that_of_the_plan(n, disagreement):
    once, often = (Design((1.0,) * n, tuple(range(n)), repeats=(count, 1)) for count in (1, 10))
    default = round_up_to_point(certifiable_margin(n, disagreement))

    cells = [
        " / ".join(
            f"{100 * design_pass_probability(design, disagreement, limit):.0f}"
            for design in (once, often)
        )
        for limit in (default, 0.03, 0.05, 0.10)
    ]

    cells[0] = f"{100 * default:.0f}: {cells[0]}"
    assert f"| {n} | {100 * disagreement:.0f} % | {' | '.join(cells)} |" in PAGE
