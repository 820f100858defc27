"""The drift of all replies, which no gate evaluates."""

from __future__ import annotations

import sys

import pytest
from columns import suite

from pytest_ftgate.gates import format_errors
from pytest_ftgate.gates.format_errors import reply_drifts, skill_drifts
from pytest_ftgate.gates.rates import Comparison, evaluate_rate
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.scores import CaseResult, Score, VariantScores
from pytest_ftgate.suite.gate_kinds import RateGate
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

ACCURACY = RateGate(kind="accuracy", line=7, max_drop=0.05)
FORMAT = RateGate(kind="format", line=8, max_drop=0.05)
ENGLISH = "Your order number {} was sent to you yesterday."
GERMAN = "Ihre Bestellung Nummer {} wurde gestern verschickt."


def scores(*texts, stop="end", right=None):
    """Return the scores of cases without a format, one for each text."""
    rows = [
        CaseResult(
            case=Case(
                id=f"c{n:03}",
                location="c.jsonl:1",
                input="q",
                expected="x" if right else None,
                score=Rule("exact"),
            ),
            replies=(Reply(text=text.format(n), stop=stop),),
            scores=(Score(right, None),),
            fingerprints=(f"{n}",),
        )
        for n, text in enumerate(texts)
    ]
    return VariantScores("new", {row.case.id: row for row in rows})


def messages(before, after, *gates, gate=ACCURACY):
    drifts = reply_drifts(suite(*gates or (gate,)), gate, before, after)
    return [drift.message for drift in drifts if drift.message]


def test_replies_that_are_much_longer_are_reported_with_both_medians():
    before, after = scores(*["{} a b"] * 40), scores(*["{} a b c d e f"] * 40)

    assert messages(before, after) == [
        "replies are 2.3 times as long as before (median 3 → 7 words)"
    ]


def test_replies_that_are_much_shorter_are_reported_too():
    before, after = scores(*["{} a b c d e f"] * 40), scores(*["{} a b"] * 40)

    assert messages(before, after) == ["replies are 43 % as long as before (median 7 → 3 words)"]


def test_texts_without_spaces_are_measured_in_characters():
    before, after = (
        scores(*["注文は届いていません二日前に届くはずでした{}"] * 40),
        scores(
            *[
                "注文は届いていません二日前に届くはずでした注文は届いていません二日前に届くはずでした{}"
            ]
            * 40
        ),
    )

    assert "(median 23 → 44 characters)" in messages(before, after)[0]


def test_labels_of_one_word_or_two_have_no_length_drift():
    assert messages(scores(*["refund"] * 40), scores(*["late delivery"] * 40)) == []


def test_refusals_that_became_more_are_reported():
    before = scores(*["done {}"] * 40)
    after = scores(*["I'm sorry, I can't do {}"] * 10, *["done {} of them as well"] * 30)

    assert "25 % of replies are refusals, 0 % before" in messages(before, after)


def test_refusals_that_the_provider_reports_count_whatever_they_say():
    before, after = scores(*["done {}"] * 40), scores(*["done {}"] * 40, stop="refusal")

    assert messages(before, after) == ["100 % of replies are refusals, 0 % before"]


def test_length_refusals_and_hedging_of_skills_are_described():
    before = scores(*["I think that it is {}, but it may be more."] * 10, *["It is {}."] * 30)
    after = scores(*["I'm sorry, I can't tell {}."] * 20, *["It is {}."] * 20)

    drifts = {drift.what: (drift.before, drift.after) for drift in skill_drifts(before, after)}

    assert drifts == {"length": (3, 4.5), "refusals": (0, 0.5), "hedging": (0.25, 0)}


def test_one_text_for_many_cases_is_reported():
    before = scores(*["done {}"] * 40)

    assert messages(before, scores(*["done"] * 12, *["done {}"] * 28)) == [
        "30 % of replies are the same text, 2 % before"
    ]


def test_labels_that_are_about_as_common_as_before_are_not_reported():
    before = scores(*["refund"] * 400, *["billing"] * 400)
    after = scores(*["refund"] * 500, *["billing"] * 300)

    assert messages(before, after) == []


def test_another_language_is_reported():
    before, after = scores(*[ENGLISH] * 40), scores(*[GERMAN] * 20, *[ENGLISH] * 20)

    assert messages(before, after) == ["50 % of replies changed their language, most from en to de"]


def test_replies_that_share_their_words_need_no_detection(monkeypatch):
    monkeypatch.setattr(format_errors, "detect_language", pytest.fail)
    before = scores(*[ENGLISH] * 40)
    after = scores(*[ENGLISH.replace("yesterday", "this morning")] * 40)

    drifts = {one.what: one for one in reply_drifts(suite(ACCURACY), ACCURACY, before, after)}

    assert (drifts["language"].after, drifts["language"].message) == (0.0, "")


def test_without_the_package_for_languages_none_is_reported(monkeypatch):
    monkeypatch.setitem(sys.modules, "py3langid", None)

    assert messages(scores(*[ENGLISH] * 40), scores(*[GERMAN] * 40)) == []


@pytest.mark.parametrize("before", [None, scores(*["{} a b"] * 19)])
def test_with_little_or_nothing_to_compare_with_nothing_is_reported(before):
    assert messages(before, scores(*["{} a b c d e f"] * 40)) == []


def test_of_two_gates_the_format_gate_reports_the_drift():
    before, after = scores(*["{} a b"] * 40), scores(*["{} a b c d e f"] * 40)

    assert messages(before, after, ACCURACY, FORMAT, gate=ACCURACY) == []
    assert messages(before, after, ACCURACY, FORMAT, gate=FORMAT) != []


def test_a_drift_blocks_nothing():
    before, after = (scores(*[text] * 200, right=1.0) for text in ("{} a b", "{} a b c d e f"))
    verdict = evaluate_rate(suite(ACCURACY), ACCURACY, Comparison(after, before))

    assert any("times as long" in note for note in verdict.notes)
    assert verdict.outcome is Outcome.PASSED


def test_few_replies_to_skills_have_no_drift():
    assert skill_drifts(scores(*["done {}"] * 19), scores(*["I can't"] * 19)) == ()
