"""A gate that may look more than once: it stops when it knows, and asks on while it does not."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from itertools import groupby

import pytest

from pytest_ftgate.client.engine import Engine

#: Replies that vary: each is wrong one time in twenty, another time for each case.
NOISY = """\
from collections import Counter
from pathlib import Path

ASKED = Path(__file__).with_name("asked.txt")
times = Counter()

def noisy(case, step):
    with ASKED.open("a") as stream:
        stream.write(case.id + "\\n")
    times[case.id, step] += 1
    unlucky = (int(case.id[1:]) * step + times[case.id, step] * 7) % 20 == 0
    return "other" if unlucky else case.expected

def answer(case):
    return noisy(case, 3)

def draft(case):
    return noisy(case, 11)

def broken(case):
    noisy(case, 13)
    return "other"
"""
DRAFT = '{provider: python, function: "answers:draft"}'
BROKEN = '{provider: python, function: "answers:broken"}'


def told(desk, gate="accuracy[draft]"):
    return " ".join(desk.verdicts()[gate]["notes"])


def test_a_gate_that_may_settle_asks_on_until_it_knows_and_nothing_the_next_time(desk):
    desk.asking_suite(NOISY, gates="{accuracy: {max_drop: 0.05, settle: 10}}", draft=DRAFT)

    desk.run().assert_outcomes(passed=2)

    assert "decided at look" in told(desk)
    first, asked = desk.verdicts(), desk.asked()
    assert len(asked) < 2 * 10 * desk.cases
    desk.run()
    assert (desk.verdicts(), desk.asked()) == (first, asked)


def test_replies_of_a_run_that_could_not_tell_are_pooled_and_not_asked_again(desk):
    # The two differ by luck alone, on too few cases to tell.
    desk.asking_suite(NOISY, gates="{accuracy: {max_drop: 0.05}}", draft=DRAFT)
    desk.run()
    asked = len(desk.asked())
    desk.edit("max_drop: 0.05", "max_drop: 0.05, settle: 10")

    desk.run()

    repeats = Counter(desk.asked())
    assert len(desk.asked()) > asked
    assert len({*repeats.values()}) == 1


def test_a_clear_failure_stops_early_and_leaves_the_rest_unasked_also_in_a_second_run(desk):
    desk.cases = 200
    gates = "{accuracy: {max_drop: 0.05, stop_early: true}}"
    desk.asking_suite(NOISY, gates=gates, broken=BROKEN)

    result = desk.run()

    result.assert_outcomes(passed=1, failed=1)
    assert "decided at look 1 of 5, after 40 of 200 cases" in told(desk, "accuracy[broken]")
    result.stdout.fnmatch_lines(["BLOCKED *", "*320 saved by stopping early"])
    # The baseline alone has nothing to compare with, and is asked no further either.
    assert len(desk.asked()) == 2 * 40
    first = desk.verdicts()
    desk.run().stdout.fnmatch_lines(["BLOCKED *", "* 0 requested*"])
    assert desk.verdicts() == first


#: Three variants of a model on this machine, which differ by their longest replies.
LOCAL = {
    "current": "{provider: llamacpp, model: tiny.gguf, max_tokens: 1, gated: false}",
    "draft": "{like: current, max_tokens: 2, gated: true}",
    "other": "{like: current, max_tokens: 3, gated: true}",
}
MARKED = """\
import pytest

@pytest.mark.ftgate("tickets.ftgate.yaml", min=0.5, max_drop="none", variants=["draft"])
def test_it(reply):
    assert reply.text
"""


@pytest.fixture
def submitted(desk, monkeypatch):
    """Return what a run submits, as a variant's name and a case; nothing is sent."""
    desk.cases, found, submit = 200, [], Engine.submit
    desk.asking_suite(gates="{accuracy: {min: 0.5, max_drop: none, stop_early: true}}", **LOCAL)
    desk.path("test_it.py").write_text(MARKED)
    desk.path("tiny.gguf").write_bytes(b"GGUF")

    def noted(engine, requests, **options):
        requests = [*requests]
        found.extend(([*LOCAL][one.max_tokens - 1], one.messages[-1]) for one in requests)
        submit(engine, requests, **options)

    monkeypatch.setattr(Engine, "submit", noted)

    def run(*args):
        desk.run("--ftgate-replies=recorded", *args)
        return found

    return run


def test_a_baseline_on_this_machine_without_a_gate_is_requested_with_the_first_gate(submitted):
    found = submitted("tickets.ftgate.yaml")

    names = [(name, len([*same])) for name, same in groupby(name for name, _ in found)]
    assert names[:3] == [("draft", 40), ("current", 200), ("other", 40)]
    # Those of the first look come first.
    first, baseline = ({case for _, case in part} for part in (found[:40], found[40:80]))
    assert first == baseline


@pytest.mark.parametrize("chosen", ["draft and not test_it", "draft or test_it"])
def test_a_part_of_a_suite_requests_no_baseline_that_nothing_compares_with(submitted, chosen):
    assert {name for name, _ in submitted("-k", chosen)} == {"draft"}


#: Answers rightly to the cases that a file names.
LATE = """\
from pathlib import Path

def answer(case):
    right = Path(__file__).with_name("right.txt").read_text().split()
    return case.expected if case.id in right else "other"
"""


def test_replies_that_are_the_same_so_far_do_not_pass_for_unchanged(desk):
    desk.cases = 200
    desk.asking_suite(LATE, gates="{accuracy: {max_drop: 0.05, stop_early: true}}")
    names = (f"t{n:03}" for n in range(desk.cases))
    right = sorted(names, key=lambda name: sha256(name.encode()).hexdigest())
    desk.path("right.txt").write_text(" ".join(right))
    desk.run("--ftgate-accept")
    # Those of the first look.
    desk.path("right.txt").write_text(" ".join(right[:40]))

    desk.run("--ftgate-replies=fresh").assert_outcomes(failed=1)


def test_two_gates_that_look_at_different_parts_do_not_mix_them(desk):
    desk.cases = 200
    gates = "{accuracy: {min: 0.5, stop_early: true}, format: {max_drop: 0.25, settle: 5}}"
    desk.asking_suite(NOISY, gates=gates, draft=DRAFT)
    desk.run()
    together = desk.verdicts()["format[draft]"]

    desk.run("-k", "format")

    assert desk.verdicts()["format[draft]"] == together
    assert together["checks"][0]["n"] == 200
