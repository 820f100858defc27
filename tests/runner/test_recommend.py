"""The recommendation for a suite, made without pytest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pytest_ftgate.runner.recommend import suite_advice


def test_gates_that_other_processes_evaluated_have_facts_too(house):
    """Facts show, for example, that a model retires soon."""
    house.retires = (datetime.now(UTC) + timedelta(days=5)).date().isoformat()
    house.write("{accuracy: {max_drop: 0.05}}")

    advice = suite_advice(house.session(), house.suite(), known={}, ungated=(), on_progress=None)

    assert advice is not None
    assert {name for model in advice.retiring for name in model.variants} == {"current", "draft"}
