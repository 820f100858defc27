"""The requests of a tuned variant wait for the proof of its identity, those of others do not."""

from __future__ import annotations

import pytest
from ftgate_testing.fake_provider import CASES, House

from pytest_ftgate.runner.gate_requests import Submissions


@pytest.fixture
def tuned(house: House) -> House:
    house.write("{accuracy: {max_drop: 0.05}, format: {min: 0.9}}", base="parent")
    return house


@pytest.fixture
def submitted() -> list[str]:
    """The models of the requests that were submitted, in their order; *first* ones in capitals."""
    return []


@pytest.fixture
def session(tuned):
    return tuned.session()


@pytest.fixture
def submissions(session, submitted, monkeypatch) -> Submissions:
    seen = set()

    def submit(requests, *, first=False):
        # The engine ignores what was submitted before.
        new = {request.fingerprint: request.model for request in requests}
        names = [model for key, model in new.items() if key not in seen]
        seen.update(new)
        submitted.extend(map(str.upper, names) if first else names)

    monkeypatch.setattr(session.replies, "submit", submit)
    return Submissions(session.built, session.probe, session.replies)


def gates(house):
    return [
        house.gate_run(kind, variant)
        for variant in ("draft", "current")
        for kind in ("accuracy", "format")
    ]


def test_only_the_probes_of_an_unproven_variant_are_submitted(
    tuned, session, submissions, submitted
):
    submissions.submit(gates(tuned))

    assert submitted == ["parent"] * 30 + ["draft"] * 15 + ["current"] * CASES
    assert session.replies.held == CASES
    of_draft, of_current = gates(tuned)[0], gates(tuned)[2]
    assert not submissions.is_submitted(of_draft)
    assert submissions.is_submitted(of_current)


def test_the_rest_of_a_proven_variant_goes_first(tuned, session, submissions, submitted):
    submissions.submit(gates(tuned))
    submitted.clear()

    submissions.submit_proven(gates(tuned)[0], is_valid=True)

    assert {*submitted} <= {"DRAFT", "PARENT", "CURRENT"}
    assert submitted.count("DRAFT") >= CASES
    assert session.replies.held == 0


def test_nothing_more_is_submitted_of_a_variant_that_is_invalid(
    tuned, session, submissions, submitted
):
    submissions.submit(gates(tuned))
    submitted.clear()

    submissions.submit_proven(gates(tuned)[0], is_valid=False)
    submissions.submit(gates(tuned))

    assert submitted == []
    assert session.replies.held == 0
