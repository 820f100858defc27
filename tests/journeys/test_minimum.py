"""A minimum stands beside the comparison, and switches it off only where that is written."""

from __future__ import annotations


def test_a_worse_prompt_fails_above_its_minimum(desk):
    # The worse variant is surely above the minimum, and 13 points below the baseline.
    desk.suite("{accuracy: {min: 0.7}}", current=2, draft=15)

    result = desk.run()

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["✗ accuracy[[]draft]   DOWN 13 POINTS *", "    limit 10 (what 100 cases can show)"]
    )


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


def test_a_minimum_of_macro_f1_compares_nothing(desk):
    desk.suite("{accuracy: {metric: macro_f1, min: 0.7}}", current=2, draft=15)

    desk.run()

    (check,) = desk.verdicts()["accuracy[draft]"]["checks"]
    assert (check["kind"], check["limit"]) == ("minimum", 0.7)
