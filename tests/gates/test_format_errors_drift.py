"""How replies have changed that no gate asks about."""

from __future__ import annotations

import sys

import pytest
from columns import suite

from pytest_ftgate.gates.format_errors import traits
from pytest_ftgate.gates.rates import Sides, judge_rate
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.scores import Column, Row, Score
from pytest_ftgate.suite.model import Case, RateGate
from pytest_ftgate.suite.rule import Rule

ACCURACY = RateGate(kind="accuracy", line=7, max_drop=0.05)
FORMAT = RateGate(kind="format", line=8, max_drop=0.05)
ENGLISH = "Your order number {} was sent to you yesterday."
GERMAN = "Ihre Bestellung Nummer {} wurde gestern verschickt."


def column(*texts, stop="end", right=None):
    """Make a column of cases that have no form, one for each text."""
    rows = [
        Row(
            case=Case(
                id=f"c{n:03}",
                where="c.jsonl:1",
                input="q",
                expected="x" if right else None,
                score=Rule("exact"),
            ),
            replies=(Reply(text=text.format(n), stop=stop),),
            scores=(Score(right, None),),
            calls=(f"{n}",),
        )
        for n, text in enumerate(texts)
    ]
    return Column("new", {row.case.id: row for row in rows})


def told(before, after, *gates, gate=ACCURACY):
    found = traits(suite(*gates or (gate,)), gate, before, after)
    return [one.told for one in found if one.told]


def test_replies_that_are_much_longer_are_told_with_both_medians():
    before, after = column(*["{} a b"] * 40), column(*["{} a b c d e f"] * 40)

    assert told(before, after) == ["replies are 2.3 times as long as before (median 3 → 7 words)"]


def test_replies_that_are_much_shorter_are_told_too():
    before, after = column(*["{} a b c d e f"] * 40), column(*["{} a b"] * 40)

    assert told(before, after) == ["replies are 0.4 times as long as before (median 7 → 3 words)"]


def test_texts_without_spaces_are_measured_in_characters():
    before, after = (
        column(*["注文は届いていません二日前に届くはずでした{}"] * 40),
        column(
            *[
                "注文は届いていません二日前に届くはずでした注文は届いていません二日前に届くはずでした{}"
            ]
            * 40
        ),
    )

    assert "(median 23 → 44 characters)" in told(before, after)[0]


def test_labels_of_one_word_or_two_have_no_length_to_tell():
    assert told(column(*["refund"] * 40), column(*["late delivery"] * 40)) == []


def test_refusals_that_became_more_are_told():
    before = column(*["done {}"] * 40)
    after = column(*["I'm sorry, I can't do {}"] * 10, *["done {} of them as well"] * 30)

    assert "25 % of replies are refusals, 0 % before" in told(before, after)


def test_refusals_that_the_provider_reports_count_whatever_they_say():
    before, after = column(*["done {}"] * 40), column(*["done {}"] * 40, stop="refusal")

    assert told(before, after) == ["100 % of replies are refusals, 0 % before"]


def test_one_text_for_many_cases_is_told():
    before = column(*["done {}"] * 40)

    assert told(before, column(*["done"] * 12, *["done {}"] * 28)) == [
        "30 % of replies are the same text, 2 % before"
    ]


def test_labels_that_are_about_as_common_as_before_are_not_told():
    before = column(*["refund"] * 400, *["billing"] * 400)
    after = column(*["refund"] * 500, *["billing"] * 300)

    assert told(before, after) == []


def test_another_language_is_told():
    before, after = column(*[ENGLISH] * 40), column(*[GERMAN] * 20, *[ENGLISH] * 20)

    assert told(before, after) == ["50 % of replies changed their language, most from en to de"]


def test_without_the_package_for_languages_nothing_is_said_of_them(monkeypatch):
    monkeypatch.setitem(sys.modules, "py3langid", None)

    assert told(column(*[ENGLISH] * 40), column(*[GERMAN] * 40)) == []


@pytest.mark.parametrize("before", [None, column(*["{} a b"] * 19)])
def test_with_little_or_nothing_to_compare_with_nothing_is_told(before):
    assert told(before, column(*["{} a b c d e f"] * 40)) == []


def test_of_two_gates_the_format_gate_tells_it():
    before, after = column(*["{} a b"] * 40), column(*["{} a b c d e f"] * 40)

    assert told(before, after, ACCURACY, FORMAT, gate=ACCURACY) == []
    assert told(before, after, ACCURACY, FORMAT, gate=FORMAT) != []


def test_what_is_told_blocks_nothing():
    before, after = (column(*[text] * 200, right=1.0) for text in ("{} a b", "{} a b c d e f"))
    verdict = judge_rate(suite(ACCURACY), ACCURACY, Sides(after, before))

    assert any("times as long" in note for note in verdict.notes)
    assert verdict.outcome is Outcome.PASSED
