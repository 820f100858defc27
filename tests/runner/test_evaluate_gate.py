"""One loop evaluates a gate: it asks look by look, checks the identity, and stops in time."""

from __future__ import annotations

from functools import partial

import pytest
from ftgate_testing.fake_provider import CASES, House
from ftgate_testing.notes import texts
from ftgate_testing.noting_house import known_replies
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import FtgateError, SuiteError
from pytest_ftgate.gates.design import Look
from pytest_ftgate.gates.notes import IdentityNote
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.providers.base import Provider
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.runner.evaluate_gate import GateResult, evaluate_gate, measure_ungated
from pytest_ftgate.runner.plan import identity_lines


def evaluate(house: House, gate: str = "accuracy", *, accept: bool = False) -> GateResult:
    return evaluate_gate(house.session(accept=accept), house.gate_run(gate))


def test_a_gate_asks_both_variants_and_has_a_verdict_with_facts_and_notes_on_identity(house):
    house.write("{accuracy: {max_drop: 0.05}}")

    verdict = evaluate(house).verdict

    assert len(house.asked) == 2 * CASES
    assert (verdict.outcome, verdict.facts["region"]) == (Outcome.PASSED, "eu")
    assert verdict.facts["model"] == "draft"
    assert "draft retires on 2027-01-31" in texts(verdict.notes)


@pytest.mark.parametrize("accept", [False, True])
def test_a_clear_verdict_ends_the_looks_unless_the_run_accepts(house, accept):
    house.write("{accuracy: {max_drop: 0.05, stop_early: true}}")
    house.wrong = {"draft"}

    result = evaluate(house, accept=accept)

    assert result.verdict.outcome is Outcome.FAILED
    assert (result.look.number == result.look.of) is accept
    assert (len(house.asked) == 2 * CASES) is accept


def test_a_variant_that_another_model_answers_is_invalid_and_asked_no_further(house):
    house.write("{accuracy: {max_drop: 0.05, stop_early: true}}")
    house.served = {"draft": "imposter"}

    result = evaluate(house)

    assert result.verdict.outcome is Outcome.INVALID
    assert headline(result.verdict) == (
        "not what it claims to be: another model answered: imposter, declared draft; if that is "
        "the same model, set served_model: imposter"
    )
    assert result.verdict.facts["served as"] == "imposter"
    assert result.verdict.checks == ()
    assert result.look.number == 1
    # What was in flight with the first reply.
    assert len([model for model, _ in house.asked if model == "draft"]) <= Provider.concurrency


def test_a_scorer_that_cannot_be_used_is_reported_before_anything_is_paid_for(house):
    house.write("{accuracy: {max_drop: 0.05}}", ', score: {python: "nowhere:score"}')

    with pytest.raises(FtgateError, match="nowhere"):
        evaluate(house)

    assert house.asked == []


def test_an_accepted_record_that_cannot_be_read_is_reported_before_anything_is_paid_for(house):
    house.write("{accuracy: {max_drop: 0.05}}")
    (house.folder / "s.accepted.json").write_text("{", "utf-8")

    with pytest.raises(SuiteError, match=r"s\.accepted\.json"):
        evaluate(house)

    assert house.asked == []


def test_a_gate_for_training_data_sends_no_request(house):
    house.write("{accuracy: {max_drop: 0.05}, data: {}}", ', score: {python: "nowhere:score"}')

    verdict = evaluate(house, "data").verdict

    assert verdict.outcome is Outcome.PASSED
    assert headline(verdict).startswith("train.jsonl: ")
    assert house.asked == []


# The proof of a tuned model's identity, which is requested in stages ------------------------------


@pytest.fixture
def tuned(house: House) -> House:
    house.write("{accuracy: {max_drop: 0.05}}", base="parent")
    return house


def probes(house: House) -> int:
    return sum(not text.startswith("Ticket ") for _, text in house.asked)


def test_a_model_that_answers_as_its_base_is_asked_sixty_times_and_no_case_before_it_is_invalid(
    tuned,
):
    tuned.like_base = {"draft", "parent"}
    session = tuned.session()

    verdict = evaluate_gate(session, tuned.gate_run()).verdict
    session.close()

    assert verdict.outcome is Outcome.INVALID
    values = verdict.statement.values
    assert (values["reason"], values["agree"]) == (IdentityNote.SAME_BY_HOST, 60)
    # The gate was evaluated alone, and its cases were not submitted with others.
    assert probes(tuned) == len(tuned.asked) == 3 * 60


# A look at a part of the questions of skills -----------------------------------------------------

#: The questions of the skill, and those of the first look.
LOGIC, THIRD = 67, 23
EARLY = "{accuracy: {min: 0.5, max_drop: 0.1, stop_early: true}}"


def answer_of(request, *, forgets: bool) -> str:
    said = known_replies().get(tuple(text for _, text in request.messages), "No idea.")
    if request.model == "parent":
        return said
    return "refund" if forgets else f"{said} So it is."


@every_row(
    ("forgets", "accept", "asked"),
    [(True, False, THIRD), (True, True, LOGIC), (False, False, LOGIC)],
)
def test_what_has_plainly_forgotten_is_told_by_a_third_of_the_questions_unless_the_run_accepts(
    tmp_path, forgets, accept, asked
):
    house = House(tmp_path, says=partial(answer_of, forgets=forgets))
    gates = "{forgetting: {skills: logic, max_drop: 0.3, stop_early: true}}"
    house.write(gates, base="parent")
    session, gate_run = house.session(accept=accept), house.gate_run("forgetting")

    verdict = evaluate_gate(session, gate_run, submit_with=[gate_run]).verdict

    assert verdict.outcome is (Outcome.FAILED if forgets else Outcome.PASSED)
    assert verdict.check.n == asked
    told = "23 of 67 questions, a third of each skill, were enough"
    assert (told in texts(verdict.notes)) is (asked == THIRD)
    every = {one.fingerprint for group in session.groups(gate_run, Look()) for one in group}
    saved = len(every - session.replies.arrived.keys())
    assert session.count_saved_requests([gate_run]) == saved == 2 * (LOGIC - asked)
    session.close()


# Variants without gates --------------------------------------------------------------------------


@every_row(
    ("gates", "more", "asked"),
    [
        # The draft is right in all cases, which three blocks show.
        (EARLY, "", 60),
        # What a gate needs at once, and what is asked beside the gates, is asked of all sides.
        (EARLY.replace("}}", "}, format: {min: 0.5}}"), "", CASES),
        (EARLY, "ladder: {}\n", CASES),
    ],
)
def test_a_variant_without_gates_is_asked_the_cases_that_gates_have_needed(
    tmp_path, gates, more, asked
):
    house = House(tmp_path)
    house.write(gates)
    path = tmp_path / "s.ftgate.yaml"
    text = path.read_text("utf-8").replace("model: current}", "model: current, gated: false}")
    path.write_text(f"{text}{more}", "utf-8")
    session, suite = house.session(), house.suite()
    known = {} if more else {("draft", "accuracy"): evaluate_gate(session, house.gate_run())}

    accuracy, *_ = measure_ungated(session, suite, known)

    assert accuracy.check.n == asked
    told = f"asked {asked} of {CASES} cases, as many as the gates needed"
    assert (told in texts(accuracy.notes)) is (asked < CASES)
    assert len([model for model, _ in house.asked if model == "current"]) == asked
    session.close()


def test_plan_and_progress_count_the_requests_that_show_identity_and_what_waits_for_them(tuned):
    session, gate_run = tuned.session(), tuned.gate_run()

    assert [*identity_lines(session, [gate_run, gate_run])] == [
        "  identity: draft is first compared with its base: 45 of the requests, at most 180"
    ]
    assert [*identity_lines(session, [tuned.gate_run(variant="current")])] == []
    session.submit([gate_run])
    assert session.replies.progress.planned == 2 * CASES + 3 * 15
