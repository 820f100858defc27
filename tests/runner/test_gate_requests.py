"""The requests of a tuned variant wait for the proof of its identity, those of others do not."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

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


# Baselines on this machine -----------------------------------------------------------------------

#: Variants whose requests differ by their longest replies.
LOCAL = """\
variants:
  current: {provider: llamacpp, model: tiny.gguf, max_tokens: 1, gated: false}
  draft: {like: current, max_tokens: 2, gated: true}
  other: {like: current, max_tokens: 3, gated: true}
gates: {accuracy: {min: 0.5, max_drop: none, stop_early: true}}
"""


@pytest.fixture
def sent_together(tuned, session, monkeypatch, request):
    """Return the variant and the case of each request that gates submit together, by their names.

    "test_it" is that of a marked function. Gates stop early, unless the parameter is False.
    """
    path, stops = tuned.folder / "s.ftgate.yaml", str(getattr(request, "param", True)).lower()
    local = LOCAL.replace("stop_early: true", f"stop_early: {stops}")
    path.write_text(path.read_text("utf-8").partition("variants:")[0] + local, "utf-8")
    (tuned.folder / "tiny.gguf").write_bytes(b"GGUF")
    found = []
    monkeypatch.setattr(session.replies, "submit", lambda requests, **_: found.extend(requests))
    runs = {name: tuned.gate_run(variant=name) for name in ("draft", "other")}
    test_it = replace(runs["draft"].gate, function="test_it")
    runs["test_it"] = replace(runs["draft"], gate=test_it, function_suite=tuned.suite())

    def submit(*names):
        submissions = Submissions(session.built, session.probe, session.replies)
        submissions.submit([runs[name] for name in names])
        variants = ("current", "draft", "other")
        return [(variants[one.max_tokens - 1], one.messages[-1]) for one in found]

    return submit


@pytest.mark.parametrize(
    ("sent_together", "first"), [(True, 20), (False, CASES)], indirect=["sent_together"]
)
def test_a_baseline_on_this_machine_without_a_gate_is_submitted_with_the_first_gate_as_it_looks(
    sent_together, first
):
    sent = sent_together("draft", "other")

    runs = [(name, len([*same])) for name, same in groupby(name for name, _ in sent)]
    assert runs == [("draft", first), ("current", first), ("other", first)]
    # Those of one look come together.
    assert {case for _, case in sent[:first]} == {case for _, case in sent[first : 2 * first]}


@pytest.mark.parametrize("gates", [("draft",), ("draft", "test_it")])
def test_gates_that_are_no_whole_suite_submit_no_baseline(sent_together, gates):
    assert {name for name, _ in sent_together(*gates)} == {"draft"}
