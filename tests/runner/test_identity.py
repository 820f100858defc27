"""The replies that show whether a tuned model answered are requested in stages."""

from __future__ import annotations

import pytest
from house import CASES, House

from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.runner.evaluate import evaluate_gate


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


def test_a_model_that_answers_as_its_base_is_asked_sixty_times_before_it_is_invalid(tuned):
    tuned.like_base = {"draft", "parent"}

    result = evaluate_gate(tuned.session(), tuned.gate_run())

    assert result.verdict.outcome is Outcome.INVALID
    assert "60 of 60 replies are the base model's" in str(result.verdict.statement)
    assert probes(tuned) == 3 * 60
