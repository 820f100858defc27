"""What is advised: exactly one thing, by rules whose lines the suite may move."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ftgate_testing.ladder_suites import score_rung, verdict
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.diagnosis import cause_steps
from pytest_ftgate.gates.notes import Cause, note, text_note
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.recommend.advice import (
    AcceptedRun,
    AcceptedVerdict,
    GitFacts,
    ReasonKind,
    Recommendation,
)
from pytest_ftgate.recommend.recommend import advise
from pytest_ftgate.recommend.rules import RULES
from pytest_ftgate.reporting.headlines import advice_headline
from pytest_ftgate.reporting.notes import note_text
from pytest_ftgate.scoring.scores import Score

FAILED = Outcome.FAILED
TUNED = ("hosted", "lora")
NO_STRONG = ("rung: stronger-model", "rung: prompt")


def beside_baseline(line):
    """Return the change of the suite that adds a line below its baseline."""
    return ("baseline: prompt", f"baseline: prompt\n{line}")


HERE = beside_baseline("ladder: {local_only: true}")
SERVES = beside_baseline("serves: lora")
NO_KEY = text_note("no key")


def told(advice):
    return advice.recommendation, advice.subject


def failing(advice):
    return {one.name for one in advice.conditions if one.needed and one.holds is False}


# Each of the six ends


def test_a_rung_that_meets_the_minimum_and_has_no_better_one_is_where_to_stop(evidence):
    minimum = ("{accuracy: {max_drop: 0.05}}", "{accuracy: {min: 0.85}}")

    advice = advise(evidence(5_000, minimum, without=TUNED))

    assert told(advice) == ("stop here", "descriptions")
    why = advice.reasons[0].note
    assert (why.kind, why.values["minimum"]) == (ReasonKind.ACCURACY, 0.85)
    assert why.values["accuracy"] == pytest.approx(0.88, abs=0.005)


@pytest.mark.slow
@every_row("volume, changes, expected", [
    (50_000, (NO_STRONG,), ("try a cheaper approach first", "stronger-model")),
    # A model that must run here needs no stronger one.
    (50_000, (NO_STRONG, HERE), ("fine-tune", "lora")),
    (50_000, (SERVES,), ("keep the fine-tune", "lora")),
    (100, (SERVES,), ("fine-tuning not justified", "lora")),
])  # fmt: skip
def test_what_was_measured_and_what_serves_decide_what_comes_next(
    evidence, volume, changes, expected
):
    advice = advise(evidence(volume, *changes))

    assert told(advice) == expected
    assert advice.variant == "descriptions" or expected[0] != "fine-tuning not justified"


def test_what_serves_and_fails_is_rolled_back_to_what_was_accepted_and_passes(evidence):
    history = tuple(
        AcceptedRun(
            commit=commit, at=at, by="Ada", serves=name,
            gates=(AcceptedVerdict("accuracy", name, "passed", 0.9, "share"),),
        )
        for commit, at, name in (("c3", "2026-11-20", "lora"), ("b2", "2026-10-02", "hosted"))
    )  # fmt: skip
    verdicts = (verdict("lora", outcome=FAILED), verdict("hosted"))

    advice = advise(evidence(50_000, SERVES, verdicts=verdicts, history=history))

    assert advice.recommendation is Recommendation.ROLL_BACK
    back = advice.rollback
    assert (back.failing, back.variant, back.at, back.commit, back.by) == (
        *("lora", "hosted", "2026-10-02", "b2", "Ada"),
    )


def test_what_fails_as_well_is_no_way_back(evidence):
    variants = ("prompt", "examples", "descriptions", "strong", "lora", "hosted")
    verdicts = tuple(verdict(name, outcome=FAILED) for name in variants)

    advice = advise(evidence(50_000, SERVES, verdicts=verdicts))

    assert told(advice)[0] != "roll back"


def test_where_every_untuned_rung_fails_a_gate_the_fine_tune_is_held_against_the_best(evidence):
    variants = ("prompt", "examples", "descriptions", "strong")
    verdicts = tuple(verdict(name, outcome=FAILED) for name in variants)

    advice = advise(evidence(50_000, SERVES, verdicts=verdicts))

    assert told(advice) == ("keep the fine-tune", "lora")
    assert advice.below == "descriptions"


# What the rules look at


@pytest.mark.parametrize(
    ("change", "known", "names"),
    [
        ((), {"git": GitFacts(days=90, changes={"prompt": 9}, commits=9)}, {"stable"}),
        ((), {"training_rows": {"lora": 150, "hosted": 150}}, {"examples"}),
        ((("0.4, gated", "9, gated"), ("usd_per_1k: 0.4", "usd_per_1k: 9")), {}, {"gap", "volume"}),
        ((beside_baseline("challengers: [strong]"),), {}, {"challenger"}),
        ((), {"verdicts": (verdict("lora", outcome=FAILED), verdict("hosted", outcome=FAILED))},
         {"gates"}),
    ],
)  # fmt: skip
def test_a_condition_that_does_not_hold_is_named(evidence, change, known, names):
    advice = advise(evidence(50_000, *change, **known))

    assert advice.recommendation == "fine-tuning not justified"
    assert failing(advice) == names
    ordered = ", ".join(rule for rule, *_ in RULES if rule in names)
    expected = f"fine-tuning not justified ({ordered}): serve {advice.variant}"
    assert advice_headline(advice) == expected


@every_row(("cause", "recommendation"), [
    (Cause.RUNS_ON, "fine-tuning not judged"),
    (Cause.THOUGHT, "fine-tuning not judged"),
    (Cause.QUANTISED, "fine-tuning not justified"),
])  # fmt: skip
def test_a_fine_tune_that_gives_no_answers_is_not_judged(evidence, cause, recommendation):
    found = note(cause, count=9, of=10, is_new=True, model="m.gguf", type="Q4_0")
    verdicts = tuple(
        replace(verdict(name, outcome=FAILED), next=(*cause_steps(FAILED, [found]),))
        for name in TUNED
    )

    advice = advise(evidence(50_000, verdicts=verdicts))

    assert advice.recommendation == recommendation
    assert (advice.why == found) is (recommendation == "fine-tuning not judged")


def test_what_nobody_knows_blocks_nothing_and_is_said(evidence):
    unknown = GitFacts(unknown_reason="git is not installed")

    advice = advise(evidence(50_000, git=unknown))

    assert told(advice) == ("fine-tune", "lora")
    assert note(ReasonKind.CHANGES_UNKNOWN, reason="git is not installed") in advice.notes


def test_what_retrieval_mends_is_knowledge_and_not_trained(evidence, wrong_cases):
    rag = ("rung: stronger-model", "rung: rag")
    known = evidence(50_000, rag, HERE)
    few = set(list(wrong_cases["descriptions"])[:20])
    columns = {**known.scores, "strong": score_rung(known.suite, "strong", few)}

    advice = advise(replace(known, scores=columns))

    found = {one.name: one for one in advice.conditions}
    assert found["knowledge"].holds is False
    why = found["knowledge"].note
    assert (why.kind, why.values["rag"]) == (ReasonKind.KNOWLEDGE_IS_MISSING, "strong")
    assert why.values["share"] == pytest.approx(0.79, abs=0.005)


@pytest.mark.slow
def test_what_a_wrong_reply_costs_decides_where_it_is_declared(evidence):
    cheap, dear = (
        advise(evidence(100, ("economics:", f"economics:\n  wrong_usd: {usd}"))) for usd in (0.1, 9)
    )

    # At 9 USD four points more of 3,000 calls are worth 1,080 USD a month, and strong costs 165.
    assert cheap.below == "descriptions"
    assert dear.below == "strong"


def test_too_many_prompt_variants_flatter_the_best_and_are_corrected_for(evidence, wrong_cases):
    known = evidence(without=("descriptions", "strong", *TUNED))
    worse = set(wrong_cases["prompt"])
    better = set(sorted(worse)[10:])
    columns = {
        "prompt": score_rung(known.suite, "prompt", worse),
        "examples": score_rung(known.suite, "examples", better | set(range(790, 792)) - worse),
    }
    alone = advise(replace(known, scores=columns)).rungs[1].gain
    beside = {**columns, **{n: score_rung(known.suite, n, worse) for n in ("strong", *TUNED)}}
    among = advise(replace(known, scores=beside)).rungs[1].gain

    assert (alone.certain, alone.change) == (True, among.change)
    assert among.p > alone.p


def test_an_unmeasured_rung_is_said_and_stands_nowhere(evidence):
    advice = advise(evidence(50_000, without=("strong",), unmeasured={"strong": NO_KEY}))

    assert "strong" not in {row.variant for row in advice.rungs}
    assert note(ReasonKind.UNMEASURED, variant="strong", reason=NO_KEY) in advice.notes


def test_models_that_retire_are_named_ninety_days_ahead(evidence):
    facts = {
        "strong": {"model": "claude-x", "retires": "2027-01-22"},
        "prompt": {"model": "claude-y", "retires": "2027-06-30"},
        "examples": {"model": "claude-z", "retires": "soon"},
    }

    (one,) = advise(evidence(facts=facts)).retiring

    assert (one.model, one.days, one.variants) == ("claude-x", 58, ("strong",))


@pytest.mark.slow
def test_every_reason_names_a_number_of_the_table(evidence):
    for volume in (100, 5_000, 50_000):
        advice = advise(evidence(volume))
        rows = {row.variant: row for row in advice.rungs}
        rules = {one.name for one in advice.conditions} | {rule for rule, *_ in RULES}

        assert advice.reasons
        for reason in advice.reasons:
            assert reason.variant in rows
            assert (
                reason.figure in rules or getattr(rows[reason.variant], reason.figure) is not None
            )
            assert any(letter.isdigit() for letter in note_text(reason.note))


# Held-out cases


@pytest.mark.parametrize(
    ("wrongs", "outcome"), [(4, "confirmed"), (12, "contradicted"), (8, "inconclusive")]
)
def test_held_out_cases_confirm_the_choice_or_contradict_it(evidence, wrongs, outcome):
    known = evidence(50_000)
    held = score_rung(
        replace(known.suite, cases=known.suite.cases[:50]), "lora", set(range(wrongs))
    )

    found = advise(replace(known, held_out=held)).confirmation

    assert (found.outcome, found.n) == (outcome, 50)


def test_without_an_expected_answer_there_is_nothing_to_climb_for(evidence):
    known = evidence()
    unscored = (Score(None, None),)
    nothing = {
        name: replace(
            scores, results={k: replace(r, scores=unscored) for k, r in scores.results.items()}
        )
        for name, scores in known.scores.items()
    }

    assert advise(replace(known, scores=nothing)) is None


@every_row("address, is_said", [
    (None, True), ("https://api.fireworks.ai/inference/v1", True),
    # A server of your own has your own weights.
    ("http://localhost:8000/v1", False),
])  # fmt: skip
def test_of_a_hosted_fine_tune_it_is_said_what_stays_yours(evidence, address, is_said):
    known = evidence(50_000, SERVES)
    tuned = replace(known.suite.variants["lora"], provider="openai-compatible", base_url=address)
    suite = replace(known.suite, variants={**known.suite.variants, "lora": tuned})

    advice = advise(replace(known, suite=suite))

    assert told(advice) == ("keep the fine-tune", "lora")
    assert (ReasonKind.LOCKED_IN in {one.kind for one in advice.notes}) == is_said


def test_a_fine_tune_alone_has_nothing_to_be_held_against(evidence):
    advice = advise(evidence(without=("prompt", "examples", "descriptions", "strong")))

    assert told(advice) == ("try a cheaper approach first", "prompt")
