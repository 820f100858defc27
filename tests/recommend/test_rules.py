"""Each rule of the table, held to its line from both sides."""

from __future__ import annotations

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.notes import note
from pytest_ftgate.recommend.advice import (
    BreakEven,
    Challenge,
    Gain,
    GitFacts,
    LadderRow,
    ReasonKind,
    Retirement,
)
from pytest_ftgate.recommend.rules import RULES, DecisionContext, evaluate_rules
from pytest_ftgate.suite.declaration import Economics

MONEY = Economics(calls_per_day=1_000)


def gain(change=0.08, *, certain=True):
    return Gain(
        over="b", change=change, low=change - 0.03, high=change + 0.03, n=200, p=0.01,
        certain=certain,
    )  # fmt: skip


def row(variant="b", **known):
    rung = "fine-tuned" if variant == "t" else "prompt"
    return LadderRow(variant=variant, rung=rung, n=200, **{"accuracy": 0.85, **known})


def found(name, **known):
    """Return whether the rule *name* holds, and why; None where it says nothing."""
    plain = {"below": row(), "git": GitFacts(days=90), **known}
    told = [one for one in evaluate_rules(DecisionContext(**plain)) if one.name == name]
    return (told[0].holds, told[0].note) if told else None


def pair(saves, days):
    return BreakEven(
        variant="t", compared_with="b", calls_per_day=9, days=days, saves_per_month=saves
    )


def challenge(outcome):
    return Challenge(
        challenger="c", tuned="t", gain=gain(0.0), margin=0.05, p=0.01, outcome=outcome
    )


TUNED = row("t", usd_per_month=100.0, outcomes={"accuracy": "passed"})
BELOW = row(usd_per_month=400.0)
RAG = {"rag": row("r"), "rag_gain": gain()}
PAYS = {"tuned": TUNED, "below": BELOW, "economics": MONEY, "gain": gain(0.01, certain=False)}


LINES = [
    ("gap", {"tuned": TUNED, "gain": gain(0.05)}, True),
    ("gap", {"tuned": TUNED, "gain": gain(0.049)}, False),
    ("gap", {"tuned": TUNED, "gain": gain(certain=False)}, False),
    ("gap", {**PAYS, "as_good": True, "break_even": pair(300, 4.0)}, True),
    ("gap", {**PAYS, "as_good": False, "break_even": pair(300, 4.0)}, False),
    ("gap", {"minimum": 0.95, "below": row(accuracy=0.8, accuracy_high=0.86)}, True),
    ("gap", {"minimum": 0.85, "below": row(accuracy=0.8, accuracy_high=0.86)}, False),
    ("gap", {}, None),
    ("gates", {"tuned": TUNED}, True),
    ("gates", {"tuned": row("t", outcomes={"forgetting": "failed"})}, False),
    ("gates", {"tuned": row("t", outcomes={"format": "not evaluated"})}, False),
    ("examples", {"examples": 199}, False),
    ("examples", {"examples": 200}, True),
    ("stable", {"git": GitFacts(days=90, commits=6, changes={"prompt": 6})}, True),
    ("stable", {"git": GitFacts(days=90, commits=7, changes={"prompt": 7})}, False),
    ("knowledge", {**RAG, "rag_fixes": 0.5}, False),
    ("knowledge", {**RAG, "rag_fixes": 0.4}, True),
    ("volume", {**PAYS, "break_even": pair(300, 180.0)}, True),
    ("volume", {**PAYS, "break_even": pair(300, 181.0)}, False),
    ("volume", {**PAYS, "break_even": pair(-5, None)}, False),
    ("challenger", {"challenges": (challenge("as good"),)}, False),
    ("challenger", {"challenges": (challenge("inconclusive"), challenge("worse"))}, True),
    ("format", {"with_schema": row(format=0.95)}, True),
    ("format", {"with_schema": row(format=0.96)}, False),
    ("format", {"below": row(format=0.96)}, False),
    ("prompt", {"below": row(prompt_tokens=1_000)}, False),
    ("prompt", {"below": row(prompt_tokens=1_001)}, True),
    ("prompt", {"below": row(prompt_tokens=3_001)}, True),
    ("privacy", {"local_only": True}, True),
]  # fmt: skip


@every_row(("name", "known", "holds"), LINES)
def test_a_rule_holds_on_its_side_of_the_line(name, known, holds):
    told = found(name, **known)

    assert told is None if holds is None else told[0] is holds


@every_row("name, known", [
    ("examples", {}), ("stable", {"git": GitFacts(unknown_reason="git is not installed")}),
    ("volume", {**PAYS, "tuned": row("t", unknown="unpriced")}),
    ("format", {"below": row(format=0.5)}),
])  # fmt: skip
def test_what_nobody_knows_neither_holds_nor_fails(name, known):
    assert found(name, **known)[0] is None


def test_an_inconclusive_gate_speaks_neither_for_a_fine_tune_nor_against_it():
    ends = {"accuracy": "passed", "format": "inconclusive"}

    outcomes = ("accuracy passed", "format inconclusive")
    expected = note(ReasonKind.GATES, variant="t", outcomes=outcomes)
    assert found("gates", tuned=row("t", outcomes=ends)) == (None, expected)


def test_a_history_that_is_too_young_to_show_much_is_said_to_be():
    young, old = (found("stable", git=GitFacts(days=days)) for days in (3, 90))

    values = {"commits": 0}
    assert young == (True, note(ReasonKind.CHANGES, **values, days=3, is_young=True))
    assert old == (True, note(ReasonKind.CHANGES, **values, days=90, is_young=False))


def test_a_gain_that_costs_more_has_its_price_told_and_is_the_teams_to_decide():
    dear = {"tuned": row("t", usd_per_month=900.0), "below": BELOW, "economics": MONEY}

    holds, told = found("volume", **dear, gain=gain(0.1), break_even=pair(-500, None))

    # 500 USD for 3,000 more right ones of 30,000.
    assert holds is None
    assert told.kind == ReasonKind.PRICE_OF_GAIN
    assert told.values["price"] == pytest.approx(500 / 3_000)


def test_a_model_that_retires_speaks_against_its_fine_tune_alone():
    gone = Retirement(model="m", date="2026-12-24", days=29, variants=("t",))

    why = note(ReasonKind.RETIRES, model="m", days=29, date="2026-12-24")
    assert found("retirement", tuned=TUNED, retiring=(gone,)) == (False, why)
    assert found("retirement", tuned=row("other"), retiring=(gone,)) is None


def test_every_rule_was_held_to_its_line():
    assert {name for name, *_ in LINES} | {"retirement"} == {name for name, *_ in RULES}
