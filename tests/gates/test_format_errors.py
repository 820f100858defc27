"""Format errors: their shares before and now, and the habit behind them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from ftgate_testing.notes import texts
from ftgate_testing.score_columns import LABELS, case, suite, variant_scores
from statsmodels.stats.contingency_tables import SquareTable

from pytest_ftgate.gates.format_errors import (
    changed_habit,
    error_shares,
    format_error_fields,
    reply_drifts,
    rule_shares,
)
from pytest_ftgate.gates.measures import measure_rate
from pytest_ftgate.gates.notes import ReplyNote, note
from pytest_ftgate.gates.rates import Comparison, evaluate_rate
from pytest_ftgate.gates.verdict import (
    Drift,
    FormatErrorExample,
    FormatErrorShare,
    Outcome,
    Verdict,
)
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.results.run import from_json, to_json
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
    return evaluate_rate(suite(gate), gate, Comparison(after, before or after))


def test_the_share_of_a_format_error_has_an_interval_on_either_side():
    (found,) = error_shares(scores(), scores((JSON, 40)))

    assert (found.kind, found.replies, found.before, found.after) == ("fenced", 40, 0.0, 0.2)
    assert (found.low, found.high) == (
        pytest.approx(0.150, abs=0.001),
        pytest.approx(0.261, abs=0.001),
    )
    assert (found.before_low, found.before_high) == (0.0, pytest.approx(0.019, abs=0.001))


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


def test_without_a_case_that_has_a_format_there_are_no_shares_and_none_before():
    nothing = VariantScores("none", {})

    assert error_shares(None, nothing) == error_shares(scores((JSON, 3)), nothing) == ()
    (found,) = error_shares(nothing, scores((JSON, 3)))
    assert (found.before, found.before_low, found.before_high) == (None, None, None)


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


def habit(before, after, gate=GATE):
    check = verdict(after, before, gate).check
    return changed_habit(gate, check, before, after)


def test_a_habit_has_its_rule_its_replies_and_whether_it_began():
    before, after = scores(name="current"), scores((JSON, 41))
    rows = {**after.results, "free": replace(after.results["c000"], case=FREE)}
    rule = FormatError("fenced", rules=("code", "regex"), lenient=True)
    mixed = scores((JSON, 20), (rule, 21))

    expected = {
        "habit": "fenced", "is_new": True, "rule": "json_schema", "replies": 41, "of": 200
    }  # fmt: skip
    assert habit(before, after) == expected
    assert habit(before, VariantScores("new", rows)) == expected
    assert habit(before, mixed) == {**expected, "rule": "code"}
    bare = scores((FormatError("fenced", lenient=True), 41))
    assert habit(before, bare) == {**expected, "rule": ""}
    assert habit(scores((JSON, 20), name="current"), after)["is_new"] is True
    assert habit(scores((JSON, 20), name="current"), scores((JSON, 40)))["is_new"] is False
    assert habit(None, after, MINIMUM) == {**expected, "is_new": False}


@pytest.mark.parametrize(("broken", "is_habit"), [(3, True), (5, False)])
def test_a_habit_may_hide_a_tenth_of_a_drop_that_lenient_readers_see_too(broken, is_habit):
    after = scores((JSON, 40 - broken), (MISSING_KEY, broken))

    assert bool(habit(scores(name="current"), after)) is is_habit


def test_an_error_that_no_reader_repairs_is_no_habit_and_neither_is_one_that_went():
    unknown = FormatError("truncated", rules=("json_schema",), lenient=True)
    before = scores((FormatError("preamble", lenient=True), 1), name="current")

    assert habit(scores(name="current"), scores((unknown, 41))) == {}
    assert habit(before, scores((unknown, 41))) == {}
    assert habit(before, scores((unknown, 41), (JSON, 1)))["habit"] == "fenced"


def test_repeats_of_a_case_are_one_case_in_a_share_and_counted_as_replies():
    one = CaseResult(
        case("a"), (Reply(text="x"),) * 4, (Score(None, JSON),) * 3 + (Score(None, None),), ()
    )
    (found,) = error_shares(None, VariantScores("new", {"a": one, "b": scores().results["c000"]}))

    assert (found.replies, found.after) == (3, 0.375)


def test_the_format_error_that_grew_most_comes_first_and_one_that_went_comes_last():
    before, after = scores((MISSING_KEY, 30)), scores((JSON, 10), (FormatError("empty"), 20))

    assert [one.kind for one in error_shares(before, after)] == ["empty", "fenced", "missing key"]


def test_each_of_several_format_rules_is_counted_by_itself():
    several = replace(case("a"), format=(Rule("regex", "a"), LABELS))
    broken = FormatError("regex", rules=("regex", "choice"))
    row_scores = (Score(None, broken), Score(None, None), Score(None, WRONG_LABEL))
    row = CaseResult(several, (Reply(text="x"),) * 3, row_scores, ())

    assert [
        (one.kind, one.replies) for one in rule_shares(None, VariantScores("new", {"a": row}))
    ] == [
        ("choice", 2),
        ("regex", 1),
    ]


def test_the_rules_that_were_broken_before_are_compared_by_their_own_names():
    several = replace(case("a"), format=(Rule("regex", "a"), LABELS))
    errors = (FormatError("regex", rules=("regex", "choice")), WRONG_LABEL)
    before, after = (
        VariantScores(
            name,
            {
                f"{n}": CaseResult(several, (Reply(text="x"),), (Score(None, error),), ())
                for n, error in enumerate(found)
            },
        )
        for name, found in (("old", (errors[0], None)), ("new", errors))
    )

    found = {one.kind: (one.before, one.after) for one in rule_shares(before, after)}
    assert found == {"choice": (0.5, 1.0), "regex": (0.5, 0.5)}


def test_a_single_rule_is_not_counted():
    assert rule_shares(None, scores((JSON, 3))) == ()


HABITS = [
    ("fenced", "json_schema"),
    ("fenced", "code"),
    ("preamble", "xml"),
    ("trailing text", "csv"),
    ("wrong label casing", "choice"),
    ("invalid syntax", "pydantic"),
    ("fenced", "regex"),
]


def named_habit(verdict):
    """Return the values of the statement that are about a habit."""
    names = ("habit", "is_new", "rule", "replies", "of")
    values = verdict.statement.values
    return {name: values[name] for name in names if name in values}


@pytest.mark.parametrize(("kind", "rule"), HABITS)
def test_a_drop_that_only_a_strict_reader_sees_is_called_what_it_is(kind, rule):
    found = verdict(
        scores((FormatError(kind, rules=(rule,), lenient=True), 41)), scores(name="current")
    )

    assert found.outcome is Outcome.FAILED
    named = {"habit": kind, "is_new": True, "rule": rule, "replies": 41, "of": 200}
    assert named_habit(found) == named
    assert (found.lenient_before, found.lenient) == (1.0, 1.0)


def test_a_drop_that_a_lenient_reader_sees_too_is_no_habit():
    found = verdict(scores((JSON, 20), (MISSING_KEY, 20)), scores(name="current"))

    assert found.outcome is Outcome.FAILED
    assert named_habit(found) == {}
    assert (found.lenient_before, found.lenient) == (1.0, 0.9)


def test_a_lenient_rate_that_fell_is_no_habit_though_it_is_above_the_strict_one_of_before():
    before = scores((JSON, 60), name="current")

    found = verdict(scores((JSON, 20), (MISSING_KEY, 59)), before)

    assert named_habit(found) == {}


def test_a_habit_of_old_that_grew_did_not_begin():
    found = verdict(scores((JSON, 100)), scores((JSON, 60), name="current"))

    assert (named_habit(found)["habit"], named_habit(found)["is_new"]) == ("fenced", False)
    assert (named_habit(found)["replies"], named_habit(found)["of"]) == (100, 200)


def test_a_missed_minimum_names_the_habit_without_a_before():
    found = verdict(scores((JSON, 60)), gate=MINIMUM)

    assert (named_habit(found)["habit"], named_habit(found)["is_new"]) == ("fenced", False)
    assert found.format_errors[0].before is None


def test_a_gate_that_passed_names_no_habit():
    found = verdict(scores((JSON, 1)), scores(name="current"))

    assert found.outcome is Outcome.PASSED
    assert named_habit(found) == {}


def test_a_format_error_that_became_commoner_under_a_gate_that_passed_is_a_note():
    wide = RateGate(kind="format", line=8, max_drop=0.2)
    found = verdict(scores((JSON, 12)), scores(name="current"), wide)

    assert found.outcome is Outcome.PASSED
    values = {"what": "fenced", "before": 0.0, "after": 0.06}
    assert note(ReplyNote.ERROR_SHARE, **values) in found.notes


def test_a_gate_that_failed_shows_its_format_errors_and_needs_no_note_of_them():
    found = verdict(scores((JSON, 60)), scores(name="current"))

    assert not any("broken by" in note for note in texts(found.notes))


def test_the_first_regressed_cases_show_every_kind_of_format_error():
    rare = FormatError("truncated", rules=("json_schema",))
    found = verdict(scores((MISSING_KEY, 100), (rare, 1)), scores(name="current"))

    assert {flip.format_error for flip in found.flips[:2]} == {"missing key", "truncated"}


def test_format_errors_survive_the_way_to_the_reporting_process():
    found = verdict(scores((JSON, 41)), scores(name="current"))

    assert from_json(Verdict, to_json(found)).format_errors == found.format_errors


def test_an_ungated_variant_has_format_errors_without_a_comparison():
    found = measure_rate(suite(GATE), GATE, scores((JSON, 41)))

    assert [(one.kind, one.before) for one in found.format_errors] == [("fenced", None)]


def test_three_replies_are_quoted_of_each_new_format_error_and_none_of_an_old_one():
    before = scores((JSON, 60), name="current")
    fenced, missing = sorted(
        verdict(scores((JSON, 60), (MISSING_KEY, 59)), before).format_errors,
        key=lambda one: one.kind != "fenced",
    )

    assert fenced.kind == "fenced"
    assert fenced.examples == ()
    assert len(missing.examples) == 3
    assert len({one.case for one in missing.examples}) == 3


def mix(found):
    return next(one for one in found.drifts if one.what == "format errors")


def test_another_mix_of_format_errors_is_a_warning_though_as_many_replies_are_broken():
    before, after = scores((JSON, 60), name="current"), scores((MISSING_KEY, 60))
    found = verdict(after, before)

    assert mix(found).p < 0.001
    assert mix(found).before == mix(found).after == 0.3
    assert found.outcome is not Outcome.FAILED


def test_the_test_of_the_mix_is_that_of_statsmodels():
    before, after = scores((JSON, 60), name="current"), scores((JSON, 20), (MISSING_KEY, 45))
    table = np.array([[135, 0, 5], [0, 20, 40], [0, 0, 0]])

    p = SquareTable(table, shift_zeros=False).homogeneity().pvalue
    assert mix(verdict(after, before)).p == pytest.approx(p)


def mixes(before, after):
    return [one for one in verdict(after, before).drifts if one.what == "format errors"]


def test_the_same_mix_is_no_warning_and_a_few_changes_show_nothing():
    before = scores((JSON, 60), name="current")

    assert mixes(before, scores((JSON, 51), (None, 149))) == []
    assert mixes(before, scores((MISSING_KEY, 9), (JSON, 51))) == []


@pytest.mark.parametrize(
    ("errors", "after", "p", "is_told"),
    [
        (((MISSING_KEY, 10), (JSON, 50)), 0.3, 0.0016, True),
        (((MISSING_KEY, 14), (JSON, 46)), 0.3, 0.0002, True),
        (((None, 5), (JSON, 62)), 0.31, 0.564, False),
    ],
)
def test_a_mix_is_described_with_its_test_and_told_if_it_changed(errors, after, p, is_told):
    (found,) = mixes(scores((JSON, 60), name="current"), scores(*errors))

    assert found == Drift(
        what="format errors", unit="share", before=0.3, after=after, n_before=200, n=200,
        p=pytest.approx(p, abs=5e-5 if p < 0.01 else 5e-4),
        message=note(ReplyNote.ERROR_MIX, p=found.p) if is_told else None,
    )  # fmt: skip


def test_a_mix_in_which_no_kind_became_more_frequent_is_not_reported():
    before = scores((JSON, 60), (MISSING_KEY, 40), name="current")

    fewer = mixes(before, scores((JSON, 10), (MISSING_KEY, 40)))
    others = mixes(before, scores((JSON, 10), (MISSING_KEY, 41)))

    assert [found.p < 0.001 for found in (*fewer, *others)] == [True, True]
    assert [found.message for found in fewer] == [None]
    assert [found.message for found in others] == [note(ReplyNote.ERROR_MIX, p=others[0].p)]


def test_a_mix_counts_only_the_cases_that_both_sides_answered():
    before, after = scores((JSON, 60), name="current"), scores((MISSING_KEY, 60))
    lost = {
        **before.results,
        **{f"c19{n}": replace(before.results[f"c19{n}"], replies=(), scores=()) for n in range(10)},
    }
    fewer = {key: row for key, row in before.results.items() if key < "c190"}
    rest = {key: row for key, row in after.results.items() if key < "c190"}

    for then, now in (
        (VariantScores("current", lost), after),
        (VariantScores("current", fewer), after),
        (before, VariantScores("new", rest)),
    ):
        drifts = reply_drifts(suite(GATE), GATE, then, now)
        (found,) = (one for one in drifts if one.what == "format errors")
        assert (found.n, found.before) == (190, pytest.approx(60 / 190))


def test_a_case_without_a_format_breaks_none() -> None:
    free = CaseResult(
        case=replace(case("free"), format=()),
        replies=(Reply(text="no"),),
        scores=(Score(0.0, FormatError("not in enumeration")),),
        fingerprints=("f",),
    )

    assert error_shares(None, VariantScores("new", {"free": free})) == ()


def test_a_check_of_thoughts_names_no_habit_of_format() -> None:
    gate = RateGate(kind="format", line=8, max_drop=0.05)
    after = variant_scores("new", [0.0] * 40 + [1.0] * 60)
    failed = evaluate_rate(
        suite(gate), gate, Comparison(after, variant_scores("current", [1.0] * 100))
    ).check

    assert failed.outcome is Outcome.FAILED
    assert changed_habit(gate, replace(failed, measure="thoughts"), None, after) == {}
