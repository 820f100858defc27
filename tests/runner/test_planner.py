"""The requests of a variant follow from the suite, the variant and what is known of it."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import pytest
from ftgate_testing.fake_provider import CASES, House
from ftgate_testing.judge_suites import suite_with_judge

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.gates.design import Look
from pytest_ftgate.gates.needs import ScoreRequest, When
from pytest_ftgate.runner.evaluate_gate import evaluate_gate
from pytest_ftgate.runner.planner import BuiltRequests, GateRun, Plan, TunedFacts, gate_runs_of
from pytest_ftgate.suite.gate_kinds import CostGate, RateGate
from pytest_ftgate.suite.model import Suite
from pytest_ftgate.suite.skill_levels import LevelChoice

GATES = (
    "{accuracy: {max_drop: 0.05, stop_early: true}, format: {min: 0.5}, "
    "latency: {max_p50_ms: 900}, data: {}, "
    "forgetting: {skills: [logic, reading, hard-mathematics], max_drop: 0.1}}"
)
FACTS = TunedFacts(levels=(LevelChoice("hard-mathematics", 3, is_assumed=True),))


@pytest.fixture
def house(house: House) -> House:
    house.write(GATES, base="parent")
    return house


def loaded(house: House) -> Suite:
    """Return the suite, with a gate on cost and the skills under the prompt too."""
    suite = house.suite()
    cases = (replace(suite.cases[0], must_pass=True), *suite.cases[1:])
    skills = suite.gates["forgetting"]
    first, *others = skills.cases
    skills = replace(skills, cases=(replace(first, must_keep=True), *others), under_prompt=True)
    cost = CostGate(line=1, max_rise=0.1)
    gates = {**suite.gates, "forgetting": skills, "cost": cost}
    draft = replace(suite.variants["draft"], system="Be brief.")
    return replace(suite, cases=cases, gates=gates, variants={**suite.variants, "draft": draft})


def plan(suite: Suite, facts: TunedFacts = FACTS) -> Plan:
    return Plan(suite, suite.variants["draft"], facts, BuiltRequests({}))


def of_draft(suite: Suite, kind: str) -> GateRun:
    return GateRun(suite, suite.gates[kind], suite.variants["draft"])


@pytest.mark.parametrize(
    ("kind", "is_wrong"),
    [
        *(("accuracy", True), ("format", False), ("latency", False), ("cost", True)),
        *(("forgetting", True), ("forgetting", False), ("data", False)),
    ],
)
def test_an_evaluation_sends_what_its_plan_names_and_nothing_else(house, kind, is_wrong):
    house.wrong = {"draft"} if is_wrong else set()
    suite, session = loaded(house), house.session()
    gate_run = of_draft(suite, kind)

    evaluate_gate(session, gate_run)
    session.close()

    made, sent = session.plan(gate_run), session.replies.arrived.keys()
    looks = chain.from_iterable(made.groups(gate_run, look) for look in gate_run.looks)
    later = [*chain(*made.probe_stages), made.pilot, made.identity_probes(gate_run)]
    named = [*looks, *made.possible(gate_run), *later]
    assert sent <= {one.fingerprint for group in named for one in group}
    assert {one.fingerprint for group in made.groups(gate_run) for one in group} <= sent


# --- groups --------------------------------------------------------------------------------------


def test_gates_that_read_the_same_replies_share_the_key_of_their_requests(house):
    suite = loaded(house)
    of_rate, of_cost = (
        plan(suite).groups(of_draft(suite, kind), Look()) for kind in ("accuracy", "cost")
    )

    assert [group.key for group in of_rate] == [group.key for group in of_cost]
    assert [one.request.model for one in chain(*of_rate[:2])] == ["current"] * CASES + [
        "draft"
    ] * CASES


def test_cases_that_may_be_wrong_are_possible_requests_and_no_others(house):
    suite = loaded(house)
    first, again = plan(suite).possible(of_draft(suite, "accuracy"))
    of_base, of_tuned = plan(suite).possible(of_draft(suite, "forgetting"))

    assert {one.case.id for one in (*first, *again)} == {"t000"}
    assert [one.repeat for one in again] == [0, 1, 2]
    assert {one.case.must_keep for one in (*of_base, *of_tuned)} == {True}
    assert [one.request.model for one in of_base] == ["parent"] * 3
    assert plan(suite).possible(of_draft(suite, "format")) == []


def test_the_own_requests_of_a_gate_are_to_its_variant_if_only_for_its_identity(house):
    suite = loaded(house)
    models = {}
    for kind in ("accuracy", "forgetting"):
        own = plan(suite).own_requests(of_draft(suite, kind))
        models[kind] = {one.request.model for one in own}

    assert models == {"accuracy": {"draft"}, "forgetting": {"draft"}}


def test_the_pilot_is_among_the_requests_of_skills_while_it_chooses_the_levels(house):
    suite = loaded(house)
    chosen = (LevelChoice("hard-mathematics", 2, rate=0.6),)
    accepted = (LevelChoice("hard-mathematics", 3),)
    for levels, is_piloted in ((FACTS.levels, True), (chosen, True), (accepted, False)):
        made = plan(suite, TunedFacts(room=512, levels=levels))
        keys = {group.key for group in made.groups(of_draft(suite, "forgetting"))}
        assert (made.pilot.key in keys) is is_piloted
        assert {group.key for group in made.first_probes} <= keys


def test_a_base_that_is_too_weak_for_all_levels_has_no_requests_of_skills(house):
    house.write("{forgetting: {skills: [hard-mathematics], max_drop: 0.1}}", base="parent")
    suite = house.suite()
    weak = TunedFacts(levels=(LevelChoice("hard-mathematics", None, rate=0.1),))

    with pytest.raises(
        ConfigurationError, match=r"^hard-mathematics is left out: .* right in 10 %"
    ):
        plan(suite, facts=weak).requests(ScoreRequest(variant="draft", of_gate="forgetting"))


def test_requests_that_cannot_be_built_raise_the_same_error_again_and_are_built_once():
    built, calls = BuiltRequests({}), []

    def build():
        calls.append("built")
        raise ConfigurationError("no address")

    errors = []
    for _ in range(2):
        with pytest.raises(ConfigurationError) as raised:
            built.cached("key", build)
        errors.append(raised.value)

    assert errors[0] is errors[1]
    assert calls == ["built"]


# --- gate runs -----------------------------------------------------------------------------------


def test_the_gates_of_all_variants_run_once_each(house):
    suite = loaded(house)
    names = [(run.variant.name, run.name) for run in gate_runs_of(suite)]

    assert len(names) == len({*names})
    assert {name for variant, name in names if variant == "draft"} == {*suite.gates}
    assert {name for variant, name in names if variant == "current"} == {
        *("accuracy", "format", "latency", "cost")
    }


@pytest.mark.parametrize(
    ("gate", "is_graded"),
    [
        (RateGate(kind="accuracy", line=1, min=0.5), True),
        (RateGate(kind="accuracy", line=1, min=0.5, function="test_tone"), False),
        (RateGate(kind="format", line=1, min=0.5), False),
        (CostGate(line=1, max_usd_per_1k=5), False),
    ],
)
def test_judges_grade_the_replies_that_the_accuracy_gate_of_a_suite_reads(
    tmp_path, house, gate, is_graded
):
    judge = "{rubric: Is it polite?, model: {provider: anthropic, model: judge}}"
    plain, judged = house.suite(), suite_with_judge(tmp_path, judge)
    (variant,) = judged.variants.values()

    assert GateRun(judged, gate, variant).is_graded is is_graded
    assert not GateRun(plain, gate, plain.variants["draft"]).is_graded


def test_a_function_has_one_look_a_suite_and_a_name_in_the_record_of_its_own(house):
    suite = house.suite()
    gate = RateGate(kind="accuracy", line=1, min=0.5, function="test_tone")
    look = Look(cases=frozenset({"t001"}), repeats=2)
    own = replace(suite, cases=suite.cases[1:2])
    of_function = GateRun(suite, gate, suite.variants["draft"], look=look, function_suite=own)
    of_file = of_draft(suite, "format")

    assert (of_function.looks, of_function.gate_suite) == ((look,), own)
    assert (of_function.name, of_function.accepted_name) == ("test_tone", "test_tone[draft]")
    assert of_function.needs() == of_function.needs(look)
    assert {need.ids for need in of_function.needs()} == {frozenset({"t001"})}
    assert (of_file.gate_suite, of_file.accepted_name) == (suite, "draft")
    assert When.IF_WRONG not in {need.when for need in of_function.needs()}


def test_a_function_that_holds_a_conversation_plans_the_proof_of_identity_alone(house):
    suite = house.suite()
    gate = RateGate(kind="accuracy", line=1, min=0.5, function="test_tone")
    gate_run = GateRun(suite, gate, suite.variants["draft"], look=Look(), planned=False)

    groups = plan(suite).groups(gate_run)

    assert [group.key for group in groups] == [group.key for group in plan(suite).probe_stages[0]]
    assert all(one.case.skill for one in chain(*groups))
