"""The recommendation for a suite, made without pytest."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pytest_ftgate.runner.recommend import suite_advice


def test_gates_that_other_processes_evaluated_have_facts_too(house):
    """Facts show, for example, that a model retires soon."""
    house.retires = (datetime.now(UTC) + timedelta(days=5)).date().isoformat()
    house.write("{accuracy: {max_drop: 0.05}}")

    advice = suite_advice(house.session(), house.suite(), known={}, ungated=())

    assert advice is not None
    assert {name for model in advice.retiring for name in model.variants} == {"current", "draft"}


@pytest.mark.parametrize(
    "asking",
    ["ladder: {}", "economics: {calls_per_day: 5}", "serves: draft", "challengers: [draft]"],
)
def test_a_suite_asks_for_advice_by_its_keys(house, asking):
    house.write("{accuracy: {max_drop: 0.05}}")
    with (house.folder / "s.ftgate.yaml").open("a", encoding="utf-8") as file:
        file.write(f"{asking}\n")

    assert house.suite().asks_for_advice


def test_cases_that_are_held_out_ask_for_advice_and_gates_alone_do_not(house):
    house.write("{accuracy: {max_drop: 0.05}}")
    plain = house.suite()

    assert not plain.asks_for_advice
    assert replace(plain, holdout=plain.cases[:1]).asks_for_advice
