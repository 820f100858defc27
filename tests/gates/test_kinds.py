"""Which scores each kind of gate asks for, and what it makes of them."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import replace
from math import ceil
from types import SimpleNamespace

import pytest
from ftgate_testing.inputs import inputs_of, replied
from ftgate_testing.notes import texts
from ftgate_testing.score_columns import case, case_result, skill_scores, suite, variant_scores
from ftgate_testing.sources import NotedSource
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import Diagnostic, SuiteError
from pytest_ftgate.gates import kinds
from pytest_ftgate.gates.design import Levels, Look
from pytest_ftgate.gates.judges import JudgeEvidence
from pytest_ftgate.gates.kinds import infeasible_limits, kind_of
from pytest_ftgate.gates.needs import Given, GivenScores, Need, When, replies_of
from pytest_ftgate.gates.notes import NoteKind, note, text_note
from pytest_ftgate.gates.samples import samples_from_scores
from pytest_ftgate.gates.verdict import CheckKind, Outcome
from pytest_ftgate.reporting.notes import notes_text
from pytest_ftgate.runner.suite import check_feasibility
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.skills import LEVELS
from pytest_ftgate.suite.cases import leveled_cases
from pytest_ftgate.suite.gate_kinds import (
    CostGate,
    DataGate,
    ForgettingGate,
    LatencyGate,
    RateGate,
)
from pytest_ftgate.suite.model import Gate
from pytest_ftgate.suite.skill_levels import LevelChoice, reference_cases

ACCURACY = RateGate(kind="accuracy", line=1, max_drop=0.1)
FORMAT = RateGate(kind="format", line=1, min=0.8)
RATES = (ACCURACY, FORMAT)
SKILLS = {"facts": (90, 10), "sums": (90, 10)}
BASE = "base of new"


def tasks(rate: float = 0.9, baseline: float = 0.9) -> dict[str, object]:
    shares = {"new": rate, "current": baseline}
    return {
        name: variant_scores(name, [float(i < 100 * share) for i in range(100)])
        for name, share in shares.items()
    }


def given_to(gate: Gate, scores=None, *, name="new", **more) -> Given:
    """Return what *gate* reads of one variant, from a source that notes what is asked."""
    made = suite(gate)
    known = {"temperature": 0.0, "training_data": None, "levels": Levels(), "look": Look(), **more}
    variant = replace(
        made.variants[name],
        sampling={"temperature": known.pop("temperature")},
        training_data=known.pop("training_data"),
    )
    facts = ("look", "levels", "accepted", "anchor", "skill_levels", "peak_in_flight")
    own = {key: known.pop(key) for key in facts if key in known}
    source = NotedSource(scores or tasks(), **known)
    return Given(suite=made, variant=variant, source=source, **own)


def asked(given: Given) -> list[tuple[object, ...]]:
    """Return what was asked for: the variant, how its replies are made, and the cases of a part."""
    return [*map(_named, given.source.asked)]


def _named(need: Need) -> tuple[object, ...]:
    one = replies_of(need)
    how = {"graded": one.graded, one.under: one.under, one.when: one.when is not When.ALWAYS}
    return (one.variant, *(name for name, is_so in how.items() if is_so), *sorted(one.ids or ()))


def verdict(gate: Gate, given: Given):
    return kind_of(gate).evaluate(gate, given)


def test_only_the_gate_that_reads_grades_asks_judges_and_must_pass_cases():
    first = VariantScores("new", {"c1": case_result("c1", 1.0, "refund")})
    accuracy, form = (with_must_pass(given_to(gate, must_pass=(first, None))) for gate in RATES)

    assert verdict(ACCURACY, accuracy).outcome is Outcome.PASSED
    assert verdict(FORMAT, form).outcome is Outcome.PASSED
    must_pass = ("new", "graded", When.IF_WRONG, "c1")
    assert asked(accuracy) == [("new", "graded"), must_pass, ("current", "graded")]
    assert asked(form) == [("new",), ("current", When.IF_SENT)]
    assert accuracy.source.judged == ("new", "current")
    assert (accuracy.source.asked_for_drift, form.source.asked_for_drift) == (True, False)


def test_replies_to_inputs_are_asked_for_and_compared_where_the_gate_reads_them():
    inputs = inputs_of(200)
    replies = {
        name: replied(name, inputs.cases, lambda at, name=name: name if at < 2 else "late")
        for name in ("current", "new")
    }
    for gate, name, differing in (
        (ACCURACY, "new", 2),
        (ACCURACY, "current", 0),
        (FORMAT, "new", 0),
    ):
        given = given_to(gate, name=name)
        source = GivenScores(tasks(), of_inputs=replies)
        given = replace(given, suite=replace(given.suite, inputs=inputs), source=source)

        asked = [need.variant for need in kind_of(gate).needs(gate, given) if need.of_inputs]
        checks = verdict(gate, given).checks

        assert asked == ["current", "new"][:differing]
        assert sum(one.inputs.differing for one in checks if one.inputs) == differing


def test_a_kind_that_is_not_listed_is_that_of_the_module_of_its_name(monkeypatch):
    module = SimpleNamespace(KIND=kind_of(FORMAT))
    monkeypatch.setattr(kinds, "KINDS", {})
    monkeypatch.setitem(sys.modules, "pytest_ftgate.gates.format", module)

    assert kind_of(FORMAT) is module.KIND


def with_must_pass(given: Given) -> Given:
    """Return *given* with one case that must pass."""
    cases = (replace(case("c1"), must_pass=True),)
    return replace(given, suite=replace(given.suite, cases=cases))


def test_a_drop_fails_against_the_baseline_and_not_after_a_drift():
    assert verdict(ACCURACY, given_to(ACCURACY, tasks(0.5))).outcome is Outcome.FAILED

    (check,) = verdict(ACCURACY, given_to(ACCURACY, drift=text_note("it moved"))).checks

    assert (check.outcome, check.has_drifted) == (Outcome.INCONCLUSIVE, True)
    assert check.notes == (text_note("it moved"),)


def test_the_evidence_on_judges_reaches_the_verdict():
    lost = note(NoteKind.UNGRADED, n=2, of=4, first="no grade")
    unlabelled = JudgeEvidence(ungraded=lost)
    given, ungraded = (given_to(gate, judges=unlabelled) for gate in (ACCURACY, FORMAT))

    assert lost in verdict(ACCURACY, given).notes
    assert given.source.judged == ("new", "current")
    assert verdict(FORMAT, ungraded).notes == ()
    assert ungraded.source.judged == ()


def test_all_that_is_known_of_a_variant_reaches_the_verdict_of_a_rate():
    best = samples_from_scores(variant_scores("new", [1.0] * 100), "accuracy")
    gate = replace(ACCURACY, min=0.5)
    first = case_result("first", 0.0, "late_delivery")
    wrong = replace(first, case=replace(first.case, must_pass=True))
    given = given_to(
        gate, accepted=best, anchor=best, levels=Levels(alarm=0.002, shared=5),
        must_pass=(VariantScores("new", {"first": wrong}), None),
        look=Look(number=2, of=3, repeats=2, fractions=(0.3, 0.6)),
    )  # fmt: skip

    found = verdict(gate, with_must_pass(given))

    of_drops = [CheckKind.BASELINE, CheckKind.ACCEPTED, CheckKind.ANCHOR]
    kinds = [check.kind for check in found.checks]
    assert kinds == [CheckKind.MUST_PASS, CheckKind.MINIMUM, *of_drops]
    assert [(check.against, check.limit, check.shared) for check in found.checks[2:]] == [
        (name, 0.1, 5) for name in ("current", "accepted", "anchor")
    ]
    assert len({check.alarm for check in found.checks[2:]}) == 1
    assert note(NoteKind.LOOK_REPLIES, look=2, of=3, repeats=2) in found.notes


SOME_SKILLS = tuple(case(f"facts-{n}", skill="facts") for n in range(20))


@every_row(
    ("gates", "problems"),
    [
        ((RateGate(kind="accuracy", line=1, max_drop=0.01),), (NoteKind.DROP_NEVER_SHOWN,)),
        ((ForgettingGate(line=1, cases=SOME_SKILLS, max_drop=0.01),), (NoteKind.DROP_NEVER_SHOWN,)),
        ((DataGate(line=1),), ()),
        (
            (CostGate(line=1, max_rise=0.1), LatencyGate(line=2, max_p95_ms=9)),
            (NoteKind.PRICE_WITHOUT_BOUND, NoteKind.P95_NEVER_BOUND),
        ),
    ],
)
def test_all_that_no_replies_could_pass_are_errors_of_the_suite_that_name_the_gate(gates, problems):
    made = replace(suite(*gates), cases=tuple(case(f"c{n}") for n in range(20)))

    found = [*infeasible_limits(made)]

    assert [problem.kind for _, (problem,) in found] == [*problems]
    if not problems:
        check_feasibility(made)
        return
    with pytest.raises(SuiteError) as raised:
        check_feasibility(made)
    assert raised.value.errors == [
        Diagnostic("suite.ftgate.yaml", gate.line, f"{gate.kind}: {notes_text(problem)}")
        for gate, problem in found
    ]


@every_row("gate", [ACCURACY, FORMAT])
def test_a_variant_without_gates_is_measured_with_its_grades(gate):
    given = given_to(gate)
    (measured,) = kind_of(gate).measure(gate, given)

    assert (measured.gated, measured.variant, measured.gate) == (False, "new", gate.kind)
    assert measured.check.after == 0.9
    assert asked(given) == [("new", "graded"), ("current", "graded", When.IF_SENT)]
    assert measured.shown_change is not None
    assert (measured.shown_change.against, measured.shown_change.after) == ("current", 0.9)


def skills(mine, base):
    return {"new": skill_scores("new", mine), BASE: skill_scores(BASE, base)}


def forgetting(scores) -> ForgettingGate:
    cases = tuple(result.case for result in scores[BASE].results.values())
    return ForgettingGate(line=9, cases=cases, max_drop=0.1)


def test_skills_are_compared_with_the_base_and_under_the_prompt_where_the_gate_says_so():
    scores = skills({"facts": (30, 70), "sums": (30, 70)}, SKILLS)
    gate = replace(forgetting(scores), under_prompt=True)
    given = given_to(gate, scores, levels=Levels(alarm=0.002, shared=5))

    found = verdict(gate, given)

    assert found.outcome is Outcome.FAILED
    assert asked(given) == [("new",), (BASE,), ("new", "prompt"), (BASE, "prompt")]
    assert [check.under for check in found.checks] == ["", "prompt"]
    assert {(check.alarm, check.shared) for check in found.checks} == {(0.002, 5)}


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
    given = given_to(gate, scores, training_data=path, skill_levels=(LevelChoice("facts", 2, 0.7),))

    notes = texts(verdict(gate, given).notes)

    assert notes[0] == "levels: facts 2 (base right in 70 %)"
    assert notes[1].startswith("1 skills case stands in train.jsonl (line 1: facts-0)")


def priced(given: Given) -> Given:
    """Return *given* with variants that have a price."""
    variants = {
        name: replace(variant, tariff=replace(variant.tariff, per_1k=1.0))
        for name, variant in given.suite.variants.items()
    }
    return replace(given, suite=replace(given.suite, variants=variants))


def test_a_price_is_compared_with_the_baselines_only_by_a_gate_that_compares():
    limit, rise = CostGate(line=1, max_usd_per_1k=5), CostGate(line=1, max_rise=0.1)
    alone, both = priced(given_to(limit)), priced(given_to(rise))
    for gate, given in ((limit, alone), (rise, both)):
        found = verdict(gate, given)
        assert (found.outcome, found.variant, len(found.checks)) == (Outcome.PASSED, "new", 1)

    assert asked(alone) == [("new",), ("new",)]
    assert asked(both) == [("new",), ("current",)]
    (measured,) = kind_of(limit).measure(limit, alone)
    assert (measured.gated, measured.variant, measured.check.after) == (False, "new", 1.0)
    assert asked(alone)[2:] == [("new", "graded")]


@every_row(
    ("gate", "name", "names", "checks"),
    [(LatencyGate(line=1, max_p50_ms=900), "new", {"new"}, 1),
     (LatencyGate(line=1, max_p50_ms=900, max_rise=0.2), "new", {"new", "current"}, 2),
     (LatencyGate(line=1, max_p50_ms=900, max_rise=0.2), "current", {"current"}, 1)],
)  # fmt: skip
def test_a_latency_is_compared_with_the_baselines_by_a_gate_that_compares(
    gate, name, names, checks
):
    seconds = {"new": 0.4, "current": 0.4}
    given = given_to(gate, seconds=seconds, name=name, peak_in_flight=4)

    found = verdict(gate, given)
    assert (found.outcome, found.variant, len(found.checks)) == (Outcome.PASSED, name, checks)
    assert found.notes == (note(NoteKind.IN_FLIGHT, n=4),)
    assert {request.replies.variant for request in given.source.asked} == names
    (measured,) = kind_of(gate).measure(gate, given)
    assert (measured.gated, measured.variant) == (False, name)
    ((problem,),) = kind_of(gate).problems(given.suite, gate)
    assert problem.kind == NoteKind.MEDIAN_NEVER_BOUND


def test_training_data_is_read_from_the_file_of_the_variant(tmp_path):
    path = tmp_path / "train.jsonl"
    row = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    path.write_text(f"{json.dumps(row)}\n", "utf-8")
    gate = DataGate(line=1, min_rows=2)
    given = given_to(gate, training_data=path)
    assert verdict(gate, given).outcome is Outcome.FAILED
    assert [*kind_of(gate).problems(given.suite, gate)] == []


def test_the_first_look_at_skills_with_levels_has_a_third_of_the_questions_of_each_level():
    family = "hard-mathematics"
    gate = ForgettingGate(
        line=1, cases=reference_cases([family]), leveled=(family,), stop_early=True
    )

    first, last = kind_of(gate).looks(suite(gate), gate, replies_vary=False)

    for level in LEVELS:
        cases = {case.id for case in leveled_cases(family, level)}
        skills = Counter(case.skill for case in leveled_cases(family, level))
        assert len(cases & first.cases) == sum(ceil(n / 3) for n in skills.values())
        assert cases <= last.cases
