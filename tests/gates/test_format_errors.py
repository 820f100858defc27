"""What breaks the form of replies, how often on either side, and what lies behind it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from columns import LABELS, case, suite
from statsmodels.stats.contingency_tables import SquareTable

from pytest_ftgate.gates.format_errors import fault_shares, rule_shares
from pytest_ftgate.gates.rates import Sides, judge_rate, measure
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.results.verdicts import verdict_from_json, verdict_to_json
from pytest_ftgate.scoring.score import Broken
from pytest_ftgate.scoring.scores import Column, Row, Score
from pytest_ftgate.suite.model import RateGate
from pytest_ftgate.suite.rule import Rule

GATE = RateGate(kind="format", line=8, max_drop=0.05)
FLOOR = RateGate(kind="format", line=8, min=0.9)
JSON = Broken("fenced", rules=("json_schema",), meant=True)
LOST = Broken("missing key", rules=("json_schema",))
LOST_LABEL = Broken("not in enumeration", rules=("choice",))


def column(*faults, name="new", of=200):
    """Make a column of *of* cases, the first of which have *faults*, each (fault, how many)."""
    told = [fault for fault, count in faults for _ in range(count)]
    told += [None] * (of - len(told))
    rows = [
        Row(case(f"c{n:03}"), (Reply(text="x"),), (Score(None, one),), (f"{name} {n} {one}",))
        for n, one in enumerate(told)
    ]
    return Column(name, {row.case.id: row for row in rows})


def verdict(after, before=None, gate=GATE):
    return judge_rate(suite(gate), gate, Sides(after, before or after))


def test_the_share_of_a_fault_has_an_interval_on_either_side():
    (found,) = fault_shares(column(), column((JSON, 40)))

    assert (found.kind, found.replies, found.before, found.after) == ("fenced", 40, 0.0, 0.2)
    assert (found.low, found.high) == (
        pytest.approx(0.150, abs=0.001),
        pytest.approx(0.261, abs=0.001),
    )
    assert (found.before_low, found.before_high) == (0.0, pytest.approx(0.019, abs=0.001))


def test_repeats_of_a_case_are_one_case_in_a_share_and_counted_as_replies():
    one = Row(
        case("a"), (Reply(text="x"),) * 4, (Score(None, JSON),) * 3 + (Score(None, None),), ()
    )
    (found,) = fault_shares(None, Column("new", {"a": one, "b": column().rows["c000"]}))

    assert (found.replies, found.after) == (3, 0.375)


def test_the_fault_that_grew_most_comes_first_and_one_that_went_comes_last():
    before, after = column((LOST, 30)), column((JSON, 10), (Broken("empty"), 20))

    assert [one.kind for one in fault_shares(before, after)] == ["empty", "fenced", "missing key"]


def test_each_rule_is_counted_by_itself_where_a_form_has_several():
    several = replace(case("a"), format=(Rule("regex", "a"), LABELS))
    broken = Broken("regex", rules=("regex", "choice"))
    scores = (Score(None, broken), Score(None, None), Score(None, LOST_LABEL))
    row = Row(several, (Reply(text="x"),) * 3, scores, ())

    assert [(one.kind, one.replies) for one in rule_shares(None, Column("new", {"a": row}))] == [
        ("choice", 2),
        ("regex", 1),
    ]


def test_one_rule_alone_is_told_by_its_faults():
    assert rule_shares(None, column((JSON, 3))) == ()


HABITS = [
    ("fenced", "json_schema", "fenced: the model began to fence its JSON, 41 of 200 replies; "),
    ("fenced", "code", "fenced: the model began to fence its code, 41 of 200 replies; "),
    ("preamble", "xml", "preamble: the model began to write before its XML, 41 of 200 "),
    ("trailing text", "csv", "trailing text: the model began to write after its CSV, 41 of"),
    (
        "wrong label casing",
        "choice",
        "wrong label casing: the model began to change case or marks of its labels, 41",
    ),
    ("invalid syntax", "pydantic", "invalid syntax: the model began to leave stray commas in its"),
    ("fenced", "regex", "fenced: the model began to fence its replies, 41 of 200"),
]


@pytest.mark.parametrize(("kind", "rule", "told"), HABITS)
def test_a_drop_that_only_a_strict_reader_sees_is_called_what_it_is(kind, rule, told):
    found = verdict(column((Broken(kind, rules=(rule,), meant=True), 41)), column(name="current"))

    assert found.outcome is Outcome.FAILED
    assert found.headline.startswith(told)
    assert "100 % → 80 %" in found.headline
    assert (found.meant_before, found.meant) == (1.0, 1.0)


def test_a_drop_that_a_lenient_reader_sees_too_is_no_habit():
    found = verdict(column((JSON, 20), (LOST, 20)), column(name="current"))

    assert found.outcome is Outcome.FAILED
    assert found.headline.startswith("replies in the right format 100 % → 80 %")
    assert (found.meant_before, found.meant) == (1.0, 0.9)


def test_a_lenient_rate_that_fell_is_no_habit_though_it_is_above_the_strict_one_of_before():
    before = column((JSON, 60), name="current")

    assert verdict(column((JSON, 20), (LOST, 59)), before).headline.startswith("replies in the")


def test_a_habit_of_old_that_grew_did_not_begin():
    found = verdict(column((JSON, 100)), column((JSON, 60), name="current"))

    assert found.headline.startswith("fenced: the model fences its JSON, 100 of 200 replies; ")


def test_a_missed_floor_names_the_habit_without_a_before():
    found = verdict(column((JSON, 60)), gate=FLOOR)

    assert found.headline == (
        "fenced: the model fences its JSON, 60 of 200 replies; "
        "replies in the right format 70 % is below the floor of 90 %"
    )
    assert found.faults[0].before is None


def test_a_gate_that_passed_names_no_habit():
    found = verdict(column((JSON, 1)), column(name="current"))

    assert found.outcome is Outcome.PASSED
    assert "fence" not in found.headline


def test_a_fault_that_became_commoner_under_a_gate_that_passed_is_a_note():
    wide = RateGate(kind="format", line=8, max_drop=0.2)
    found = verdict(column((JSON, 12)), column(name="current"), wide)

    assert found.outcome is Outcome.PASSED
    assert "6 % of replies are broken by “fenced”, 0 % before" in found.notes


def test_a_gate_that_failed_shows_its_faults_and_needs_no_note_of_them():
    found = verdict(column((JSON, 60)), column(name="current"))

    assert not any("broken by" in note for note in found.notes)


def test_the_first_lost_cases_show_every_kind_of_fault():
    rare = Broken("truncated", rules=("json_schema",))
    found = verdict(column((LOST, 100), (rare, 1)), column(name="current"))

    assert {flip.fault for flip in found.flips[:2]} == {"missing key", "truncated"}


def test_what_is_told_of_forms_survives_the_way_to_the_reporting_process():
    found = verdict(column((JSON, 41)), column(name="current"))

    assert verdict_from_json(verdict_to_json(found)).faults == found.faults


def test_an_ungated_variant_tells_its_faults_and_compares_them_with_nothing():
    found = measure(suite(GATE), GATE, column((JSON, 41)))

    assert [(one.kind, one.before) for one in found.faults] == [("fenced", None)]


def test_three_replies_are_quoted_of_each_fault_that_is_new_and_none_of_an_old_one():
    before = column((JSON, 60), name="current")
    fenced, lost = sorted(
        verdict(column((JSON, 60), (LOST, 59)), before).faults, key=lambda one: one.kind != "fenced"
    )

    assert fenced.kind == "fenced"
    assert fenced.examples == ()
    assert len(lost.examples) == 3
    assert len({one.case for one in lost.examples}) == 3


def mix(found):
    return next(one for one in found.traits if one.what == "faults")


def test_another_mix_of_faults_is_a_warning_though_as_many_replies_are_broken():
    before, after = column((JSON, 60), name="current"), column((LOST, 60))
    found = verdict(after, before)

    assert mix(found).p < 0.001
    assert mix(found).before == mix(found).after == 0.3
    assert found.outcome is not Outcome.FAILED


def test_the_test_of_the_mix_is_that_of_statsmodels():
    before, after = column((JSON, 60), name="current"), column((JSON, 20), (LOST, 45))
    table = np.array([[135, 0, 5], [0, 20, 40], [0, 0, 0]])

    p = SquareTable(table, shift_zeros=False).homogeneity().pvalue
    assert mix(verdict(after, before)).p == pytest.approx(p)


def test_the_same_mix_is_no_warning_and_a_few_changes_show_nothing():
    before = column((JSON, 60), name="current")

    assert all(one.what != "faults" for one in verdict(column((JSON, 55)), before).traits)
