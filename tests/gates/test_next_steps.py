"""What an accuracy or a format gate tells the user to do, by the check that decided."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from ftgate_testing.score_columns import suite
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.design import Look
from pytest_ftgate.gates.figure import InputChange
from pytest_ftgate.gates.next_steps import (
    blocking_checks,
    case_count_steps,
    last_settled,
    rate_next_steps,
)
from pytest_ftgate.gates.notes import NoteKind, note
from pytest_ftgate.gates.statements import NextStep, Statement, StatementKind, StepKind
from pytest_ftgate.gates.verdict import Check, CheckKind, Flip, Outcome, Slice, Verdict
from pytest_ftgate.scoring.score import LabelMetrics
from pytest_ftgate.suite.gate_kinds import RateGate

GATE = RateGate(kind="accuracy", line=7, max_drop=0.05)


def made(temperature: float = 1.0):
    """Return a suite whose replies vary, unless the temperature is 0."""
    plain = suite(GATE)
    sampling = {"temperature": temperature}
    variants = {name: replace(one, sampling=sampling) for name, one in plain.variants.items()}
    return replace(plain, variants=variants)


def steps(found, *, look=None, gate=GATE, of=None, errors=()):
    given = (of or made(), gate, found, look or Look(), Counter(errors))
    return {step.kind: step.values for step in rate_next_steps(*given)}


PASSED, FAILED, OPEN = Outcome.PASSED, Outcome.FAILED, Outcome.INCONCLUSIVE
#: A fixed temperature of 0, where repeats of the baseline are not offered.
STEADY = made(0.0)
WHERE = {"where": "suite.ftgate.yaml:7"}


def check(kind=CheckKind.BASELINE, outcome=FAILED, **more):
    before = None if kind in (CheckKind.MINIMUM, CheckKind.MUST_PASS) else 0.9
    return Check(**{
        "kind": kind, "outcome": outcome, "limit": 0.05, "n": 100, "after": 0.8, "before": before,
        "discordance": 0.1, **more,
    })  # fmt: skip


def rated(*checks, variant="new", **more):
    """Return a verdict with the outcome of its first check."""
    said = Statement(StatementKind.RATE, {"measure": "accuracy"})
    return Verdict(**{
        "suite": "suite.ftgate.yaml", "line": 7, "gate": "accuracy", "variant": variant,
        "outcome": checks[0].outcome if checks else PASSED, "statement": said, "checks": checks,
        **more,
    })  # fmt: skip


def all_steps(found, look=None, *, gate=GATE, of=STEADY, errors=()):
    return [*rate_next_steps(of, gate, found, look or Look(), Counter(errors))]


def limit_to(setting):
    return NextStep(StepKind.SET_LIMIT, {"setting": setting, **WHERE})


def accept_run(*, anchor, failed=True):
    values = {"suite": "suite.ftgate.yaml", "anchor": anchor, "failed": failed}
    return NextStep(StepKind.ACCEPT_RUN, values)


def make_baseline(where="suite.ftgate.yaml", *, in_mark=False):
    values = {"variant": "new", "in_mark": in_mark, "where": where}
    return NextStep(StepKind.MAKE_BASELINE, values)


def flip(name, *, regressed):
    return Flip(
        case=name, where="", regressed=regressed, shown="", expected="", before="", now=""
    )  # fmt: skip


@every_row(
    ("needed", "unchanged", "wanted"),
    [
        (500, 60, {"needed": 500, "unchanged": 60}),
        (501, 60, {"needed": 0, "unchanged": 60}),
        (None, 60, {"needed": 0, "unchanged": 60}),
        (80, 900, {"needed": 80, "unchanged": 0}),
    ],
)
def test_no_step_asks_for_more_than_five_times_the_cases_there_are(needed, unchanged, wanted):
    found = check(outcome=OPEN, needed=needed, needed_unchanged=unchanged)

    (step,) = case_count_steps(found, "case")

    assert step.kind is StepKind.ADD_CASES
    assert {key: step.values[key] for key in wanted} == wanted


def test_a_step_about_cases_says_whether_this_result_fails_and_whether_the_limit_is_a_default():
    found = check(outcome=OPEN, needed=60)
    past = replace(found, before=0.9, after=0.9 - found.limit, has_default_limit=True)
    within = replace(found, before=0.9, after=0.9 - found.limit / 2)

    (step,), (other,) = (case_count_steps(one, "case") for one in (past, within))

    assert (step.values["fails"], step.values["default"]) == (True, found.limit)
    assert (other.values["fails"], other.values["default"]) == (False, 0.0)


def test_where_more_cases_than_that_are_needed_something_else_decides():
    found = check(outcome=OPEN, needed=501, needed_unchanged=900)
    values = {"n": 100, "cases": "case", "narrows": False}
    otherwise = NextStep(StepKind.DECIDE_OTHERWISE, values)

    assert [*case_count_steps(found, "case")] == [otherwise]
    assert [*case_count_steps(check(outcome=OPEN), "case")] == []


@every_row(
    ("needed", "after", "last"),
    [
        ((50, 90), (0.4, 0.4), 1),
        ((90, None), (0.4, 0.4), 1),
        # The gate fails as soon as it is shown that one of them is past its limit.
        ((50, 90), (0.6, 0.4), 0),
    ],
)
def test_several_checks_are_settled_by_the_cases_that_the_last_of_them_takes(needed, after, last):
    found = [
        check(outcome=OPEN, unit="usd", before=None, limit=0.5, needed=n, after=now)
        for n, now in zip(needed, after, strict=True)
    ]

    assert last_settled(found) is found[last]


@every_row("provider", ["python", "recorded"])
def test_no_more_replies_are_asked_of_functions_of_the_project_or_of_files(provider):
    others = {
        name: replace(variant, provider=provider) for name, variant in made().variants.items()
    }
    found = rated(check(outcome=OPEN, needed=60))

    for of, is_offered in ((made(), True), (replace(made(), variants=others), False)):
        offered = steps(found, look=Look(replies_vary=True), of=of)
        assert (StepKind.SETTLE in offered) is is_offered


@every_row(
    ("look", "needed"),
    [(Look(replies_vary=False), 150), (Look(replies_vary=True, cases=frozenset("a")), 150),
     (Look(replies_vary=True), None)],
)  # fmt: skip
def test_repeats_are_offered_only_where_they_help_and_are_few(look, needed):
    assert StepKind.SETTLE not in steps(rated(check(outcome=OPEN, needed=needed)), look=look)


def test_a_changed_habit_of_thinking_is_to_be_kept():
    kept = steps(rated(check(measure="thoughts")))[StepKind.KEEP_THOUGHTS]

    assert kept == {"variant": "new", "where": "suite.ftgate.yaml:7"}


def test_the_most_frequent_error_of_a_format_is_mended_first_by_its_gate_or_below_a_minimum():
    gate = replace(GATE, kind="format")

    found = steps(rated(check()), gate=gate, errors=["no JSON", "no JSON", "prose"])

    assert next(iter(found)) is StepKind.FIX_FORMAT
    assert found[StepKind.FIX_FORMAT] == {"format_error": "no JSON", "replies": 2}

    mended, left = (steps(failed_minimum(), errors=["no JSON"] * count) for count in (20, 19))

    assert next(iter(mended)) is StepKind.FIX_FORMAT
    assert StepKind.FIX_FORMAT not in left


def failed_minimum(wrong=40, **more):
    """A verdict that fails a minimum with so many wrong cases."""
    return rated(check(CheckKind.MINIMUM), regressed=wrong, **more)


def test_below_a_minimum_the_label_that_is_mistaken_most_often_is_to_be_told_from_the_other():
    refund, login = (
        LabelMetrics(label=label, n=50, precision=0.5, recall=0.5, f1=0.5, taken_for=other)
        for label, other in (("refund", {"billing": 12, "login": 3}), ("login", {"billing": 4}))
    )

    found = steps(failed_minimum(labels=(refund, login)))

    assert next(iter(found)) is StepKind.FIX_LABEL
    told = {"label": "refund", "taken_for": "billing", "replies": 12}
    assert found[StepKind.FIX_LABEL] == told
    assert StepKind.FIX_LABEL in steps(rated(check(), regressed=40, labels=(refund, login)))
    for taken_for, wrong, is_told in (
        ({"billing": 1}, 2, False),
        # A quarter of the wrong replies is enough.
        ({"billing": 9}, 40, False),
        ({"billing": 10}, 40, True),
        # A reply that is no label is a broken format, and no label to tell apart.
        ({"no label": 30}, 40, False),
    ):
        found = steps(failed_minimum(wrong, labels=(replace(refund, taken_for=taken_for),)))
        assert (StepKind.FIX_LABEL in found) is is_told


# Every step of a verdict ---------------------------------------------------------------------


def test_a_gate_that_passed_is_at_most_to_be_accepted():
    alone = replace(STEADY, variants={"new": STEADY.variants["new"]})
    accept = [NextStep(StepKind.ACCEPT, {"suite": "suite.ftgate.yaml"})]

    assert all_steps(rated(), of=alone) == accept
    # In a suite that compares variants it would be advice on every green build.
    assert all_steps(rated()) == []

    assert all_steps(rated(check(CheckKind.MINIMUM, PASSED, limit=0.5))) == []


def test_wrong_must_pass_cases_are_to_be_fixed_first_and_no_limit_excuses_them():
    must = check(CheckKind.MUST_PASS, case_ids=("c1", "c2"))
    drop = check(shown_limit=0.2)

    first = NextStep(StepKind.FIX_MUST_PASS, {"cases": "c1, c2", "repeated": True, "where": ""})
    assert all_steps(rated(must, drop), Look(replies_vary=True)) == [first]
    assert all_steps(rated(drop, must)) == []


def test_a_slice_that_regressed_is_excused_by_no_limit():
    part = Slice(
        kind="tag", name="t", n=9, before=0.9, after=0.1, low=0.0, high=0.1, p_drop=0.0,
        state="regressed",
    )  # fmt: skip
    read = NextStep(StepKind.FIX_PART, {"kind": "tag", "name": "t", "regressed": 0, "n": 9})

    assert all_steps(rated(check(), slices=(part,))) == [read]
    assert all_steps(rated(check(), slices=(replace(part, state="kept"),))) == [make_baseline()]


@every_row(
    ("checks", "wanted"),
    [
        ([check(shown_limit=0.1)], [make_baseline()]),
        ([check(CheckKind.ACCEPTED)], [accept_run(anchor=True)]),
        ([check(CheckKind.ACCEPTED), check(CheckKind.ANCHOR, PASSED)], [accept_run(anchor=False)]),
        (
            [check(CheckKind.ACCEPTED, shown_limit=0.1), check(CheckKind.ANCHOR, shown_limit=0.1)],
            [accept_run(anchor=True)],
        ),
        ([check(shown_limit=0.1), check(CheckKind.ACCEPTED, shown_limit=None)], []),
        (
            [check(shown_limit=0.1), check(CheckKind.ACCEPTED, shown_limit=0.08)],
            [limit_to("max_drop: 0.1")],
        ),
        # Twice as much as declared may be advised, and no more.
        ([check(shown_limit=0.11), check(CheckKind.ACCEPTED, shown_limit=0.08)], []),
        (
            [check(CheckKind.MINIMUM, limit=0.85, shown_limit=0.7), check(shown_limit=0.1)],
            [limit_to("min: 0.7, max_drop: 0.1")],
        ),
        ([check(CheckKind.MINIMUM, limit=0.85, shown_limit=0.69)], []),
        (
            [
                check(CheckKind.MINIMUM, limit=0.85, shown_limit=0.8),
                check(CheckKind.MINIMUM, limit=0.85, shown_limit=0.75),
                check(CheckKind.MINIMUM, limit=0.85, shown_limit=0.82),
            ],
            [limit_to("min: 0.75")],
        ),
    ],
)
def test_a_failed_gate_names_the_one_reviewed_change_after_which_the_same_replies_pass(
    checks, wanted
):
    assert all_steps(rated(*checks)) == wanted


def test_the_key_is_named_where_it_really_is():
    places = {
        "baseline": "suite.ftgate.yaml:3",
        "variants": "suite.ftgate.yaml:5",
        "gates.accuracy": "suite.ftgate.yaml:9",
        "gates.accuracy.max_drop": "suite.ftgate.yaml:11",
    }
    of = replace(STEADY, places=places)
    both = [check(outcome=OPEN, shown_limit=0.1)]

    assert all_steps(rated(check()), of=of) == [make_baseline("suite.ftgate.yaml:3")]
    (limit,) = all_steps(rated(*both), of=of)
    assert limit.values["where"] == "suite.ftgate.yaml:11"
    del places["baseline"]
    assert all_steps(rated(check()), of=of) == [make_baseline("suite.ftgate.yaml:5")]


def test_the_first_variant_of_a_mark_is_its_baseline_and_the_suite_of_a_mark_has_a_key():
    gate = replace(GATE, function="test_tone")
    in_mark = replace(STEADY, places={"variants": "suite.ftgate.yaml:4"})
    in_suite = replace(STEADY, places={"baseline": "tone.ftgate.yaml:4"})

    (mark, suite) = (all_steps(rated(check()), gate=gate, of=of) for of in (in_mark, in_suite))
    assert mark == [make_baseline("suite.ftgate.yaml:4", in_mark=True)]
    assert suite == [make_baseline("tone.ftgate.yaml:4")]


def test_what_differs_between_two_variants_is_named_with_the_lines_of_the_prompt():
    variants = {
        name: replace(STEADY.variants[name], system=system, model=name)
        for name, system in (("current", "One.\nTwo.\n"), ("new", "One.\nThree.\nFour.\n"))
    }
    found = rated(check(against="current"), flips=(flip("c1", regressed=True),), regressed=5)

    (step, _) = all_steps(found, of=replace(STEADY, variants=variants))

    assert step.kind is StepKind.FIX_CASES
    assert step.values == {
        "cases": "c1", "count": 5, "open": False, "changed": ("model", "prompt"), "added": 2,
        "removed": 1,
    }  # fmt: skip


def test_replies_that_were_cut_off_need_more_tokens_at_the_key_that_limits_them():
    values = {"cut": 30, "regressed": 40, "format_error": "truncated", "format_replies": 30}
    said = Statement(StatementKind.RATE, values)
    found = rated(check(), statement=said, regressed=40)
    places = {"variants.new": "s:5", "variants.new.max_tokens": "s:6"}

    first, *others = all_steps(found, of=replace(STEADY, places=places))

    assert StepKind.FIX_FORMAT not in [step.kind for step in others]
    said = {"cut": 30, "of": 40, "regressed": True, "where": "s:6"}
    assert first == NextStep(StepKind.RAISE_MAX_TOKENS, said)


@every_row("cut, steps", [(12, [StepKind.RAISE_MAX_TOKENS]), (4, [])])
def test_without_a_comparison_more_tokens_are_advised_if_most_wrong_replies_were_cut_off(
    cut, steps
):
    told = note(NoteKind.CUT_OFF, n=cut, of=40, as_wrong=True)
    found = rated(check(kind=CheckKind.MINIMUM, before=None), regressed=20, notes=(told,))

    assert [s.kind for s in all_steps(found) if s.kind is StepKind.RAISE_MAX_TOKENS] == steps


def test_the_limit_and_the_repeats_of_a_marked_function_are_written_as_arguments():
    gate = replace(GATE, function="test_refunds")

    below = check(CheckKind.MINIMUM, limit=0.85, shown_limit=0.7)
    assert all_steps(rated(below), gate=gate) == [limit_to("min=0.7")]
    found, look = rated(check(outcome=OPEN, needed=150)), Look(repeats=3, replies_vary=True)
    assert steps(found, gate=gate, look=look)[StepKind.SETTLE]["setting"] == "repeats=8"


@every_row("broken", [True, False])
def test_cases_that_broke_their_format_are_mended_by_their_own_most_frequent_error(broken):
    values = {"broken": 3, "format_error": "no JSON", "format_replies": 2} if broken else {}
    found = rated(check(), statement=Statement(StatementKind.RATE, values), regressed=40)

    steps = all_steps(found, errors=["prose", "prose", "prose", "no JSON", "no JSON"])

    of = {"of": "regressed cases"}
    mended = NextStep(StepKind.FIX_FORMAT, {"format_error": "no JSON", "replies": 2, **of})
    assert (steps[0] == mended) is broken


def test_what_cannot_be_compared_is_requested_again_or_held_to_a_minimum():
    found = rated(check(outcome=OPEN, has_drifted=True, needed=9, shown_limit=0.2))

    both_again = NextStep(StepKind.REQUEST_BOTH_AGAIN, {"suite": "suite.ftgate.yaml"})
    assert all_steps(found) == [both_again]

    found = rated(check(outcome=OPEN, informative=False, missing=3))

    assert all_steps(found) == [NextStep(StepKind.DECLARE_MINIMUM, WHERE)]

    at_chance = rated(check(CheckKind.MINIMUM, OPEN, informative=False))

    assert all_steps(at_chance) == [NextStep(StepKind.RAISE_MINIMUM, WHERE)]


def test_an_open_drop_names_its_cases_then_the_evidence_and_last_the_limit():
    of = made()
    drop = check(outcome=OPEN, needed=60, needed_unchanged=20, shown_limit=0.1)
    flips = (flip("c1", regressed=True), flip("c2", regressed=True), flip("c3", regressed=False))
    found = rated(drop, flips=flips, regressed=2)

    look = Look(repeats=3, replies_vary=True)
    assert all_steps(found, look, of=of) == [
        NextStep(StepKind.FIX_CASES, {"cases": "c1, c2", "count": 2, "open": True}),
        NextStep(
            StepKind.ADD_CASES,
            {"needed": 60, "unchanged": 20, "cases": "case", "fails": True, "default": False},
        ),
        # 3 replies to each of 160 cases are 4.8 to each of 100.
        NextStep(StepKind.SETTLE, {"setting": "settle: 5", "repeats": 5, **WHERE}),
        limit_to("max_drop: 0.1"),
    ]


INPUTS = InputChange(change=0.1, cases=20, inputs=200, equal=160, differing=40, better=12)


@every_row(("variants", "several"), [(("current", "new"), {}), ("abc", {"variant": "new"})])
def test_an_open_check_with_inputs_asks_for_labels_and_not_for_cases(variants, several):
    inputs = replace(INPUTS, to_label=10, chance=0.3, to_last=40, chance_at_last=0.8)
    found = rated(
        check(outcome=OPEN, inputs=inputs, missing=2, needed=60),
        flips=(flip("c1", regressed=True),), regressed=1,
    )  # fmt: skip
    more = {name: replace(STEADY.variants["new"], name=name) for name in variants}
    of = replace(STEADY, variants={**STEADY.variants, **more})

    label, read = all_steps(found, of=of)

    looks = {"n": 10, "chance": 0.3, "last": 40, "at_last": 0.8, "suite": "suite.ftgate.yaml"}
    assert label == NextStep(StepKind.LABEL, {**looks, **several})
    assert read.kind is StepKind.FIX_CASES
    done = replace(found, checks=(check(outcome=OPEN, inputs=INPUTS),))
    assert [step.kind for step in all_steps(done, of=of)] == [StepKind.FIX_CASES]


@every_row(("needed", "repeats"), [(1900, 20), (1901, None)])
def test_up_to_twenty_repeats_are_offered(needed, repeats):
    found = rated(check(outcome=OPEN, needed=needed))

    offered = steps(found, look=Look(replies_vary=True), of=made())

    assert offered.get(StepKind.SETTLE, {}).get("repeats") == repeats


def test_repeats_are_offered_neither_for_a_minimum_nor_for_related_cases_or_accepted_ones():
    found = rated(check(CheckKind.MINIMUM, OPEN, needed=50))

    assert all_steps(found, Look(replies_vary=True)) == [
        NextStep(
            StepKind.ADD_CASES,
            {"needed": 50, "unchanged": 0, "cases": "case", "fails": False, "default": False},
        )
    ]

    accepted = check(CheckKind.ACCEPTED, OPEN, n=60)

    assert all_steps(rated(accepted), of=made()) == [accept_run(anchor=True, failed=False)]


@every_row("kind", [CheckKind.BASELINE, CheckKind.MINIMUM])
def test_the_first_three_regressed_cases_are_to_be_read(kind):
    flips = tuple(flip(f"c{i}", regressed=True) for i in range(40))

    read = steps(rated(check(kind), flips=flips, regressed=40), of=STEADY)[StepKind.FIX_CASES]

    assert read == {"cases": "c0, c1, c2", "count": 40, "open": False}


def test_missing_replies_are_counted_with_where_they_come_from():
    found = rated(check(outcome=OPEN, missing=30, needed=9))
    again = NextStep(StepKind.RUN_AGAIN, {"missing": 30, "suite": "suite.ftgate.yaml"})
    new = replace(STEADY.variants["new"], replies=Path("a/b.jsonl"))
    recorded = replace(STEADY, variants={**STEADY.variants, "new": new})
    improve = NextStep(StepKind.IMPROVE_JUDGE, {"ungraded": 30})

    assert all_steps(found) == [again]
    for of in (STEADY, recorded):
        assert all_steps(found, of=replace(of, judges={"tone": None})) == [improve, again]
    # No run brings grades that no reply of the judge holds.
    ungraded = replace(found, notes=(note(NoteKind.UNGRADED, n=30, of=300, first="no grade"),))
    assert all_steps(ungraded, of=replace(STEADY, judges={"tone": None})) == [improve]
    assert all_steps(found, of=recorded) == [
        NextStep(StepKind.ADD_REPLIES, {"missing": 30, "file": "b.jsonl"})
    ]


def test_a_check_that_can_show_nothing_blocks_only_alone():
    passed, failed = check(outcome=PASSED), check()
    blind = replace(check(outcome=OPEN), informative=False)

    assert blocking_checks(rated(passed, failed, blind)) == [failed]
    assert blocking_checks(rated(blind, blind)) == [blind, blind]
    assert blocking_checks(rated(passed, blind)) == []
