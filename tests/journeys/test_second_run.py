"""Nothing that has been paid for is asked again."""

from __future__ import annotations

import pytest


@pytest.fixture
def asked_once(desk):
    """A desk after a first run, which has asked each case once."""
    desk.asking_suite()
    desk.run()
    assert sorted(desk.asked()) == [f"t{number:03}" for number in range(desk.cases)]
    return desk


def test_a_second_run_asks_nothing_and_reaches_the_same_verdicts(asked_once):
    first = asked_once.verdicts()

    result = asked_once.run()

    result.stdout.fnmatch_lines(["PASSED  1 gate*", "100 replies: * cached, 0 requested"])
    assert len(asked_once.asked()) == asked_once.cases
    assert asked_once.verdicts() == first


def test_a_new_case_is_all_that_is_asked(asked_once):
    asked_once.cases += 1
    asked_once.write_cases()

    asked_once.run()

    assert asked_once.asked()[100:] == ["t100"]
