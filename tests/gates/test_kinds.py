"""Which scores each kind of gate asks for, and what it makes of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from ftgate_testing.notes import texts
from ftgate_testing.score_columns import case, case_result, skill_scores, suite, variant_scores

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.gates.design import Levels, Look
from pytest_ftgate.gates.figures import ReplyTimes
from pytest_ftgate.gates.judges import JudgeEvidence
from pytest_ftgate.gates.kinds import kind_of
from pytest_ftgate.gates.notes import Note, NoteKind, note, text_note
from pytest_ftgate.gates.samples import Samples, samples_from_scores
from pytest_ftgate.gates.verdict import CheckKind, Outcome
from pytest_ftgate.requests.logprobs import Divergence
from pytest_ftgate.runner.feasibility import check_feasibility
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.suite.gate_kinds import (
    CostGate,
    DataGate,
    DivergenceGate,
    ForgettingGate,
    LatencyGate,
    RateGate,
)
from pytest_ftgate.suite.model import Gate, Suite, Variant
from pytest_ftgate.suite.skill_levels import LevelChoice

ACCURACY = RateGate(kind="accuracy", line=1, max_drop=0.1)
FORMAT = RateGate(kind="format", line=1, min=0.8)
SKILLS = {"facts": (90, 10), "sums": (90, 10)}


@dataclass
class Evidence:
    """Evidence by the name of a variant, with a note of all that is asked for."""

    suite: Suite
    name: str = "new"
    scores: dict[str, object] = field(default_factory=dict)
    temperature: float = 0.0
    judges: JudgeEvidence | None = None
    accepted_samples: Samples | None = None
    anchor_samples: Samples | None = None
    must_pass: object = None
    drift: Note | None = None
    judged: tuple[str, ...] = ()
    choices: tuple[LevelChoice, ...] = ()
    training_data: Path | None = None
    look: Look = field(default_factory=Look)
    levels: Levels = field(default_factory=Levels)
    peak_in_flight: int = 4
    asked: list[object] = field(default_factory=list)

    @property
    def variant(self) -> Variant:
        found = self.suite.variants[self.name]
        sampling = {"temperature": self.temperature}
        return replace(found, sampling=sampling, training_data=self.training_data)

    def _note(self, name, *what):
        self.asked.append((name, *what))
        return self.scores[name]

    def task_scores(self, variant, *, graded=False):
        return self._note(variant.name, *["graded"] * graded)

    def shown_baseline(self, *, graded):
        self.asked.append("shown baseline")
        return self.scores.get("current")

    def must_pass_scores(self):
        self.asked.append("must pass")
        return self.must_pass

    def accepted(self, gate):
        return self.accepted_samples, self.anchor_samples

    def baseline_drift(self):
        self.asked.append("drift")
        return self.drift

    def judge_evidence(self, scores, baseline):
        self.judged = scores.variant, baseline.variant
        return self.judges

    def skill_scores(self, variant, gate, mode):
        return self._note("tuned" if variant.base else "base", mode)

    def repeated_skill_scores(self, variant, gate, case_ids):
        return self._note("tuned" if variant.base else "base", *case_ids)

    def level_choices(self, variant):
        assert variant.name == self.name
        return self.choices

    def divergences(self, variant, gate):
        return [(case(f"c{i}"), Divergence(4, 0.4, -4.0, -2.0, 0.0)) for i in range(50)]

    def reply_times(self, variant):
        taken = self._note(variant.name)
        seconds = {f"c{i}": (taken + i / 1000,) for i in range(100)}
        groups = {name: name for name in seconds}
        return ReplyTimes(
            variant=variant.name, seconds=seconds, groups=groups, replies=len(seconds)
        )


def tasks(rate: float = 0.9, baseline: float = 0.9) -> dict[str, object]:
    shares = {"new": rate, "current": baseline}
    return {
        name: variant_scores(name, [float(i < 100 * share) for i in range(100)])
        for name, share in shares.items()
    }


def evidence(gate: Gate, scores=None, **more) -> Evidence:
    return Evidence(suite(gate), scores=scores or tasks(), **more)


def verdict(gate: Gate, given: Evidence):
    return kind_of(gate).evaluate(gate, given)


def test_only_the_gate_that_reads_grades_asks_judges_and_must_pass_cases():
    accuracy, form = evidence(ACCURACY), evidence(FORMAT)

    assert verdict(ACCURACY, accuracy).outcome is Outcome.PASSED
    assert verdict(FORMAT, form).outcome is Outcome.PASSED
    assert accuracy.asked == [("new", "graded"), "must pass", "drift", ("current", "graded")]
    assert form.asked == [("new",), ("new",), "shown baseline"]


def test_a_drop_against_the_baseline_fails_and_one_against_the_accepted_run_too():
    worse = evidence(ACCURACY, tasks(0.5))
    best = variant_scores("new", [1.0] * 100)
    accepted = samples_from_scores(best, "accuracy")
    slipped = evidence(ACCURACY, accepted_samples=accepted)

    assert verdict(ACCURACY, worse).outcome is Outcome.FAILED
    kinds = [check.kind for check in verdict(ACCURACY, slipped).checks]
    assert CheckKind.ACCEPTED in kinds


def test_the_evidence_on_judges_reaches_the_verdict():
    lost = note(NoteKind.UNGRADED, n=2, of=4, first="no grade")
    unlabelled = JudgeEvidence(ungraded=lost)
    given, ungraded = (evidence(gate, judges=unlabelled) for gate in (ACCURACY, FORMAT))

    assert lost in verdict(ACCURACY, given).notes
    assert given.judged == ("new", "current")
    assert verdict(FORMAT, ungraded).notes == ()
    assert ungraded.judged == ()


def test_all_that_is_known_of_a_variant_reaches_the_verdict_of_a_rate():
    best = samples_from_scores(variant_scores("new", [1.0] * 100), "accuracy")
    gate = replace(ACCURACY, min=0.5)
    first = case_result("first", 0.0, "late_delivery")
    wrong = replace(first, case=replace(first.case, must_pass=True))
    given = evidence(
        gate,
        accepted_samples=best,
        anchor_samples=best,
        must_pass=(VariantScores("new", {"first": wrong}), None),
        levels=Levels(alarm=0.002, shared=5),
        look=Look(number=2, of=3, repeats=2, fractions=(0.3, 0.6)),
    )

    found = verdict(gate, given)

    assert [check.kind for check in found.checks] == [
        CheckKind.MUST_PASS,
        CheckKind.MINIMUM,
        CheckKind.BASELINE,
        CheckKind.ACCEPTED,
        CheckKind.ANCHOR,
    ]
    assert {check.shared for check in found.checks[2:]} == {5}
    assert note(NoteKind.LOOK_REPLIES, look=2, of=3, repeats=2) in found.notes


def test_a_baseline_that_has_drifted_is_not_compared():
    (check,) = verdict(ACCURACY, evidence(ACCURACY, drift=text_note("it moved"))).checks

    assert (check.outcome, check.has_drifted) == (Outcome.INCONCLUSIVE, True)
    assert check.notes == (text_note("it moved"),)


def few_cases(gate: Gate, count: int = 20) -> Suite:
    return replace(suite(gate), cases=tuple(case(f"c{n}") for n in range(count)))


SOME_SKILLS = tuple(case(f"facts-{n}", skill="facts") for n in range(20))


@pytest.mark.parametrize(
    ("gate", "problem"),
    [
        (
            RateGate(kind="accuracy", line=1, max_drop=0.01),
            "max_drop: 0.01 can never be shown with 20 cases, even if every reply is the same",
        ),
        (
            ForgettingGate(line=1, cases=SOME_SKILLS, max_drop=0.01),
            "max_drop: 0.01 can never be shown with 20 cases, even if every reply is the same",
        ),
        (CostGate(line=1, max_rise=0.1), "20 cases can never bound a mean price; it takes 30 "),
        (LatencyGate(line=1, max_p95_ms=9), "20 cases can never bound the 95th percentile; it "),
        (DivergenceGate(line=1, max_kl=0.1), "20 unrelated cases can never bound max_kl; it "),
        (DataGate(line=1), None),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_what_no_replies_could_pass_is_an_error_of_the_suite_that_names_the_gate(gate, problem):
    made = few_cases(gate)

    if problem is None:
        check_feasibility(made)
        return
    with pytest.raises(SuiteError) as raised:
        check_feasibility(made)
    (error,) = raised.value.errors
    assert error.message.startswith(f"{gate.kind}: {problem}")
    assert (error.path, error.line) == ("suite.ftgate.yaml", 1)


def test_the_problems_of_all_gates_are_told_at_once():
    gates = (CostGate(line=1, max_rise=0.1), LatencyGate(line=2, max_p95_ms=9))
    made = replace(suite(*gates), cases=few_cases(gates[0]).cases)

    with pytest.raises(SuiteError) as raised:
        check_feasibility(made)

    assert raised.value.suite == "suite.ftgate.yaml"
    assert [error.line for error in raised.value.errors] == [1, 2]
    check_feasibility(replace(made, gates={}))


@pytest.mark.parametrize("gate", [ACCURACY, FORMAT])
def test_a_variant_without_gates_is_measured_with_its_grades(gate):
    given = evidence(gate)
    (measured,) = kind_of(gate).measure(gate, given)

    assert (measured.gated, measured.variant, measured.gate) == (False, "new", gate.kind)
    assert measured.check.after == 0.9
    assert given.asked == [("new", "graded"), "shown baseline"]
    assert measured.shown_change is not None
    assert (measured.shown_change.against, measured.shown_change.after) == ("current", 0.9)


def skills(mine, base):
    return {"tuned": skill_scores("new", mine), "base": skill_scores("base", base)}


def forgetting(scores) -> ForgettingGate:
    cases = tuple(result.case for result in scores["base"].results.values())
    return ForgettingGate(line=9, cases=cases, max_drop=0.1)


@pytest.mark.parametrize(
    ("after", "outcome"),
    [({"facts": (90, 10), "sums": (90, 10)}, Outcome.PASSED),
     ({"facts": (30, 70), "sums": (30, 70)}, Outcome.FAILED)],
)  # fmt: skip
def test_a_tuned_variant_is_compared_with_its_base(after, outcome):
    scores = skills(after, SKILLS)
    gate = forgetting(scores)
    given = evidence(gate, scores)

    assert verdict(gate, given).outcome is outcome
    assert given.asked == [("tuned", ""), ("base", "")]
    assert [*kind_of(gate).measure(gate, given)] == []


def test_skills_are_compared_under_the_prompt_too_where_the_gate_says_so():
    scores = skills(SKILLS, SKILLS)
    gate = replace(forgetting(scores), under_prompt=True)
    given = evidence(gate, scores, levels=Levels(alarm=0.002, shared=5))

    found = verdict(gate, given)

    assert given.asked == [("tuned", ""), ("base", ""), ("tuned", "prompt"), ("base", "prompt")]
    assert [(check.under, check.alarm, check.shared) for check in found.checks] == [
        ("", 0.002, 5),
        ("prompt", 0.002, 5),
    ]


def test_skills_that_were_trained_on_and_the_levels_of_families_are_noted(tmp_path):
    path = tmp_path / "train.jsonl"
    asked = "What is the capital of the large and old country in the east?"
    row = {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": "b"}]}
    path.write_text(f"{json.dumps(row)}\n", "utf-8")
    scores = {
        name: replace(
            one,
            results={
                key: replace(row, case=replace(row.case, input=asked)) if key == "facts-0" else row
                for key, row in one.results.items()
            },
        )
        for name, one in skills(SKILLS, SKILLS).items()
    }
    gate = forgetting(scores)
    given = evidence(gate, scores, training_data=path, choices=(LevelChoice("facts", 2, 0.7),))

    notes = texts(verdict(gate, given).notes)

    assert notes[0] == "levels: facts 2 (base right in 70 %)"
    assert notes[1].startswith("1 skills case stands in train.jsonl (line 1: facts-0)")


def must_keep(scores, right: float):
    """Return *scores* with a first case that must be kept."""
    first, *others = scores.results.values()
    kept = replace(
        first,
        case=replace(first.case, must_keep=True),
        scores=tuple(replace(score, correct=right) for score in first.scores),
    )
    results = [kept, *others]
    return replace(scores, results={result.case.id: result for result in results})


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_a_broken_case_that_must_be_kept_is_asked_again_where_replies_vary(temperature):
    scores = skills(SKILLS, SKILLS)
    scores = {name: must_keep(one, float(name == "base")) for name, one in scores.items()}
    gate = forgetting(scores)
    given = evidence(gate, scores, temperature=temperature)

    assert verdict(gate, given).breaks
    again = [("tuned", "facts-0"), ("base", "facts-0")] if temperature else []
    assert given.asked == [("tuned", ""), ("base", ""), *again]


def test_a_price_is_compared_with_the_baselines_only_by_a_gate_that_compares():
    limit, rise = CostGate(line=1, max_usd_per_1k=5), CostGate(line=1, max_rise=0.1)
    alone, both = evidence(limit), evidence(rise)
    for gate, given in ((limit, alone), (rise, both)):
        priced = {
            name: replace(variant, tariff=replace(variant.tariff, per_1k=1.0))
            for name, variant in given.suite.variants.items()
        }
        given.suite = replace(given.suite, variants=priced)
        found = verdict(gate, given)
        assert (found.outcome, found.variant, len(found.checks)) == (Outcome.PASSED, "new", 1)

    assert alone.asked == [("new",), ("new",)]
    assert both.asked == [("new",), ("current",)]
    (measured,) = kind_of(limit).measure(limit, alone)
    assert (measured.gated, measured.variant, measured.check.after) == (False, "new", 1.0)
    assert alone.asked[2:] == [("new", "graded")]


@pytest.mark.parametrize(
    ("gate", "name", "asked", "checks"),
    [(LatencyGate(line=1, max_p50_ms=900), "new", {"new"}, 1),
     (LatencyGate(line=1, max_p50_ms=900, max_rise=0.2), "new", {"new", "current"}, 2),
     (LatencyGate(line=1, max_p50_ms=900, max_rise=0.2), "current", {"current"}, 1)],
)  # fmt: skip
def test_a_latency_is_compared_with_the_baselines_by_a_gate_that_compares(
    gate, name, asked, checks
):
    given = evidence(gate, {"new": 0.4, "current": 0.4}, name=name)

    found = verdict(gate, given)
    assert (found.outcome, found.variant, len(found.checks)) == (Outcome.PASSED, name, checks)
    assert found.notes == (note(NoteKind.IN_FLIGHT, n=4),)
    assert {one for (one,) in given.asked} == asked
    (measured,) = kind_of(gate).measure(gate, given)
    assert (measured.gated, measured.variant) == (False, name)
    ((problem,),) = kind_of(gate).problems(given.suite, gate)
    assert problem.kind == NoteKind.MEDIAN_NEVER_BOUND


@pytest.mark.parametrize(("limit", "outcome"), [(0.2, Outcome.PASSED), (0.05, Outcome.FAILED)])
def test_a_divergence_is_held_to_its_limit(limit, outcome):
    gate = DivergenceGate(line=1, max_kl=limit)

    found = verdict(gate, evidence(gate))

    assert (found.outcome, found.variant, found.suite) == (outcome, "new", "suite.ftgate.yaml")
    assert [*kind_of(gate).measure(gate, evidence(gate))] == []


def test_training_data_is_read_from_the_file_of_the_variant(tmp_path):
    path = tmp_path / "train.jsonl"
    row = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    path.write_text(f"{json.dumps(row)}\n", "utf-8")
    gate = DataGate(line=1, min_rows=2)
    given = evidence(gate, training_data=path)
    assert verdict(gate, given).outcome is Outcome.FAILED
    assert [*kind_of(gate).problems(given.suite, gate)] == []
