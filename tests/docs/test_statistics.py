"""The example and the figures of docs/statistics.md are those of the package's own rule."""

from __future__ import annotations

import re

import numpy as np
from ftgate_testing.pages import page

from pytest_ftgate.gates.checks import drop_outcome
from pytest_ftgate.gates.design import MOST_COMPARED, MUST_PASS_REPEATS, Design, Levels
from pytest_ftgate.gates.feasibility import smallest_limit
from pytest_ftgate.gates.power import (
    COARSE_LIMIT,
    MAX_DEFAULT_LIMIT,
    build_power,
    design_pass_probability,
    limit_of_design,
)
from pytest_ftgate.reporting.number_text import change_size, span
from pytest_ftgate.stats.paired import change_interval, p_drop, p_noninferior, paired_counts
from pytest_ftgate.stats.power import cases_needed

PAGE = page("statistics")
EXAMPLE = re.findall(
    r"^\| (\d+) \| (\d+) \| (.+?) \| in (.+?) % .+? \| in (.+?) % .+? \| (\w+):", PAGE, re.MULTILINE
)


def figure(share: float) -> str:
    return f"{100 * share:.2g}".removesuffix(".0")


def example(regressed: str, fixed: str, limit: float) -> tuple[str, ...]:
    """Return a row of the example as the rule makes it, for counts among 200 cases."""
    before = np.concatenate([np.zeros(int(fixed)), np.ones(200 - int(fixed))])
    after = np.concatenate([np.ones(200 - int(regressed)), np.zeros(int(regressed))])
    pairs = paired_counts(before, after)
    size = change_size(pairs.delta).removesuffix(" points").removesuffix(" point")
    return (
        *(regressed, fixed, f"{size} ({span(*change_interval(pairs, 0.95))})"),
        *(figure(p_noninferior(pairs, limit)), figure(p_drop(pairs))),
        drop_outcome(pairs, limit, Levels()),
    )


def default(n: int, disagreement: float, gates: int = 1) -> float:
    design = Design((1.0,) * n, tuple(range(n)))
    return limit_of_design(design, disagreement, MOST_COMPARED * gates)


def test_the_three_examples_have_the_figures_of_the_rule():
    limit = default(200, 0.05)

    assert f"200 cases can show: {100 * limit:.0f} points" in " ".join(PAGE.split())
    assert [example(*row[:2], limit) for row in EXAMPLE] == EXAMPLE
    assert [row[-1] for row in EXAMPLE] == ["passed", "inconclusive", "failed"]


def test_must_pass_cases_fail_an_unchanged_variant_as_often_as_the_page_says():
    wrong = 0.05
    repeated = 1.0 - (1.0 - wrong) ** (MUST_PASS_REPEATS - 1)

    share = 1.0 - (1.0 - wrong * repeated) ** 20

    assert f"an unchanged variant fails in {100 * share:.0f} % of runs" in PAGE


def test_the_default_limits_of_the_manual_are_those_of_the_rule():
    said = " ".join(page("suite").split())
    few = [cases_needed(MAX_DEFAULT_LIMIT, psi, build_power(MOST_COMPARED)) for psi in (0.10, 0.05)]

    for n in (30, 50, 100, 200, 500, 1000):
        cells = (
            " ".join(f"{100 * default(n, psi, gates):.0f}" for gates in (1, 2))
            for psi in (0.10, 0.05)
        )
        row = " | ".join(re.sub(r" (\d+)", r" (\1)", cell) for cell in cells)
        assert f"| {n} | {row} |" in page("suite")
    assert f'"limit {100 * default(200, 0.10):.0f}: what 200 cases can show"' in said
    assert f"Above {100 * COARSE_LIMIT:g} points, plan, verdict and" in said
    most = f"At most it is {100 * MAX_DEFAULT_LIMIT:g} points, which takes"
    assert f"{most} {few[0]} cases, or {few[1]} if steady" in said


def test_the_table_of_what_cases_show_is_that_of_the_plan():
    rows = [shown_by(n, share) for share in (0.05, 0.10) for n in (50, 100, 200, 500)]

    assert [row for row in rows if row not in PAGE] == []


def shown_by(n, disagreement):
    """Return the row of the table for *n* cases."""
    design = Design((1.0,) * n, tuple(range(n)))
    limit = default(n, disagreement)

    cells = [
        f"{100 * design_pass_probability(design, disagreement, at):.0f}"
        if at >= smallest_limit(design)
        else "refused"
        for at in (limit, 0.03, 0.05, 0.10)
    ]

    cells[0] = f"{100 * limit:.0f}: {cells[0]}"
    return f"| {n} | {100 * disagreement:.0f} % | {' | '.join(cells)} |"
