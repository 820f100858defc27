"""A gate that may look more than once: it stops when it knows, and asks on while it does not."""

from __future__ import annotations

from collections import Counter

import pytest
from ftgate_testing.noting_house import CONFTEST, MODELS

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


def test_two_gates_that_look_at_different_parts_do_not_mix_them(desk):
    desk.cases = 200
    gates = "{accuracy: {min: 0.5, stop_early: true}, format: {max_drop: 0.25, settle: 5}}"
    desk.asking_suite(NOISY, gates=gates, draft=DRAFT)
    desk.run()
    together = desk.verdicts()["format[draft]"]

    desk.run("-k", "format")

    assert desk.verdicts()["format[draft]"] == together
    assert together["checks"][0]["n"] == 200


@pytest.fixture
def forgetful(desk):
    """A desk with a tuned model that has forgotten a skill, and one that has not."""
    desk.cases = 80
    names = {role: model for model, role in MODELS.items()}
    tuned = "{{provider: house, model: {}, base: {base}}}"
    desk.path("conftest.py").write_text(CONFTEST.replace("IN_ORDER", "False"), "utf-8")
    variants = {
        "current": f"{{provider: house, model: {names['current']}, gated: false}}",
        "forgetful": tuned.format(names["worse"], **names),
        "careful": tuned.format(names["tuned"], **names),
    }
    gates = "{accuracy: {min: 0.5, stop_early: true}, "
    gates += "forgetting: {skills: logic, max_drop: 0.3, stop_early: true}}"
    desk.suite_of(variants, gates)
    return desk


@pytest.mark.heavy
def test_two_processes_look_as_often_as_one(forgetful):
    found = []
    for processes in ("-n0", "-n2"):
        forgetful.run(processes, f"--ftgate-cache={processes}/cache.sqlite")
        found.append({key: one["checks"] for key, one in forgetful.verdicts().items()})

    assert found[0] == found[1]


def test_who_has_plainly_forgotten_is_told_by_a_third_of_the_questions(forgetful):
    desk = forgetful

    result = desk.run("-vv")

    result.assert_outcomes(passed=2, failed=2)
    first, told_first = desk.verdicts(), " ".join(" ".join(result.outlines).split())
    cases = {
        name: first[f"forgetting[{name}]"]["checks"][0]["n"] for name in ("forgetful", "careful")
    }
    assert cases == {"forgetful": 23, "careful": 67}
    assert first["forgetting[forgetful]"]["outcome"] == "failed"
    for words in (
        "0 fixed 23 of 67 questions, a third of each skill, were enough",
        "It can pass with all questions alone, and fail with these.",
        "While others are left to ask, the drop must be shown to exceed 30 points as well.",
        "% of 48 ",
        "current: asked 48 of 80 cases, as many as the gates needed",
    ):
        assert words in told_first, words
    desk.run().stdout.fnmatch_lines(["BLOCKED *", "* 0 requested*"])
    assert desk.verdicts() == first
