"""Format errors: their shares before and now, and the habit behind them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from ftgate_testing.score_columns import LABELS, case, rate_verdict, suite, without_replies
from ftgate_testing.tables import every_row
from statsmodels.stats.contingency_tables import SquareTable

from pytest_ftgate.gates.format_errors import (
    changed_habit,
    error_shares,
    format_error_fields,
    reply_drifts,
    rule_shares,
)
from pytest_ftgate.gates.notes import ReplyNote, note
from pytest_ftgate.gates.verdict import (
    Drift,
    FormatErrorExample,
    FormatErrorShare,
    Outcome,
)
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.score import FormatError
from pytest_ftgate.scoring.scores import CaseResult, Score, VariantScores
from pytest_ftgate.suite.gate_kinds import RateGate
from pytest_ftgate.suite.rule import Rule

GATE = RateGate(kind="format", line=8, max_drop=0.05)
MINIMUM = RateGate(kind="format", line=8, min=0.9)
JSON = FormatError("fenced", rules=("json_schema",), lenient=True)
MISSING_KEY = FormatError("missing key", rules=("json_schema",))
FREE = replace(case("free"), format=())
WRONG_LABEL = FormatError("not in enumeration", rules=("choice",))


def scores(*errors, name="new", of=200):
    """Return the scores of *of* cases; the first have *errors*, each (format error, count)."""
    all_errors = [error for error, count in errors for _ in range(count)]
    all_errors += [None] * (of - len(all_errors))
    rows = [
        CaseResult(
            case(f"c{n:03}"), (Reply(text="x"),), (Score(None, error),), (f"{name} {n} {error}",)
        )
        for n, error in enumerate(all_errors)
    ]
    return VariantScores(name, {row.case.id: row for row in rows})


def verdict(after, before=None, gate=GATE):
    return rate_verdict(gate, after, before or after)


def test_shares_have_their_intervals_and_the_first_replies_of_what_is_new():
    long = FormatError("empty", detail="no text")
    before = scores((JSON, 60), (MISSING_KEY, 1))
    after = scores((JSON, 70), (MISSING_KEY, 20), (long, 2))
    rows = dict(after.results)
    rows["c090"] = replace(rows["c090"], replies=(Reply(text="y" * 301),))

    near = partial(pytest.approx, abs=0.001)
    assert error_shares(before, VariantScores("new", rows)) == (
        FormatErrorShare(
            kind="missing key", replies=20, after=0.1, low=near(0.066), high=near(0.149),
            before=0.005, before_low=near(0.001), before_high=near(0.028),
            examples=tuple(FormatErrorExample(case=f"c07{n}", text="x") for n in range(3)),
        ),
        FormatErrorShare(
            kind="fenced", replies=70, after=0.35, low=near(0.287), high=near(0.418),
            before=0.3, before_low=near(0.241), before_high=near(0.367),
        ),
        FormatErrorShare(
            kind="empty", replies=2, after=0.01, low=near(0.003), high=near(0.036),
            before=0.0, before_low=0.0, before_high=near(0.019),
            examples=(
                FormatErrorExample(case="c090", text="y" * 300, detail="no text"),
                FormatErrorExample(case="c091", text="x", detail="no text"),
            ),
        ),
    )  # fmt: skip


def test_shares_count_cases_with_a_format_and_each_case_once():
    nothing = VariantScores("none", {})
    free = CaseResult(FREE, (Reply(text="no"),), (Score(0.0, WRONG_LABEL),), ())

    assert error_shares(None, VariantScores("new", {"free": free})) == ()
    assert error_shares(None, nothing) == error_shares(scores((JSON, 3)), nothing) == ()
    (found,) = error_shares(nothing, scores((JSON, 3)))
    assert (found.before, found.before_low, found.before_high) == (None, None, None)

    one = CaseResult(
        case("a"), (Reply(text="x"),) * 4, (Score(None, JSON),) * 3 + (Score(None, None),), ()
    )
    (found,) = error_shares(None, VariantScores("new", {"a": one, "b": scores().results["c000"]}))

    assert (found.replies, found.after) == (3, 0.375)


def test_the_fields_of_a_verdict_about_formats_belong_to_a_format_gate_alone():
    before, after = scores((JSON, 60), name="current"), scores((JSON, 20), (MISSING_KEY, 20))
    free = VariantScores("free", {"a": replace(scores().results["c000"], case=FREE)})

    assert format_error_fields(replace(GATE, kind="accuracy"), before, after) == {}
    assert format_error_fields(GATE, before, after) == {
        "format_errors": error_shares(before, after),
        "broken_rules": (),
        "lenient": 0.9,
        "lenient_before": 1.0,
    }
    assert format_error_fields(GATE, None, free) == {
        "format_errors": (), "broken_rules": (), "lenient": None, "lenient_before": None
    }  # fmt: skip
    assert format_error_fields(GATE, free, after)["lenient_before"] is None


#: What the statement says of 41 of 200 replies that a model began to fence.
FENCED = {"habit": "fenced", "is_new": True, "rule": "json_schema", "replies": 41, "of": 200}


def habit(before, after, gate=GATE):
    check = verdict(after, before, gate).check
    return changed_habit(gate, check, before, after)


def test_a_habit_has_its_rule_its_replies_and_whether_it_began():
    before, after = scores(name="current"), scores((JSON, 41))
    rows = {**after.results, "free": replace(after.results["c000"], case=FREE)}
    rule = FormatError("fenced", rules=("code", "regex"), lenient=True)
    mixed = scores((JSON, 20), (rule, 21))

    assert habit(before, VariantScores("new", rows)) == FENCED
    assert habit(before, mixed) == {**FENCED, "rule": "code"}
    bare = scores((FormatError("fenced", lenient=True), 41))
    assert habit(before, bare) == {**FENCED, "rule": ""}
    assert habit(scores((JSON, 20), name="current"), after)["is_new"] is True
    assert habit(scores((JSON, 20), name="current"), scores((JSON, 40)))["is_new"] is False
    assert habit(None, after, MINIMUM) == {**FENCED, "is_new": False}


@every_row(("broken", "is_habit"), [(3, True), (5, False)])
def test_a_habit_may_hide_a_tenth_of_a_drop_that_lenient_readers_see_too(broken, is_habit):
    after = scores((JSON, 40 - broken), (MISSING_KEY, broken))

    assert bool(habit(scores(name="current"), after)) is is_habit


def test_what_no_reader_repairs_or_what_fell_for_lenient_ones_too_is_no_habit():
    unknown = FormatError("truncated", rules=("json_schema",), lenient=True)
    before = scores((FormatError("preamble", lenient=True), 1), name="current")

    assert habit(scores(name="current"), scores((unknown, 41))) == {}
    assert habit(before, scores((unknown, 41))) == {}
    assert habit(before, scores((unknown, 41), (JSON, 1)))["habit"] == "fenced"

    before = scores((JSON, 60), name="current")

    found = verdict(scores((JSON, 20), (MISSING_KEY, 59)), before)

    assert named_habit(found) == {}


def test_the_format_error_that_grew_most_comes_first_and_one_that_went_comes_last():
    before, after = scores((MISSING_KEY, 30)), scores((JSON, 10), (FormatError("empty"), 20))

    assert [one.kind for one in error_shares(before, after)] == ["empty", "fenced", "missing key"]


def by_rules(name, *errors):
    """Return the scores of cases with two rules of format, one for each error."""
    several = replace(case("a"), format=(Rule("regex", "a"), LABELS))
    rows = (CaseResult(several, (Reply(text="x"),), (Score(None, error),), ()) for error in errors)
    return VariantScores(name, {f"{n}": row for n, row in enumerate(rows)})


def test_only_several_format_rules_are_counted_and_compared_each_by_itself():
    both = FormatError("regex", rules=("regex", "choice"))
    before, after = by_rules("old", both, None), by_rules("new", both, WRONG_LABEL)

    found = {one.kind: (one.before, one.after) for one in rule_shares(before, after)}
    assert found == {"choice": (0.5, 1.0), "regex": (0.5, 0.5)}
    assert [(one.kind, one.replies) for one in rule_shares(None, after)] == [
        ("choice", 2),
        ("regex", 1),
    ]
    assert rule_shares(None, scores((JSON, 3))) == ()


def named_habit(verdict):
    """Return the values of the statement that are about a habit."""
    names = ("habit", "is_new", "rule", "replies", "of")
    values = verdict.statement.values
    return {name: values[name] for name in names if name in values}


@every_row("kind", ["fenced", "preamble", "trailing text", "wrong label casing", "invalid syntax"])
def test_a_drop_that_only_a_strict_reader_sees_is_called_what_it_is(kind):
    error = FormatError(kind, rules=("json_schema",), lenient=True)
    found = verdict(scores((error, 41)), scores(name="current"))

    assert found.outcome is Outcome.FAILED
    assert named_habit(found) == {**FENCED, "habit": kind}
    assert (found.lenient_before, found.lenient) == (1.0, 1.0)


def test_a_gate_that_passed_names_no_habit_and_notes_an_error_that_became_commoner():
    found = verdict(scores((JSON, 12)), scores(name="current"), replace(GATE, max_drop=0.2))

    assert found.outcome is Outcome.PASSED
    assert named_habit(found) == {}
    values = {"what": "fenced", "before": 0.0, "after": 0.06}
    assert note(ReplyNote.ERROR_SHARE, **values) in found.notes


def test_a_gate_that_failed_shows_its_format_errors_without_a_note_and_every_kind_first():
    found = verdict(scores((JSON, 60)), scores(name="current"))

    assert not [one for one in found.notes if one.kind == ReplyNote.ERROR_SHARE]

    rare = FormatError("truncated", rules=("json_schema",))
    found = verdict(scores((MISSING_KEY, 100), (rare, 1)), scores(name="current"))

    assert {flip.format_error for flip in found.flips[:2]} == {"missing key", "truncated"}


def mixes(before, after):
    return [one for one in verdict(after, before).drifts if one.what == "format errors"]


def test_a_mix_is_reported_only_if_some_kind_became_more_frequent_than_by_chance():
    before = scores((JSON, 60), name="current")

    assert mixes(before, scores((JSON, 51), (None, 149))) == []
    assert mixes(before, scores((MISSING_KEY, 9), (JSON, 51))) == []

    before = scores((JSON, 60), (MISSING_KEY, 40), name="current")

    fewer = mixes(before, scores((JSON, 10), (MISSING_KEY, 40)))
    others = mixes(before, scores((JSON, 10), (MISSING_KEY, 41)))

    assert [found.p < 0.001 for found in (*fewer, *others)] == [True, True]
    assert [found.message for found in fewer] == [None]
    assert [found.message for found in others] == [note(ReplyNote.ERROR_MIX, p=others[0].p)]


#: What statsmodels makes of the last row: cases without an error, fenced, and without a key.
TABLE = SquareTable(np.array([[135, 0, 5], [0, 20, 40], [0, 0, 0]]), shift_zeros=False)
HOMOGENEITY = TABLE.homogeneity().pvalue


@every_row(
    ("errors", "after", "p", "is_told"),
    [
        (((MISSING_KEY, 10), (JSON, 50)), 0.3, 0.001565, True),
        (((None, 5), (JSON, 62)), 0.31, 0.5637, False),
        (((JSON, 20), (MISSING_KEY, 45)), 0.325, HOMOGENEITY, True),
    ],
)
def test_a_mix_is_described_with_its_test_and_told_if_it_changed(errors, after, p, is_told):
    (found,) = mixes(scores((JSON, 60), name="current"), scores(*errors))

    assert found == Drift(
        what="format errors", unit="share", before=0.3, after=after, n=200,
        p=pytest.approx(p, rel=0.002),
        message=note(ReplyNote.ERROR_MIX, p=found.p) if is_told else None,
    )  # fmt: skip


def test_a_mix_counts_only_the_cases_that_both_sides_answered():
    before, after = scores((JSON, 60), name="current"), scores((MISSING_KEY, 60))
    fewer, rest = (
        replace(side, results={key: row for key, row in side.results.items() if key < "c190"})
        for side in (before, after)
    )
    lost = without_replies(before, [f"c19{n}" for n in range(10)])

    for then, now in ((lost, after), (fewer, after), (before, rest)):
        drifts = reply_drifts(suite(GATE), GATE, then, now)
        (found,) = (one for one in drifts if one.what == "format errors")
        assert (found.n, found.before) == (190, pytest.approx(60 / 190))


def test_a_check_of_thoughts_names_no_habit_of_format() -> None:
    before, after = scores(name="current"), scores((JSON, 41))
    failed = verdict(after, before).check

    assert changed_habit(GATE, failed, before, after)["habit"] == "fenced"
    assert changed_habit(GATE, replace(failed, measure="thoughts"), before, after) == {}
