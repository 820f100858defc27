"""The replies that show whether a tuned model answered are requested in stages."""

from __future__ import annotations

import pytest
from ftgate_testing.fake_provider import CASES, House

from pytest_ftgate.gates.notes import IdentityNote
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.runner.evaluate_gate import evaluate_gate
from pytest_ftgate.runner.plan import identity_lines


@pytest.fixture
def tuned(house: House) -> House:
    house.write("{accuracy: {max_drop: 0.05}}", base="parent")
    return house


def probes(house: House) -> int:
    return sum(not text.startswith("Ticket ") for _, text in house.asked)


def test_a_model_that_answers_unlike_its_base_is_proven_by_fifteen_replies_of_each(tuned):
    result = evaluate_gate(tuned.session(), tuned.gate_run())

    assert result.verdict.outcome is Outcome.PASSED
    assert probes(tuned) == 3 * 15
    assert len(tuned.asked) == 2 * CASES + 3 * 15


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


def test_identity_is_asked_for_first_and_ends_the_requests_to_a_model_that_is_its_base(tuned):
    tuned.like_base = {"draft", "parent"}
    session, gate_run = tuned.session(), tuned.gate_run()

    evaluate_gate(session, gate_run, submit_with=[gate_run])
    session.close()

    first = [text for model, text in tuned.asked if model == "draft"][:15]
    assert not any(text.startswith("Ticket ") for text in first)


def test_plan_and_progress_count_the_requests_that_show_identity_and_what_waits_for_them(tuned):
    session, gate_run = tuned.session(), tuned.gate_run()

    assert [*identity_lines(session, [gate_run, gate_run])] == [
        "  identity: draft is first compared with its base: 45 of the requests, at most 180"
    ]
    assert [*identity_lines(session, [tuned.gate_run(variant="current")])] == []
    session.submit([gate_run])
    assert session.replies.progress.planned == 2 * CASES + 3 * 15
