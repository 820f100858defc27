"""Cases that are held out, challengers, and advice that is the same whoever judged."""

from __future__ import annotations

import json

import pytest
from ftgate_testing.recorded_advice import advice_of

VARIANTS = {
    "current": "{provider: recorded, replies: current.jsonl}",
    "newer": "{like: current, replies: newer.jsonl, rung: stronger-model, gated: false}",
    "tuned": "{like: current, replies: tuned.jsonl, rung: fine-tuned, gated: false}",
}


@pytest.fixture
def ladder(desk):
    """Write a suite of three rungs, each with so many wrong replies; the last cases held out."""

    def written(held_out=0, more="", **wrong):
        for name, count in {"current": 30, "newer": 3, "tuned": 2, **wrong}.items():
            desk.replies(name, wrong=count)
        desk.suite_of(VARIANTS, "{accuracy: {min: 0.5, max_drop: 0.05}}")
        rows = [
            {"id": f"t{n:03}", "input": f"Ticket {n}: help", "expected": desk.label(n)}
            | ({"holdout": True} if n >= desk.cases - held_out else {})
            for n in range(desk.cases)
        ]
        desk.write_rows("tickets.cases.jsonl", rows)
        path = desk.path("tickets.ftgate.yaml")
        path.write_text(path.read_text() + more)

    return written


def test_held_out_cases_are_asked_of_the_chosen_rung_alone_and_stand_in_the_record(desk, ladder):
    ladder(held_out=20)

    plan = desk.run("--ftgate-plan")
    result = desk.run("-v", "--ftgate-json=run.json")

    # Eighty cases of each rung, and twenty more of the one that was chosen.
    held_out = "  20 cases more of tickets.ftgate.yaml: held out, for the chosen rung only"
    plan.stdout.fnmatch_lines([held_out])
    result.stdout.fnmatch_lines(
        ["*- held-out cases: confirmed: *", "PASSED  1 gate*", "260 replies*"]
    )
    advice = advice_of(desk)
    assert {row.n for row in advice.rungs} == {80}
    assert (advice.confirmation.variant, advice.confirmation.n) == (advice.variant, 20)
    (suite,) = json.loads(desk.path("run.json").read_text())["suites"]
    held = [one for one in suite["cases"] if one["case_set"] == "held out"]
    assert suite["name"] == "tickets.ftgate.yaml"
    assert (len(held), len(suite["cases"])) == (20, 100)
    assert {*(len(one["answers"]) for one in held)} == {1}
    # What a variant is told to reach is of the other cases, which every variant was asked.
    assert {*(one["figures"]["accuracy"]["n"] for one in suite["variants"])} == {80}


def test_a_challenger_that_is_as_good_as_the_fine_tune_retires_it(desk, ladder):
    ladder(more="serves: tuned\nchallengers: [newer]\n", newer=1)

    result = desk.run("-v")

    result.stdout.fnmatch_lines(
        [
            "  FINE-TUNING NOT JUSTIFIED (*challenger*): serve newer",
            "  challenger newer: as good; up 1 point (95 % CI 3 down to 5 up) against tuned",
        ]
    )


def test_part_of_a_suite_has_no_ladder_and_says_so_where_it_is_wanted(desk):
    desk.suite(current=2, other=3)

    whole = desk.run()
    part = desk.run("--ftgate-ladder", "-k", "other")

    # Two prompts stand on one rung: there is nothing to climb.
    whole.stdout.no_fnmatch_line("*the ladder*")
    part.stdout.fnmatch_lines(["  no ladder: run all gates of a suite*"])


#: What is appended to a suite of seven lines, and what is said of it, with its line.
WRONG = {
    "serves: tunde\n": '8: serves: "tunde" is no variant; did you mean "tuned"?*',
    "challengers: [nwer]\n": '8: challengers: "nwer" is no variant; did you mean "newer"?*',
    "economics:\n  calls_per_day: 9\n  variants: {tune: {training_usd: 4}}\n": (
        '10: economics: "tune" is no variant; did you mean "tuned"?*'
    ),
}


def test_what_is_written_wrongly_is_named_with_its_line(desk, ladder):
    ladder()
    path = desk.path("tickets.ftgate.yaml")
    for number, wrong in enumerate(WRONG):
        desk.path(f"s{number}.ftgate.yaml").write_text(path.read_text() + wrong)
    path.unlink()

    result = desk.run()

    result.assert_outcomes(errors=len(WRONG))
    told = [f"  s{number}.ftgate.yaml:{one}" for number, one in enumerate(WRONG.values())]
    result.stdout.fnmatch_lines(told)


def test_cases_that_are_all_held_out_are_a_fault(desk, ladder):
    ladder(held_out=100)

    told = "*: cases: all are holdout; leave some without it*"
    desk.run().stdout.fnmatch_lines([told])
