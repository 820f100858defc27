"""A baseline recorded some time ago is asked anew in part before anything is compared with it."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

CODE = """\
from pathlib import Path

ASKED = Path(__file__).with_name("asked.txt")
WORSE = Path(__file__).with_name("worse")

def answer(case):
    with ASKED.open("a") as stream:
        stream.write(case.id + "\\n")
    return "nonsense" if WORSE.exists() else case.expected

def draft(case):
    return case.expected
"""
GATES = "{accuracy: {max_drop: 0.05}}"
DRAFT = '{provider: python, function: "answers:draft"}'
WEEK = 7 * 86_400


@pytest.fixture
def recorded(desk):
    """A baseline whose replies are a week old, beside a variant that was never asked."""
    desk.asking_suite(CODE, gates=GATES)
    desk.run()
    with closing(sqlite3.connect(desk.path(".ftgate") / "cache.sqlite")) as cache, cache:
        cache.execute("UPDATE replies SET at = at - ?", (WEEK,))
    desk.asking_suite(CODE, gates=GATES, draft=DRAFT)
    desk.path("asked.txt").unlink()
    return desk


def test_a_tenth_of_an_old_baseline_is_asked_anew_once(recorded):
    recorded.run().assert_outcomes(passed=2)
    assert len(recorded.asked()) == 20

    result = recorded.run()

    result.stdout.fnmatch_lines(["PASSED  2 gates*", "* replies: * cached, 0 requested"])
    assert len(recorded.asked()) == 20


def test_the_command_for_a_drifted_baseline_compares_replies_of_one_day(recorded):
    recorded.path("worse").touch()

    result = recorded.run()

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "INCONCLUSIVE  1 of 2 gates; blocks, *",
            "    the recorded baseline has drifted: 100 % → 0 % on 20 repeated*",
            "    fix     pytest --ftgate --ftgate-replies=fresh tickets.ftgate.yaml",
        ]
    )
    command = next(line.split() for line in result.outlines if " fix " in line)

    recorded.run(*command[3:])

    verdicts = recorded.verdicts()
    assert verdicts["accuracy[draft]"]["outcome"] == "passed"
    # The baseline itself has become one that shows nothing.
    assert verdicts["accuracy[current]"]["outcome"] == "inconclusive"
