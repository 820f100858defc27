"""How far a tuned model is from its base: the figure, its limit, and what is left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ftgate_testing.score_columns import suite
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.divergence import evaluate_divergence
from pytest_ftgate.gates.notes import Note, NoteKind, note
from pytest_ftgate.gates.statements import NextStep, Statement, StatementKind, StepKind
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome, Verdict
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.requests.logprobs import Divergence
from pytest_ftgate.stats.resampling import mean_interval
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


SUITE = suite(SHOWN, variants=("current", "tuned"))


def verdict(gate, values, **changes):
    return evaluate_divergence(SUITE, gate, "tuned", cases(values, **changes))


def expected_check(values, *, limit=0.05, outcome, missing=0, notes=()):
    """Return the check of replies of unrelated cases, with the interval of their mean."""
    low, high = mean_interval(values, 0.95) if len(values) >= 30 else (None, None)
    return Check(
        kind=CheckKind.MEAN, outcome=outcome, limit=limit, n=len(values), units=len(values),
        effective=len(values), after=np.mean(values), low=low, high=high, missing=missing,
        unit="nats", method="t", notes=notes,
    )  # fmt: skip


def expected_verdict(check, *, notes, steps=(), gated=True):
    return Verdict(
        suite="suite.ftgate.yaml", line=9, gate="divergence", variant="tuned",
        outcome=check.outcome, statement=Statement(StatementKind.USAGE), checks=(check,),
        notes=notes, next=steps, gated=gated,
    )  # fmt: skip


def perplexity(tokens: int, before: float = np.exp(0.5), after: float = np.e) -> Note:
    """Return the note on the perplexities of the base's replies."""
    rates = {"before": pytest.approx(before), "after": pytest.approx(after)}
    return note(NoteKind.PERPLEXITY, **rates, tokens=tokens)


def lower_bound(left_out: float) -> Note:
    """Return the note on the share of the probability that is compared as one."""
    return note(NoteKind.LOWER_BOUND, top=20, left_out=pytest.approx(left_out))


FEW = note(NoteKind.FEW_REPLIES, n=29, needed=30)
LIMIT = {"where": "suite.ftgate.yaml:9"}


def test_without_a_limit_it_is_shown_and_nothing_is_to_be_done():
    values = [0.2, 0.3] * 400
    found = verdict(SHOWN, values, left_out=0.02)

    assert headline(found).endswith("no limit")
    assert found == expected_verdict(
        expected_check(values, limit=0.0, outcome=Outcome.PASSED),
        notes=(perplexity(3200), lower_bound(0.02)),
        gated=False,
    )


@every_row(
    ("values", "outcome"),
    [([0.01, 0.03] * 40, Outcome.PASSED), ([0.0, 0.1] * 40, Outcome.INCONCLUSIVE)],
)
def test_only_an_interval_that_lies_within_the_limit_as_a_whole_passes(values, outcome):
    assert verdict(GATED, values).outcome is outcome


def test_related_cases_count_as_one_and_thirty_groups_suffice():
    alone, related = (verdict(SHOWN, [0.01, 0.03] * 45, groups=n) for n in (0, 30))

    assert related.check.units == 30
    assert related.check.high > alone.check.high

    assert verdict(GATED, [0.01, 0.02] * 45, groups=30).outcome is Outcome.PASSED
    assert verdict(GATED, [0.01, 0.02] * 45, groups=29).check.notes == (FEW,)


def test_a_failed_verdict_has_its_check_and_two_ways_out():
    values = [0.2, 0.3] * 40

    assert verdict(GATED, values) == expected_verdict(
        expected_check(values, outcome=Outcome.FAILED),
        notes=(perplexity(320),),
        steps=(
            NextStep(StepKind.TRAIN_AGAIN, {"variant": "tuned", **LIMIT}),
            NextStep(StepKind.SET_LIMIT, {"setting": "max_kl: 0.262", **LIMIT}),
        ),
    )


def test_few_unrelated_replies_have_no_interval_and_those_missing_are_asked_again():
    values = [0.01] * 29

    assert verdict(GATED, [*values, None]) == expected_verdict(
        expected_check(values, outcome=Outcome.INCONCLUSIVE, missing=1, notes=(FEW,)),
        notes=(perplexity(116), FEW),
        steps=(NextStep(StepKind.RUN_AGAIN, {"missing": 1, "suite": "suite.ftgate.yaml"}),),
    )


@every_row(
    ("missing", "outcome", "notes"),
    [(4, Outcome.PASSED, ()), (5, Outcome.INCONCLUSIVE, (note(NoteKind.NOT_COMPARED, n=5),))],
)
def test_a_twentieth_of_the_replies_may_be_missing(missing, outcome, notes):
    found = verdict(GATED, [0.01, 0.02] * 38 + [None] * missing)

    assert (found.outcome, found.notes[1:]) == (outcome, notes)


def test_missing_replies_are_asked_again_or_added_to_their_file_before_a_limit_is_offered():
    found = verdict(GATED, [0.01, 0.02] * 40 + [None] * 10)

    assert found.next == (
        NextStep(StepKind.RUN_AGAIN, {"missing": 10, "suite": "suite.ftgate.yaml"}),
        NextStep(StepKind.SET_LIMIT, {"setting": "max_kl: 0.0162", **LIMIT}),
    )

    tuned = replace(SUITE.variants["tuned"], replies=Path("a/b.jsonl"))
    recorded = replace(SUITE, variants={**SUITE.variants, "tuned": tuned}, judges={"tone": None})

    found = evaluate_divergence(recorded, GATED, "tuned", cases([0.01] * 29 + [None]))

    assert found.next[0] == NextStep(StepKind.ADD_REPLIES, {"missing": 1, "file": "b.jsonl"})


def test_a_divergence_is_never_below_zero():
    assert verdict(SHOWN, [-0.01, 0.008] * 40).check.low == 0.0


def test_without_any_reply_a_limit_is_not_held_and_nothing_can_be_done():
    found = verdict(GATED, [None] * 40)

    assert (found.outcome, found.checks, found.next) == (Outcome.INCONCLUSIVE, (), ())
    assert found.statement.kind is StatementKind.NO_REPLIES
    assert found.notes == (note(NoteKind.FEW_REPLIES, n=0, needed=30),)


def test_perplexities_are_those_of_all_tokens_together():
    (one, _), (other, _) = cases([0.0] * 2)
    uneven = [
        (one, Divergence(1, 0.1, -2.0, -1.0 + 0.4, 0.5)),
        (other, Divergence(3, 0.1, -6.0, -3.0, 0.5)),
    ]

    found = evaluate_divergence(suite(SHOWN), SHOWN, "tuned", uneven)

    assert found.notes[:2] == (perplexity(4, np.exp(0.9), np.exp(2.0)), lower_bound(0.25))
