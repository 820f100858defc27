"""A minimum stands beside the comparison, and switches it off only where that is written."""

from __future__ import annotations

import pytest

#: The worse variant is surely above the minimum, and 13 points below the baseline.
MINIMUM = "{accuracy: {min: 0.7}}"


def checks(desk, gate):
    """Return the kind and the limit of each check of a gate of the last run."""
    return [(check["kind"], check["limit"]) for check in desk.verdicts()[gate]["checks"]]


def test_a_worse_prompt_fails_above_its_minimum(desk):
    desk.suite(MINIMUM, current=2, draft=15)

    result = desk.run()

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["✗ accuracy[[]draft]   DOWN 13 POINTS *"])
    result.stdout.fnmatch_lines(["*limit 10 (what 100 cases can show)*"])


def test_a_chosen_variant_is_compared_with_replies_of_the_baseline(desk):
    desk.asking_suite(gates=MINIMUM, draft="{provider: recorded, replies: draft.jsonl}")
    desk.replies("draft", wrong=15)

    result = desk.run("--ftgate-variant=draft")

    result.assert_outcomes(failed=1)
    assert len(desk.asked()) == 100


@pytest.mark.parametrize("key", ["max_drop: none", "evidence: point"])
def test_a_gate_compares_nothing_where_that_is_written_and_shows_the_change(desk, key):
    desk.suite(f"{{accuracy: {{min: 0.7, {key}}}}}", current=2, draft=15)

    result = desk.run()

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*accuracy: *draft 85 % (−13 not gated, min 70 %)*"])


def test_a_variant_that_is_meant_to_be_worse_is_not_compared_and_its_change_is_shown(desk):
    desk.suite(MINIMUM, current=2)
    desk.replies("cheap", wrong=15)
    told = "{provider: recorded, replies: %s.jsonl%s}"
    variants = {"current": told % ("current", ""), "cheap": told % ("cheap", ", compared: false")}
    desk.suite_of(variants, MINIMUM)

    result = desk.run()

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*accuracy: *cheap 85 % (−13 not gated, min 70 %)*"])


def test_a_wide_default_limit_says_how_many_cases_would_show_less(desk):
    desk.cases = 30
    desk.suite("{accuracy: {min: 0.5}}", current=1, draft=2)

    result = desk.run("-v")

    result.stdout.fnmatch_lines(
        [
            "  accuracy[[]draft]: 30 cases can only show drops of 21 points or more; 100 would",
            "    show 10, 362 would show 5",
            "    accuracy: current 97 % (min 50 %), draft 93 % (−3, limit 21: what 30 cases",
        ]
    )


def test_too_few_cases_gate_the_minimum_and_show_the_change(desk):
    desk.cases = 9
    desk.suite("{accuracy: {min: 0.6}}", current=0, draft=0)

    result = desk.run()

    assert checks(desk, "accuracy[draft]") == [("minimum", 0.6)]
    result.stdout.fnmatch_lines(["*accuracy: *draft 100 % (0 not gated, min 60 %)*"])


def test_a_minimum_below_guessing_is_not_advised(desk):
    desk.cases = 9
    desk.suite("{accuracy: {min: 0.6}}", current=2)

    result = desk.run()

    result.stdout.fnmatch_lines(["INCONCLUSIVE *"])
    assert "set min" not in result.stdout.str()


def test_too_few_cases_without_a_minimum_are_refused_with_the_number_that_it_takes(desk):
    desk.cases = 8
    desk.suite("{accuracy: {}}", current=1, draft=4)

    result = desk.run()

    assert result.ret != 0
    result.stdout.fnmatch_lines(
        ["*:6: accuracy: 8 cases cannot show that a drop stays below 40 points; *about 10 *"]
    )


def test_against_a_baseline_with_nothing_right_the_minimum_alone_decides(desk):
    desk.suite(MINIMUM, current=100, draft=15)

    desk.run()

    assert desk.verdicts()["accuracy[draft]"]["outcome"] == "passed"


def test_a_minimum_of_macro_f1_compares_nothing(desk):
    desk.suite("{accuracy: {metric: macro_f1, min: 0.7}}", current=2, draft=15)

    desk.run()

    assert checks(desk, "accuracy[draft]") == [("minimum", 0.7)]


@pytest.mark.parametrize(
    ("mark", "kinds"),
    [("min=0.7", ["minimum", "baseline"]), ('min=0.7, max_drop="none"', ["minimum"])],
)
def test_a_marked_function_follows_the_same_rule(desk, mark, kinds):
    desk.suite("{accuracy: {min: 0.5}}", current=2, draft=15)
    desk.marked("def test_it(case, reply):\n    assert reply.text == case.expected\n", mark)

    desk.run()

    assert sorted(kind for kind, _ in checks(desk, "test_it[draft]")) == sorted(kinds)
