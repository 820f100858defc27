"""The recommendation for a suite, made without pytest."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ftgate_testing.tables import every_row

from pytest_ftgate.runner.recommend import suite_advice


def test_gates_that_other_processes_evaluated_have_facts_too(house):
    """Facts show, for example, that a model retires soon."""
    house.retires = (datetime.now(UTC) + timedelta(days=5)).date().isoformat()
    house.write("{accuracy: {max_drop: 0.05}}")

    advice = suite_advice(house.session(), house.suite(), known={}, ungated=())

    assert advice is not None
    assert {name for model in advice.retiring for name in model.variants} == {"current", "draft"}


@every_row(
    "asking",
    ["", "ladder: {}", "economics: {calls_per_day: 5}", "serves: draft", "challengers: [draft]"],
)
def test_a_suite_asks_for_advice_by_its_keys_and_by_held_out_cases(house, asking):
    house.write("{accuracy: {max_drop: 0.05}}")
    with (house.folder / "s.ftgate.yaml").open("a", encoding="utf-8") as file:
        file.write(f"{asking}\n")
    suite = house.suite()

    assert suite.asks_for_advice is bool(asking)
    assert replace(suite, holdout=suite.cases[:1]).asks_for_advice
