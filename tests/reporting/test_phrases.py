"""Each part of a verdict has one wording, for all media."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest
from ftgate_testing.reports import failing_run, inconclusive_verdict
from ftgate_testing.tables import every_row

import pytest_ftgate
from pytest_ftgate.gates.notes import text_note
from pytest_ftgate.gates.statements import Statement, StatementKind
from pytest_ftgate.gates.verdict import CheckKind, Fall, Outcome, Slice
from pytest_ftgate.reporting.causes import cause, rest
from pytest_ftgate.reporting.phrases import (
    Relation,
    cases,
    check_text,
    doubt,
    levels,
    measured_headline,
    other_check,
    relation,
    size,
    worst,
)
from pytest_ftgate.scoring.score import LabelMetrics

FAILED = failing_run().verdicts[0]
OPEN = Outcome.INCONCLUSIVE
#: A drop of 11 points against a limit of 5.
DROP = replace(
    inconclusive_verdict().checks[1], kind=CheckKind.BASELINE, against="current", before=0.98,
    after=0.87, low=-0.15, high=-0.08, limit=0.05, outcome=Outcome.FAILED, n=300,
)  # fmt: skip
RATE = replace(DROP, kind=CheckKind.MINIMUM, before=None, low=0.77, high=0.95, limit=0.85)
COST = replace(
    DROP, kind=CheckKind.MEAN, unit="usd", before=None, after=0.42, low=0.4, high=0.44, limit=0.3
)


@every_row("check, expected", [
    (DROP, "down 11 points (95 % CI 8 to 15), limit 5: current 98 % → 87 %"),
    (replace(DROP, after=0.95, low=-0.08, high=0.01),
     "down 3 points (95 % CI 8 down to 1 up), limit 5: current 98 % → 95 %"),
    (replace(DROP, after=0.99, low=-0.01, high=0.03),
     "up 1 point (95 % CI 1 down to 3 up), limit 5: current 98 % → 99 %"),
    (replace(DROP, before=0.5, after=0.6, low=0.04, high=0.16),
     "up 10 points (95 % CI 4 to 16), limit 5: current 50 % → 60 %"),
    (replace(DROP, after=0.98, low=-0.02, high=0.02, has_default_limit=True),
     "no change (95 % CI 2 down to 2 up), limit 5 (what 300 cases can show): current 98 % → 98 %"),
    (replace(DROP, has_default_limit=True, limit_cases=500),
     "down 11 points (95 % CI 8 to 15), limit 5 (what 500 cases can show): current 98 % → 87 %"),
    (replace(DROP, low=None, high=None), "down 11 points, limit 5: current 98 % → 87 %"),
    (replace(DROP, low=0.0, high=0.0), "down 11 points, limit 5: current 98 % → 87 %"),
    (replace(DROP, after=0.98, is_unchanged=True),
     "unchanged (same replies), limit 5: current 98 % → 98 %"),
    (replace(RATE, after=0.88), "88 % (95 % CI 77 to 95 %), min 85 %"),
    (replace(RATE, after=1.0, n=1, low=None, high=None), "100 %, min 85 %"),
    (COST, "cost of 1,000 requests 0.42 USD (95 % CI 0.40 to 0.44 USD), limit 0.30 USD"),
    (replace(COST, high=None),
     "cost of 1,000 requests 0.42 USD (95 % CI 0.40 USD or more), limit 0.30 USD"),
    (
        replace(COST, before=0.3, rise=0.4, low=0.3, high=0.5, limit=0.1),
        ("cost of 1,000 requests up 40 % (95 % CI 30 to 50 %), limit +10 %: current 0.30 USD "
        "→ 0.42 USD"),
    ),
    # What the runs of the baseline cost is not known.
    (replace(COST, kind=CheckKind.BASELINE, unit="usd_per_success", low=None, high=None, limit=0.1),
     "cost per success 0.42 USD, limit +10 %"),
])  # fmt: skip
def test_a_check_has_its_size_interval_limit_and_levels_in_one_notation(check, expected):
    assert check_text(check) == expected


@every_row("check, expected", [
    # Whole points would say that a drop of 3 is beyond a limit of 3.
    (replace(DROP, before=0.9, after=0.8675, low=-0.05, high=-0.031, limit=0.03),
     "down 3.2 points (95 % CI 3.1 to 5.0), limit 3: current 90.0 % → 86.8 %"),
    (replace(RATE, after=0.846), "84.6 % (95 % CI 77.0 to 95.0 %), min 85 %"),
    # Nor does an end of an interval read like the limit, on whichever side of it it lies.
    (replace(DROP, before=0.9, after=0.89, low=-0.0494, high=0.02),
     "down 1.0 points (95 % CI 4.9 down to 2.0 up), limit 5: current 90.0 % → 89.0 %"),
    (replace(DROP, before=0.9, after=0.82, low=-0.11, high=-0.052),
     "down 8.0 points (95 % CI 5.2 to 11.0), limit 5: current 90.0 % → 82.0 %"),
    (replace(RATE, low=0.846), "87.0 % (95 % CI 84.6 to 95.0 %), min 85 %"),
    # A rise as large as the limit is on no side of it.
    (replace(DROP, before=0.8, after=0.852, low=0.01, high=0.09),
     "up 5 points (95 % CI 1 to 9), limit 5: current 80 % → 85 %"),
    # A limit is shown as it is declared.
    (replace(DROP, before=1.0, after=0.975, low=-0.037, high=-0.017, limit=0.025),
     "down 2.5 points (95 % CI 1.7 to 3.7), limit 2.5: current 100.0 % → 97.5 %"),
    (replace(RATE, limit=0.853), "87.0 % (95 % CI 77.0 to 95.0 %), min 85.3 %"),
    (replace(COST, after=1.001, low=None, high=None, limit=1.0),
     "cost of 1,000 requests 1.001 USD, limit 1.00 USD"),
    # An interval that excludes 0 does not end at 0.
    (replace(DROP, before=1.0, after=0.96, low=-0.098, high=-0.004),
     "down 4.0 points (95 % CI 0.4 to 9.8), limit 5: current 100.0 % → 96.0 %"),
    # The levels agree with the size.
    (replace(DROP, before=0.3333, after=0.2857, low=-0.09, high=0.0, limit=0.1),
     "down 4.8 points (95 % CI 0.0 to 9.0), limit 10: current 33.3 % → 28.6 %"),
])  # fmt: skip
def test_a_decimal_is_shown_where_rounding_would_hide_the_reason(check, expected):
    assert check_text(check) == expected


def test_the_sides_of_a_drop_have_their_names():
    assert levels(DROP, "candidate") == "current 98 % → candidate 87 %"
    assert levels(DROP) == "current 98 % → 87 %"
    assert other_check(replace(DROP, under="prompt")) == f"under the prompt {check_text(DROP)}"
    assert other_check(RATE) == check_text(RATE)


@every_row("values, expected", [
    ({"has_drifted": True}, Relation.DRIFTED), ({"informative": False}, Relation.BLIND),
    ({"is_unchanged": True, "outcome": Outcome.PASSED}, Relation.UNCHANGED),
    ({"outcome": Outcome.FAILED}, Relation.BEYOND), ({"outcome": Outcome.PASSED}, Relation.WITHIN),
    ({"missing": 3}, Relation.MISSING), ({"n": 1}, Relation.MISSING),
    ({"low": -0.06, "high": -0.02, "p_fail": 0.001}, Relation.REAL),
    ({"low": -0.2, "high": -0.06, "p_fail": 0.02}, Relation.LIKELY_BEYOND),
    ({"low": -0.07, "high": -0.01, "p_fail": 0.02}, Relation.LIKELY),
    ({"low": -0.08, "high": 0.01, "p_fail": 0.2}, Relation.OPEN),
    ({"before": None, "low": 0.7, "high": 0.9}, Relation.OPEN),
])  # fmt: skip
def test_every_check_relates_to_its_limit_in_one_way(values, expected):
    assert relation(replace(DROP, **{"outcome": OPEN, "alarm": 0.01, **values})) is expected


@every_row("fields, expected", [
    ({"low": -0.08, "high": 0.01, "p_fail": 0.2},
     "A drop of 5 or more is still possible; so is no drop at all."),
    ({"low": -0.06, "high": -0.02, "p_fail": 0.001},
     "The drop is real. 300 cases cannot show that it stays below 5 points."),
    ({"low": -0.2, "high": -0.06, "p_fail": 0.02},
     "The 95 % CI lies beyond the limit of 5, but this suite asks for 99 %."),
    ({"low": -0.07, "high": -0.01, "p_fail": 0.02},
     "The 95 % CI excludes 0, but this suite asks for 99 %."),
    ({"low": -0.07, "high": -0.01, "p_fail": 0.02, "alarm": 0.0025, "shared": 4},
     ("The 95 % CI excludes 0, but this suite asks for 99.8 %, since 4 checks share its error "
      "rate.")),
    ({"kind": CheckKind.MINIMUM, "before": None, "limit": 0.85},
     "A true rate below 85 % is still possible; so is one above it."),
    ({"missing": 3, "notes": (text_note("3 of 100 cases got no reply"),)},
     "3 of 100 cases got no reply."),
    ({"informative": False, "notes": (text_note("current is at 2 %"),)}, "current is at 2 %."),
    ({"outcome": Outcome.FAILED}, ""),
])  # fmt: skip
def test_an_inconclusive_check_says_what_is_still_possible(fields, expected):
    open_check = replace(DROP, outcome=OPEN, alarm=0.01, shared=1)

    assert doubt(replace(open_check, **fields)) == expected


@every_row("regressed, fixed, check, expected", [
    (34, 0, DROP, "34 of 300 cases regressed, 0 fixed"),
    (1, 2, replace(DROP, n=1), "1 of 1 case regressed, 2 fixed"),
    (7, 0, replace(RATE, n=60), "7 of 60 cases are wrong"),
    (0, 0, replace(RATE, n=1), "0 of 1 cases are wrong"),
    (1_200, 3, replace(DROP, n=4_000), "1,200 of 4,000 cases regressed, 3 fixed"),
    (*(0, 0, replace(DROP, measure="thoughts", regressed=3, fixed=1)),
     "3 of 300 cases lost their thought, 1 got one"),
])  # fmt: skip
def test_the_cases_that_changed_are_counted(regressed, fixed, check, expected):
    verdict = replace(FAILED, checks=(check,), deciding=0, regressed=regressed, fixed=fixed)

    assert cases(verdict) == expected


def part(name: str, before: float, after: float, named: Fall = "clearly") -> Slice:
    return Slice(
        kind="tag", name=name, n=12, before=before, after=after, low=-1, high=0, p_drop=0.5,
        state="untested", named=named,
    )  # fmt: skip


def test_what_got_worse_most_is_named_first_and_no_part_that_may_be_down_by_chance():
    plain = replace(FAILED, checks=(DROP,), deciding=0, labels=(), slices=(), format_errors=())
    parts = (part("short", 0.9, 0.88), part("long", 0.9, 0.4))
    label = LabelMetrics(
        label="billing", n=9, precision=0.5, recall=0.5, f1=0.5,
        taken_for={"refund": 17, "other": 1},
    )  # fmt: skip

    assert worst(replace(plain, slices=parts)) == ("fell", ("long 90 → 40", "short 90 → 88"))
    assert worst(replace(plain, slices=(part("x", 0.9, 0.4, "perhaps"),))) == ("fell", ())
    hard = replace(part("2", 0.85, 0.0), kind="difficulty")
    assert worst(replace(plain, slices=(hard,))) == ("fell", ("difficulty 2 85 → 0",))
    assert worst(replace(plain, labels=(label,), slices=parts[1:])) == (
        *("where", ("billing → refund 17", "long 90 → 40")),
    )


@every_row("values, expected", [
    (("fenced", "json_schema", True), "fenced: the model began to fence its JSON"),
    (("fenced", "regex", False), "fenced: the model fences its replies"),
    (("wrong label casing", "choice", True),
     "wrong label casing: the model began to change case or marks of its labels"),
])  # fmt: skip
def test_the_habit_behind_format_errors_is_the_cause(values, expected):
    named = dict(zip(("habit", "rule", "is_new"), values, strict=True))
    statement = Statement(StatementKind.RATE, {**named, "replies": 41, "of": 1_200})

    assert cause(replace(FAILED, statement=statement)) == f"{expected}, 41 of 1,200 replies"


CUT = {"cut": 9, "cut_others": 3, "regressed": 12, "others": 588}
BROKEN = {"broken": 8, "broken_others": 0, "regressed": 12, "others": 588}
CUT_TEXT = "9 of 12 regressed cases were cut off by max_tokens (3 of the other 588)"
BROKEN_TEXT = "8 of 12 regressed cases broke their format (0 of the other 588)"


@every_row("values, shared, others", [
    (CUT, CUT_TEXT, "that ended as they should"), (BROKEN, BROKEN_TEXT, "that kept it"),
    (BROKEN | CUT, f"{BROKEN_TEXT}; {CUT_TEXT}", "without either"),
])  # fmt: skip
def test_what_regressed_cases_have_in_common_is_the_cause_beside_the_rest(values, shared, others):
    statement = Statement(StatementKind.RATE, {**values, **REST})

    assert cause(replace(FAILED, statement=statement)) == shared
    assert rest(statement.values) == f"the 588 {others}: 100 → 99 %"
    assert rest(values) == ""


REST = {"rest": 588, "rest_before": 1.0, "rest_after": 0.99}


def test_a_verdict_without_a_check_has_no_numbers():
    with pytest.raises(ValueError, match="no check"):
        measured_headline(replace(FAILED, checks=()))


#: The modules that word what a check says, and the notation of intervals; media take their parts.
WORDING = {"phrases.py", "explain.py", "number_text.py"}
PHRASES = ("95 % CI", " regressed, ", "still possible")


def test_a_drop_is_worded_in_one_module():
    folder = Path(pytest_ftgate.__file__).parent / "reporting"
    found = {
        file.name
        for file in folder.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.JoinedStr) and any(map(ast.unparse(node).__contains__, PHRASES))
    }

    assert found <= WORDING


@every_row("noun, fixed, said", [
    ("task", 3.0, "no change on average"), ("task", 0.0, "no change"), ("case", 3.0, "no change"),
])  # fmt: skip
def test_where_tasks_turned_both_ways_no_change_is_an_average(noun, fixed, said):
    even = replace(DROP, after=DROP.before, noun=noun, fixed=fixed, regressed=fixed)

    assert size(even) == said
