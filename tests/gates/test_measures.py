"""What gates measure of a variant, where nothing is gated as well."""

from dataclasses import replace

import pytest
from ftgate_testing.score_columns import labelled, suite, without_replies
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.judges import JudgeEvidence
from pytest_ftgate.gates.measures import (
    measure_rate,
    not_gated_verdict,
    pairs_of_scores,
    rate_of_scores,
    shown_change,
    unmeasured_verdict,
)
from pytest_ftgate.gates.notes import text_note
from pytest_ftgate.gates.statements import Statement, StatementKind
from pytest_ftgate.gates.verdict import CheckKind, Outcome, Verdict
from pytest_ftgate.suite.gate_kinds import RateGate

ACCURACY = RateGate(kind="accuracy", line=7, min=0.5)
BALANCED = replace(ACCURACY, metric="balanced_accuracy")
FORMAT = replace(ACCURACY, kind="format")


def said(variant: str, refund: int, other: int, none: int = 0):
    """Return scores of cases of which so many are answered with each label, and with none."""
    return labelled(variant, ["refund"] * refund + ["late_delivery"] * other + ["no"] * none)


@every_row("gate", [ACCURACY, BALANCED])
def test_only_cases_with_a_reply_are_rated_and_only_those_of_both_sides_compared(gate) -> None:
    made = suite(gate)
    after = without_replies(said("new", 150, 50), {"c100", "c101"})
    before = without_replies(said("current", 100, 100), {"c000", "c101"})

    rate, pairs = rate_of_scores(gate, after), pairs_of_scores(gate, before, after)

    assert (rate.n, pairs.n) == (198, 197)
    assert rate.rate == measure_rate(made, gate, after).check.after
    assert pairs.delta == pytest.approx(rate.rate - 1, abs=0.01)
    assert (rate_of_scores(FORMAT, after).rate, rate_of_scores(FORMAT, after).n) == (*(1, 198),)
    assert pairs_of_scores(FORMAT, before, after).delta == 0


@every_row(
    ("gate", "method", "lenient"),
    [(ACCURACY, "counts", None), (FORMAT, "counts", 0.6), (BALANCED, "counts", None)],
)
def test_a_measured_variant_has_the_rate_of_its_gate(gate, method, lenient) -> None:
    made, scores = suite(gate), said("strong", 60, 60, 80)

    verdict = measure_rate(made, gate, scores)

    check = verdict.check
    assert check.after == rate_of_scores(gate, scores).rate
    assert (verdict.variant, verdict.gate, verdict.line) == ("strong", gate.kind, 7)
    assert (check.kind, check.limit, check.method) == (CheckKind.MINIMUM, 0.0, method)
    assert (bool(verdict.format_errors), verdict.lenient) == (gate is FORMAT, lenient)


@every_row(("common", "change"), [(0, None), (1, None), (50, -0.5)])
def test_a_change_is_shown_of_two_cases_or_more_that_both_sides_answered(common, change) -> None:
    gone = {f"c{n:03}" for n in range(common, 100)}
    before, after = without_replies(said("current", 50, 50), gone), said("new", 25, 75)

    shown = shown_change(suite(ACCURACY), ACCURACY, before, after)

    assert (None if shown is None else shown.change) == change


@every_row(
    ("limits", "has_baseline", "values"),
    [
        ({"max_drop": 0.1}, False, {"key": "baseline"}),
        ({"limits_by_default": False}, True, {"key": "max_drop: none"}),
        ({"min": 0.0}, True, {"minimum": 0.0, "cases": 3}),
    ],
)
def test_a_measurement_says_what_leaves_nothing_to_gate(limits, has_baseline, values) -> None:
    scores, gate = said("new", 2, 1), replace(ACCURACY, **{"min": None, **limits})
    made = replace(suite(gate), cases=tuple(scores.cases))
    baseline = said("current", 2, 1) if has_baseline else None

    verdict = not_gated_verdict(made, gate, scores, baseline, JudgeEvidence())

    assert verdict.statement == Statement(StatementKind.NOT_GATED, values)


def test_a_variant_that_could_not_be_measured_says_why() -> None:
    made = suite(ACCURACY)
    values = {"reason": "text", "text": "no key", "is_invalid": False}

    assert unmeasured_verdict(made, made.variants["new"], text_note("no key")) == Verdict(
        suite="suite.ftgate.yaml", line=1, gate="measured", variant="new", outcome=Outcome.INVALID,
        statement=Statement(StatementKind.NOT_SENT, values), gated=False, measured=False,
    )  # fmt: skip
