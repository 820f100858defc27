"""A baseline on this machine is asked together with the gates that compare with it."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

import pytest
from ftgate_testing.fake_provider import CASES

from pytest_ftgate.runner.gate_requests import Submissions

#: Variants whose requests differ by their longest replies.
LOCAL = """\
variants:
  current: {provider: llamacpp, model: tiny.gguf, max_tokens: 1, gated: false}
  draft: {like: current, max_tokens: 2, gated: true}
  other: {like: current, max_tokens: 3, gated: true}
gates: {accuracy: {min: 0.5, max_drop: none, stop_early: true}}
"""


@pytest.fixture
def sent_together(house, monkeypatch, request):
    """Return the variant and the case of each request that gates submit together, by their names.

    "test_it" is that of a marked function. Gates stop early, unless the parameter is False.
    """
    house.write("{}")
    session = house.session()
    path, stops = house.folder / "s.ftgate.yaml", str(getattr(request, "param", True)).lower()
    local = LOCAL.replace("stop_early: true", f"stop_early: {stops}")
    path.write_text(path.read_text("utf-8").partition("variants:")[0] + local, "utf-8")
    (house.folder / "tiny.gguf").write_bytes(b"GGUF")
    found = []
    monkeypatch.setattr(session.replies, "submit", lambda requests, **_: found.extend(requests))
    runs = {name: house.gate_run(variant=name) for name in ("draft", "other")}
    test_it = replace(runs["draft"].gate, function="test_it")
    runs["test_it"] = replace(runs["draft"], gate=test_it, function_suite=house.suite())

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
