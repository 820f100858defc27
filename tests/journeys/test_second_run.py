"""Nothing that has been paid for is asked again."""

from __future__ import annotations


def test_a_first_run_asks_each_case_once(desk):
    desk.asking_suite()

    desk.run()

    assert sorted(desk.asked()) == [f"t{number:03}" for number in range(desk.cases)]


def test_a_second_run_asks_nothing(desk):
    desk.asking_suite()
    desk.run()

    result = desk.run()

    result.stdout.fnmatch_lines(["PASSED  1 gate*", "100 replies: * cached, 0 requested"])
    assert len(desk.asked()) == desk.cases


def test_a_second_run_reaches_the_same_verdicts(desk):
    desk.asking_suite()
    desk.run()
    first = desk.verdicts()

    desk.run()

    assert desk.verdicts() == first


def test_a_new_case_is_all_that_is_asked(desk):
    desk.asking_suite()
    desk.run()
    desk.cases += 1
    desk.write_cases()

    desk.run()

    assert desk.asked()[100:] == ["t100"]


def test_fresh_replies_are_asked_again(desk):
    desk.asking_suite()
    desk.run()

    desk.run("--ftgate-replies=fresh")

    assert len(desk.asked()) == 2 * desk.cases


def test_recorded_replies_are_never_asked(desk):
    desk.asking_suite()

    result = desk.run("--ftgate-replies=recorded")

    result.assert_outcomes(errors=1)
    assert desk.asked() == []


def test_replies_from_a_file_are_not_told_as_asked(desk):
    desk.suite(current=2)

    result = desk.run()

    result.stdout.fnmatch_lines(["PASSED  1 gate*", "100 replies: * cached, 0 requested"])
