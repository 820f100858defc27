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
from pytest_ftgate.reporting.notes import note_text
from pytest_ftgate.requests.logprobs import Divergence
from pytest_ftgate.stats.resampling import BoundedRatio, mean_interval
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


def expected_check(values, *, limit=0.05, most=0.5, outcome, missing=0, notes=()):
    """Return the check of replies of unrelated cases, with the interval of their mean."""
    counted = np.minimum(values, most or np.inf)
    ones = np.ones(counted.size)
    low, high = (
        BoundedRatio(counted, ones, 1.0, most, (1.0, 1.0)).interval(0.95)
        if most
        else mean_interval(values, 0.95)
    )
    near = pytest.approx
    return Check(
        kind=CheckKind.MEAN, outcome=outcome, limit=limit, n=len(values), units=len(values),
        effective=len(values), after=near(np.mean(counted)), low=near(low), high=near(high),
        missing=missing, unit="nats", method="bounded" if most else "t", notes=notes,
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


def clipped(mean: float, most: float = 0.5, over: int = 0, **largest: float) -> Note:
    """Return the note on the most that a reply counts, the mean without that, and the largest."""
    values = {"cases": tuple(largest), "largest": tuple(largest.values()), "over": over}
    return note(NoteKind.CLIPPED, most=most, mean=pytest.approx(mean), **values)


LIMIT = {"where": "suite.ftgate.yaml:9"}


def test_without_a_limit_it_is_shown_and_nothing_is_to_be_done():
    values = [0.2, 0.3] * 400
    found = verdict(SHOWN, values, left_out=0.02)

    assert headline(found).endswith("no limit")
    assert found == expected_verdict(
        expected_check(values, limit=0.0, most=None, outcome=Outcome.PASSED),
        notes=(perplexity(3200), lower_bound(0.02)),
        gated=False,
    )


@every_row(
    ("values", "outcome"),
    [([0.01, 0.03] * 40, Outcome.PASSED), ([0.0, 0.1] * 40, Outcome.INCONCLUSIVE)],
)
def test_only_an_interval_that_lies_within_the_limit_as_a_whole_passes(values, outcome):
    assert verdict(GATED, values).outcome is outcome


def test_a_reply_counts_up_to_the_clip_and_the_mean_without_it_stands_beside_it():
    values = [0.01] * 97 + [3.0, 0.7, 0.4]

    found = verdict(GATED, values)

    (check,) = found.checks
    counted = [0.01] * 97 + [0.5, 0.5, 0.4]
    told = clipped(np.mean(values), over=2, c97=3.0, c98=0.7, c99=0.4)
    assert check == expected_check(counted, outcome=Outcome.PASSED, notes=(told,))
    assert note_text(check.notes[0]) == (
        "each reply counts up to 0.5; without that 0.0507; largest: c97 3, c98 0.7, c99 0.4"
    )
    assert headline(found).endswith("; 2 replies counted up to 0.5 only")

    found = verdict(replace(GATED, clip=3.0), values)

    (check,) = found.checks
    assert "counted" not in headline(found)

    assert (check.outcome, check.notes[0].values["most"]) == (Outcome.INCONCLUSIVE, 3.0)


def test_one_reply_in_a_hundred_that_diverges_without_bounds_does_not_pass_unseen():
    rng = np.random.default_rng(3)

    # The mean of the others lies far below the limit, and a hundredth of 5 nats is the limit.
    drawn = [np.where(rng.random(60) < 0.01, 5.0, 0.001).tolist() for _ in range(40)]

    passed = [verdict(GATED, values).outcome is Outcome.PASSED for values in drawn]
    assert sum(passed) > 20
    assert not any(
        verdict(replace(GATED, clip=5.0), values).outcome is Outcome.PASSED for values in drawn
    )


def test_related_cases_count_as_one():
    alone, related = (verdict(SHOWN, [0.01, 0.03] * 45, groups=n) for n in (0, 30))

    assert related.check.units == 30
    assert related.check.high > alone.check.high

    alone, related = (verdict(GATED, [0.01] * 90, groups=n).check for n in (0, 45))
    # All of n equal values x: the end is where ((c - L) / (c - x))^n is 0.025.
    assert alone.high == pytest.approx(0.5 - 0.49 * 0.025 ** (1 / 90))
    assert related.high == pytest.approx(0.5 - 0.49 * 0.025 ** (1 / 45))


def test_a_failed_verdict_has_its_check_and_two_ways_out():
    values = [0.06, 0.08] * 100

    found = verdict(GATED, values)

    told = clipped(0.07, c1=0.08, c3=0.08, c5=0.08)
    setting = found.next[1].values["setting"]
    assert found == expected_verdict(
        expected_check(values, outcome=Outcome.FAILED, notes=(told,)),
        notes=(perplexity(800), told),
        steps=(
            NextStep(StepKind.TRAIN_AGAIN, {"variant": "tuned", **LIMIT}),
            NextStep(StepKind.SET_LIMIT, {"setting": setting, **LIMIT}),
        ),
    )


@every_row("clip", [None, 1.0, 0.4])
def test_the_limit_that_is_advised_passes_and_the_next_smaller_one_does_not(clip):
    values = [0.06, 0.08] * 100

    steps = verdict(replace(GATED, clip=clip), values).next

    limit = float(steps[-1].values["setting"].removeprefix("max_kl: "))
    outcomes = [
        verdict(replace(GATED, max_kl=one, clip=clip), values).outcome
        for one in (limit, limit - 0.001)
    ]
    assert outcomes == [Outcome.PASSED, Outcome.INCONCLUSIVE]


def test_no_limit_is_advised_that_allows_over_twice_as_much():
    found = verdict(replace(GATED, max_kl=0.001), [0.06, 0.08] * 100)

    assert [one.kind for one in found.next] == [StepKind.TRAIN_AGAIN]


def test_few_unrelated_replies_have_no_interval_and_those_missing_are_asked_again():
    few = note(NoteKind.FEW_REPLIES, n=29, needed=30)
    assert verdict(SHOWN, [0.01] * 29).check.notes == (few,)

    found = verdict(GATED, [*[0.01] * 29, None])

    # No limit is shown by so few replies, as long as one may count ten times as much.
    again = NextStep(StepKind.RUN_AGAIN, {"missing": 1, "suite": "suite.ftgate.yaml"})
    assert (found.outcome, found.next) == (Outcome.INCONCLUSIVE, (again,))


@every_row(
    ("missing", "outcome", "notes"),
    [(4, Outcome.PASSED, ()), (5, Outcome.INCONCLUSIVE, (note(NoteKind.NOT_COMPARED, n=5),))],
)
def test_a_twentieth_of_the_replies_may_be_missing(missing, outcome, notes):
    found = verdict(GATED, [0.01, 0.02] * 38 + [None] * missing)

    assert (found.outcome, found.notes[2:]) == (outcome, notes)


def test_missing_replies_are_asked_again_or_added_to_their_file_and_no_limit_is_offered():
    found = verdict(GATED, [0.03, 0.05] * 40 + [None] * 10)

    again = NextStep(StepKind.RUN_AGAIN, {"missing": 10, "suite": "suite.ftgate.yaml"})
    assert found.next == (again,)

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
    assert found.notes == (note(NoteKind.NOT_COMPARED, n=40),)


def test_perplexities_are_those_of_all_tokens_together():
    (one, _), (other, _) = cases([0.0] * 2)
    uneven = [
        (one, Divergence(1, 0.1, -2.0, -1.0 + 0.4, 0.5)),
        (other, Divergence(3, 0.1, -6.0, -3.0, 0.5)),
    ]

    found = evaluate_divergence(suite(SHOWN), SHOWN, "tuned", uneven)

    assert found.notes[:2] == (perplexity(4, np.exp(0.9), np.exp(2.0)), lower_bound(0.25))
