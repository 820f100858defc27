"""The cases that must be kept: when they break, and what may excuse it."""

from __future__ import annotations

from dataclasses import replace

from ftgate_testing.score_columns import case_result, skill_scores, suite
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.forgetting import (
    SkillComparison,
    broken_must_keep_ids,
    evaluate_forgetting,
)
from pytest_ftgate.gates.statements import StepKind
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.reporting.verdict import verdict_section
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.suite.gate_kinds import ForgettingGate

GATE = ForgettingGate(line=9, cases=(), max_drop=0.10)


def must_keep_scores(variant: str, right: float, *more: float) -> VariantScores:
    """Return right results of facts; the first is a must-keep case with the given scores."""
    rows = [case_result(f"facts-{i}", 1.0, f"{variant} says", skill="facts") for i in range(100)]
    scores = (right, *more)
    first = rows[0]
    first = replace(
        first,
        case=replace(first.case, must_keep=True),
        replies=first.replies * len(scores),
        scores=tuple(replace(first.scores[0], correct=score) for score in scores),
    )
    return VariantScores(variant, {result.case.id: result for result in (first, *rows[1:])})


def must_keep_verdict(
    after: VariantScores, base: VariantScores, repeated=None, gate=GATE
) -> Verdict:
    return evaluate_forgetting(suite(gate), gate, SkillComparison({"": (after, base)}, repeated))


def test_a_must_keep_case_that_breaks_fails_the_gate_alone_and_is_shown_first() -> None:
    verdict = must_keep_verdict(must_keep_scores("new", 0.0), must_keep_scores("base", 1.0))

    assert verdict.outcome is Outcome.FAILED
    assert verdict.breaks == ("facts-0",)
    assert "must-keep cases broke: facts-0" in headline(verdict)
    assert verdict.flips[0].case == "facts-0"
    assert "must be kept" in verdict_section(verdict, 1)


def test_a_must_keep_case_without_a_weight_or_a_right_reply_of_the_base_cannot_break() -> None:
    assert (
        must_keep_verdict(must_keep_scores("new", 0.0), must_keep_scores("base", 0.0)).breaks == ()
    )

    new, base = must_keep_scores("new", 0.0), must_keep_scores("base", 1.0)
    row = new.results["facts-0"]
    light = replace(row, case=replace(row.case, weight=0.0))

    others = {key: value for key, value in base.results.items() if key != "facts-0"}
    assert broken_must_keep_ids(replace(new, results={**new.results, "facts-0": light}), base) == ()
    assert broken_must_keep_ids(new, VariantScores("base", others)) == ()


@every_row(
    ("mine", "base", "broke"),
    [
        ((0.0, 0.0, 1.0), (1.0, 1.0, 1.0), True),
        ((0.0, 1.0, 1.0), (1.0, 1.0, 1.0), False),
        ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), False),
    ],
)
def test_one_unlucky_reply_breaks_nothing_where_replies_vary(mine, base, broke) -> None:
    repeated = (must_keep_scores("new", *mine), must_keep_scores("base", *base))
    verdict = must_keep_verdict(
        must_keep_scores("new", 0.0), must_keep_scores("base", 1.0), repeated
    )

    assert bool(verdict.breaks) is broke


@every_row(
    ("mine", "base", "broke"),
    [
        ((0.0,), (1.0,), True),
        ((0.5,), (1.0,), True),
        ((0.6,), (1.0,), False),
        ((0.0,), (0.5,), False),
        ((0.0,), (0.6,), True),
    ],
)
def test_a_score_above_half_is_right(mine, base, broke) -> None:
    new, old = must_keep_scores("new", *mine), must_keep_scores("base", *base)

    assert bool(broken_must_keep_ids(new, old)) is broke
    first = must_keep_scores("new", 0.0), must_keep_scores("base", 1.0)
    assert bool(broken_must_keep_ids(*first, (new, old))) is broke


def test_a_repeated_request_without_a_reply_on_either_side_leaves_the_case_broken() -> None:
    new, base = must_keep_scores("new", 0.0), must_keep_scores("base", 1.0)
    others = {key: value for key, value in base.results.items() if key != "facts-0"}

    repeated = (VariantScores("new", others), VariantScores("base", others))
    assert broken_must_keep_ids(new, base, repeated) == ("facts-0",)
    assert broken_must_keep_ids(new, base, (new, VariantScores("base", others))) == ("facts-0",)

    new = must_keep_scores("new", 0.0)
    gone = {k: replace(r, replies=(), scores=()) for k, r in new.results.items()}
    repeated = (VariantScores("new", gone), must_keep_scores("base", 1.0))

    assert must_keep_verdict(new, must_keep_scores("base", 1.0), repeated).breaks == ("facts-0",)


def test_no_limit_of_the_mean_excuses_a_case_that_broke() -> None:
    base = skill_scores("base", {"facts": (60, 40)})
    new = skill_scores("new", {"facts": (20, 80)})
    kept = []
    for side in (new, base):
        last = side.results["facts-59"]
        rows = {**side.results, "facts-59": replace(last, case=replace(last.case, must_keep=True))}
        kept.append(VariantScores(side.variant, rows))

    wide = replace(GATE, max_drop=0.3)
    broken, limited = must_keep_verdict(*kept, gate=wide), must_keep_verdict(new, base, gate=wide)
    assert [step.kind for step in broken.next] == [StepKind.TRAIN_AGAIN]
    assert StepKind.SET_LIMIT in {step.kind for step in limited.next}
