"""A gate that may look more than once: it stops when it knows, and asks on while it does not."""

from __future__ import annotations

import pytest

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


@pytest.fixture
def open_gate(desk):
    """Two variants that differ by luck alone, on too few cases to tell."""
    desk.asking_suite(NOISY, gates="{accuracy: {max_drop: 0.05}}", draft=DRAFT)
    return desk


def test_an_open_gate_offers_the_repeats_that_would_settle_it(open_gate):
    result = open_gate.run()

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*more cases would settle it, or*settle: *"])


def test_a_gate_that_may_settle_asks_on_until_it_knows(desk):
    desk.asking_suite(NOISY, gates="{accuracy: {max_drop: 0.05, settle: 10}}", draft=DRAFT)

    result = desk.run()

    result.assert_outcomes(passed=2)
    assert "decided at look" in told(desk)
    assert len(desk.asked()) < 2 * 10 * desk.cases


def test_a_run_that_settled_is_the_same_the_next_time_and_asks_nothing(desk):
    desk.asking_suite(NOISY, gates="{accuracy: {max_drop: 0.05, settle: 10}}", draft=DRAFT)
    desk.run()
    first, asked = desk.verdicts(), desk.asked()

    desk.run()

    assert (desk.verdicts(), desk.asked()) == (first, asked)


def test_replies_of_a_run_that_could_not_tell_are_pooled_and_not_asked_again(open_gate):
    open_gate.run()
    asked = len(open_gate.asked())
    suite = open_gate.path("tickets.ftgate.yaml")
    suite.write_text(suite.read_text().replace("max_drop: 0.05", "max_drop: 0.05, settle: 10"))

    open_gate.run()

    repeats = {name: open_gate.asked().count(name) for name in open_gate.asked()}
    assert len(open_gate.asked()) > asked
    assert set(repeats.values()) == {max(repeats.values())}


def test_a_clear_failure_stops_early_and_leaves_the_rest_unasked(desk):
    desk.cases = 200
    gates = "{accuracy: {max_drop: 0.05, stop_early: true}}"
    desk.asking_suite(NOISY, gates=gates, broken=BROKEN)

    result = desk.run()

    result.assert_outcomes(passed=1, failed=1)
    assert "decided at look 1 of 5, after 40 of 200 cases" in told(desk, "accuracy[broken]")
    result.stdout.fnmatch_lines(["BLOCKED * 320 spared by stopping early"])
    # The baseline alone has nothing to compare with, and is asked no further either.
    assert len(desk.asked()) == 2 * 40


def test_stopping_early_reaches_the_same_verdict_in_a_second_run(desk):
    desk.cases = 200
    gates = "{accuracy: {max_drop: 0.05, stop_early: true}}"
    desk.asking_suite(NOISY, gates=gates, broken=BROKEN)
    desk.run()
    first = desk.verdicts()

    result = desk.run()

    assert desk.verdicts() == first
    result.stdout.fnmatch_lines(["BLOCKED * 0 asked*"])


def test_more_repeats_cannot_settle_replies_that_do_not_vary(desk):
    desk.suite(gates="{accuracy: {max_drop: 0.05, settle: 9}}", current=2, draft=5)

    result = desk.run()

    result.stdout.fnmatch_lines(["BLOCKED  1 inconclusive of 2 gates*"])
    result.stdout.no_fnmatch_line("*settle: *")
