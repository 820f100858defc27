"""An explanation says where the interval lies, and what follows from it."""

from __future__ import annotations

import pytest
from columns import suite, variant_scores

from pytest_ftgate.gates.levels import Levels
from pytest_ftgate.gates.rates import Comparison, evaluate_rate
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.reporting.explain import explain
from pytest_ftgate.suite.gate_kinds import RateGate


def explained(regressed: int, cases: int, limit: float, levels: Levels) -> tuple[Outcome, str]:
    gate = RateGate(kind="accuracy", line=7, max_drop=limit)
    after = variant_scores("new", [0.0] * regressed + [1.0] * (cases - regressed))
    before = variant_scores("current", [1.0] * cases)
    verdict = evaluate_rate(suite(gate), gate, Comparison(after, before, levels=levels))
    return verdict.outcome, " ".join(explain(verdict))


@pytest.mark.parametrize(
    ("regressed", "cases", "limit", "levels", "outcome", "said"),
    [
        (
            *(8, 20, 0.15, Levels(alarm=0.01 / 8, shared=8), Outcome.INCONCLUSIVE),
            "which lies beyond the limit, but not surely enough to fail the gate",
        ),
        (
            *(10, 500, 0.03, Levels(), Outcome.INCONCLUSIVE),
            "the drop is real, and may or may not stay within the limit",
        ),
        (30, 100, 0.05, Levels(), Outcome.FAILED, "which lies beyond the limit, so it failed."),
        (0, 100, 0.05, Levels(), Outcome.PASSED, "so this check passed."),
    ],
    ids=["beyond", "within", "failed", "passed"],
)
def test_the_conclusion_follows_from_where_the_interval_lies(
    regressed, cases, limit, levels, outcome, said
):
    found, text = explained(regressed, cases, limit, levels)

    assert found is outcome
    assert said in text
