"""Which scores each kind of gate asks for, and what it makes of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

import pytest
from columns import skill_scores, suite, variant_scores

from pytest_ftgate.gates.judges import JudgeEvidence
from pytest_ftgate.gates.kinds import kind_of
from pytest_ftgate.gates.levels import Levels
from pytest_ftgate.gates.looks import Look
from pytest_ftgate.gates.rates import AcceptedSamples
from pytest_ftgate.gates.samples import samples_from_scores
from pytest_ftgate.gates.usage import ReplyTimes
from pytest_ftgate.gates.verdict import CheckKind, Outcome
from pytest_ftgate.requests.logprobs import Divergence
from pytest_ftgate.suite.gate_kinds import (
    CostGate,
    DataGate,
    DivergenceGate,
    ForgettingGate,
    LatencyGate,
    RateGate,
)
from pytest_ftgate.suite.model import Gate, Suite, Variant

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
    accepted_samples: AcceptedSamples | None = None
    look: Look = field(default_factory=Look)
    levels: Levels = field(default_factory=Levels)
    peak_in_flight: int = 4
    asked: list[object] = field(default_factory=list)

    @property
    def variant(self) -> Variant:
        found = self.suite.variants[self.name]
        return replace(found, sampling={"temperature": self.temperature})

    def _note(self, name, *what):
        self.asked.append((name, *what))
        return self.scores[name]

    def task_scores(self, variant, *, graded=False):
        return self._note(variant.name, *["graded"] * graded)

    def must_pass_scores(self):
        self.asked.append("must pass")

    def accepted(self, gate):
        return self.accepted_samples

    def anchor(self, gate):
        return None

    def baseline_drift(self):
        self.asked.append("drift")
        return ""

    def judge_evidence(self, scores, baseline):
        return self.judges

    def skill_scores(self, variant, gate, mode):
        return self._note("tuned" if variant.base else "base", mode)

    def repeated_skill_scores(self, variant, gate, case_ids):
        return self._note("tuned" if variant.base else "base", *case_ids)

    def level_choices(self, variant):
        return ()

    def divergences(self, variant, gate):
        case = next(iter(variant_scores("new", [1.0]).results.values())).case
        return [(replace(case, id=f"c{i}"), Divergence(4, 0.4, -4.0, -2.0, 0.0)) for i in range(50)]

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
    assert form.asked == [("new",), ("new",)]


def test_a_drop_against_the_baseline_fails_and_one_against_the_accepted_run_too():
    worse = evidence(ACCURACY, tasks(0.5))
    best = variant_scores("new", [1.0] * 100)
    accepted = AcceptedSamples(samples_from_scores(best, "accuracy"), 0)
    slipped = evidence(ACCURACY, accepted_samples=accepted)

    assert verdict(ACCURACY, worse).outcome is Outcome.FAILED
    kinds = [check.kind for check in verdict(ACCURACY, slipped).checks]
    assert CheckKind.ACCEPTED in kinds


def test_the_evidence_on_judges_reaches_the_verdict():
    unlabelled = JudgeEvidence(ungraded_note="two replies have no grade")
    judged = verdict(ACCURACY, evidence(ACCURACY, judges=unlabelled))

    assert "two replies have no grade" in " ".join(map(str, judged.notes))


@pytest.mark.parametrize("gate", [ACCURACY, FORMAT])
def test_a_variant_without_gates_is_measured_with_its_grades(gate):
    given = evidence(gate)
    (measured,) = kind_of(gate).measure(gate, given)

    assert not measured.gated
    assert given.asked == [("new", "graded")]


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
        assert verdict(gate, given).outcome is Outcome.PASSED

    assert alone.asked == [("new",), ("new",)]
    assert both.asked == [("new",), ("current",)]
    assert [*kind_of(limit).measure(limit, alone)]


@pytest.mark.parametrize(
    ("gate", "name", "asked"),
    [(LatencyGate(line=1, max_p50_ms=900), "new", {"new"}),
     (LatencyGate(line=1, max_rise=0.2), "new", {"new", "current"}),
     (LatencyGate(line=1, max_p50_ms=900, max_rise=0.2), "current", {"current"})],
)  # fmt: skip
def test_a_latency_is_compared_with_the_baselines_by_a_gate_that_compares(gate, name, asked):
    given = evidence(gate, {"new": 0.4, "current": 0.4}, name=name)

    assert verdict(gate, given).outcome is Outcome.PASSED
    assert {note for (note,) in given.asked} == asked
    assert [*kind_of(gate).measure(gate, given)]
    (problem,) = kind_of(gate).problems(given.suite, gate)
    assert problem.startswith("0 cases can never bound a median")


@pytest.mark.parametrize(("limit", "outcome"), [(0.2, Outcome.PASSED), (0.05, Outcome.FAILED)])
def test_a_divergence_is_held_to_its_limit(limit, outcome):
    gate = DivergenceGate(line=1, max_kl=limit)

    assert verdict(gate, evidence(gate)).outcome is outcome


def test_training_data_is_read_from_the_file_of_the_variant(tmp_path):
    path = tmp_path / "train.jsonl"
    row = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    path.write_text(f"{json.dumps(row)}\n", "utf-8")
    gate = DataGate(line=1, min_rows=2)
    given = evidence(gate)
    variants = {
        name: replace(variant, training_data=path) for name, variant in given.suite.variants.items()
    }
    given.suite = replace(given.suite, variants=variants)

    assert verdict(gate, given).outcome is Outcome.FAILED
    assert [*kind_of(gate).problems(given.suite, gate)] == []
