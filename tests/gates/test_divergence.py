from __future__ import annotations

from dataclasses import replace

import pytest
from columns import suite

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.gates.divergence import evaluate_divergence
from pytest_ftgate.gates.kinds import check_feasibility
from pytest_ftgate.gates.statements import StatementKind
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.reporting.explain import explain
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.reporting.next_steps import step_text
from pytest_ftgate.reporting.tables import limit_text
from pytest_ftgate.requests.logprobs import Divergence
from pytest_ftgate.suite.gate_kinds import DivergenceGate
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

SHOWN = DivergenceGate(line=9)
GATED = replace(SHOWN, max_kl=0.05)


def cases(values, *, groups: int = 0, left_out: float = 0.0):
    """Return cases whose replies of four tokens have these mean divergences."""
    return [
        (
            Case(
                id=f"c{i}", location="c.jsonl:1", score=Rule("exact"),
                group=f"g{i % groups}" if groups else None,
            ),
            None if value is None else Divergence(4, 4 * value, -4.0, -2.0, 4 * left_out),
        )
        for i, value in enumerate(values)
    ]  # fmt: skip


def verdict(gate, values, **changes):
    return evaluate_divergence(suite(SHOWN), gate, "tuned", cases(values, **changes))


def test_the_figure_is_the_mean_over_cases_with_its_interval():
    found = verdict(SHOWN, [0.01, 0.03] * 40)

    assert found.check.after == pytest.approx(0.02)
    assert 0.015 < found.check.low < 0.02 < found.check.high < 0.025
    assert found.check.n == 80


def test_without_a_limit_it_is_shown_and_passes():
    found = verdict(SHOWN, [0.4, 0.6] * 40)

    assert found.outcome is Outcome.PASSED
    assert headline(found) == "it diverges from its base by 0.5 nats a token, and no limit is set"
    assert limit_text(found.check) == "no limit"
    assert "No limit is set" in " ".join(explain(found))


@pytest.mark.parametrize(
    ("values", "outcome"),
    [
        ([0.01, 0.03] * 40, Outcome.PASSED),
        ([0.2, 0.3] * 40, Outcome.FAILED),
        ([0.0, 0.1] * 40, Outcome.INCONCLUSIVE),
    ],
)
def test_the_whole_interval_lies_within_the_limit_or_beyond_it(values, outcome):
    assert verdict(GATED, values).outcome is outcome


def test_related_cases_count_as_one():
    alone, related = (verdict(SHOWN, [0.01, 0.03] * 45, groups=n) for n in (0, 30))

    assert related.check.units == 30
    assert related.check.high > alone.check.high


def test_few_cases_are_inconclusive_and_say_so():
    found = verdict(GATED, [0.01] * 20)

    assert found.outcome is Outcome.INCONCLUSIVE
    assert "at least 30 are needed" in " ".join(found.notes)


def test_replies_that_were_not_compared_leave_the_gate_open():
    found = verdict(GATED, [0.01, 0.02] * 40 + [None] * 10)

    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.check.missing == 10


def test_perplexity_is_described_and_a_lower_bound_named():
    notes = " ".join(verdict(SHOWN, [0.01, 0.03] * 40, left_out=0.02).notes)

    assert "perplexity of the base's own replies: 1.65 → 2.72 (320 tokens)" in notes
    assert "a lower bound" in notes
    assert "2 % of the base's probability" in notes


def test_a_failed_gate_says_how_to_train_and_which_limit_passes():
    steps = [step_text(step) for step in verdict(GATED, [0.2, 0.3] * 40).next]

    assert steps[0].startswith("mix general data into the training set")
    assert steps[1].startswith("set max_kl: 0.2")


def test_a_limit_that_no_case_count_could_bound_is_refused():
    few = [case for case, _ in cases([0.0] * 29)]
    asked = replace(suite(SHOWN), gates={"divergence": replace(GATED, cases=tuple(few))})

    with pytest.raises(SuiteError, match="29 unrelated cases can never bound max_kl"):
        check_feasibility(asked)


def test_a_limit_that_the_cases_can_bound_is_allowed():
    enough = [case for case, _ in cases([0.0] * 30)]

    check_feasibility(
        replace(suite(SHOWN), gates={"divergence": replace(GATED, cases=tuple(enough))})
    )


def test_without_a_compared_reply_nothing_is_said_about_perplexity():
    found = verdict(SHOWN, [None] * 40)

    assert found.statement.kind is StatementKind.NO_REPLIES
    assert found.notes == ("0 unrelated replies; at least 30 are needed",)
