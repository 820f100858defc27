"""The kinds of loss of regressed answers: each of the six by its own rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from columns import case_result, suite

from pytest_ftgate.gates.levels import Levels
from pytest_ftgate.gates.skills import LossClassifier, _state, skill_retention
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.stats.paired import paired_counts
from pytest_ftgate.suite.rule import Rule

JSON = Rule("json_schema", {"type": "object", "required": ["label"]})


def classifier(*rules):
    made = suite()
    return LossClassifier(replace(made, reply=replace(made.reply, format=rules)) if rules else made)


def kind(now, before="The capital of Japan is Tokyo.", *, of=None, stop="end", language="en"):
    was, is_ = (
        case_result("c", right, text, skill="facts") for right, text in ((1.0, before), (0.0, now))
    )
    is_ = replace(
        is_, case=replace(is_.case, language=language), replies=(Reply(text=now, stop=stop),)
    )
    return (of or classifier()).classify(was, is_)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("The capital of Japan is Kyoto.", "wrong content"),
        ("Kyoto", "wrong content"),
        ("refund", "in the trained task's format"),
        ("late_delivery", "in the trained task's format"),
        ("japan_capital", "in the trained task's format"),
        ("", "empty"),
        (" \n\t", "empty"),
        ("I'm sorry, but I can't help with that.", "refusal"),
        ("As an AI, I have no capital.", "refusal"),
        ("Tokyo is the capital. " * 20, "repetition"),
        ("the the the the the the the the", "repetition"),
        ("Столица Японии — Киото.", "other language"),
        ("日本の首都は京都です。", "other language"),
        ("Die Hauptstadt von Japan ist die Stadt Kyoto im Westen.", "other language"),
    ],
)
def test_a_regressed_answer_has_one_kind_of_loss(now, expected):
    assert kind(now) == expected


def test_an_answer_that_the_token_limit_left_no_room_for_is_cut_off():
    assert kind("", stop="length") == "cut off"


def test_a_rule_that_breaks_on_another_question_shows_no_format():
    broken = classifier(Rule("pydantic", "no_such_module:Model"))

    assert kind("Kyoto", of=broken) == "wrong content"


def test_a_refusal_by_the_providers_word_needs_no_text():
    assert kind("", stop="refusal") == "refusal"


def test_what_the_base_did_as_well_is_no_kind_of_loss():
    assert kind("I can't tell you that.", "I can't help with that.") == "wrong content"
    assert kind("refund", "late_delivery") == "wrong content"
    assert kind("Kyoto es la capital", "Tokio es la capital de Japón", language="es") == (
        "wrong content"
    )


def test_labels_without_underscore_are_matched_by_name_alone():
    plain = classifier(Rule("choice", ["billing", "refund"]))

    assert kind("refund", of=plain) == "in the trained task's format"
    assert kind("japan_capital", of=plain) == "wrong content"


@pytest.mark.parametrize("now", ['{"label": "x"}', '{"answer": "Kyoto"}', "[1, 2"])
def test_json_where_the_product_asks_for_json_is_the_fine_tunes_format(now):
    assert kind(now, of=classifier(JSON)) == "in the trained task's format"
    assert kind(now) == "wrong content"


def test_a_suite_without_a_format_has_no_such_loss():
    made = suite()
    free = LossClassifier(replace(made, reply=replace(made.reply, format=())))

    assert kind("refund", of=free) == "wrong content"


def test_kinds_are_counted_the_commonest_first_with_examples():
    def scores(name, texts):
        rows = [case_result(f"c{i}", 0.0, text, skill="facts") for i, text in enumerate(texts)]
        return VariantScores(name, {row.case.id: row for row in rows})

    before = scores("base", ["It is Tokyo."] * 8)
    after = scores("new", [*["refund"] * 6, "", "It is Kyoto."])
    kinds = classifier().count_kinds(before, after, [f"c{i}" for i in range(8)], "prompt")

    assert [(kind.kind, kind.cases) for kind in kinds] == [
        ("in the trained task's format", 6),
        ("empty", 1),
        ("wrong content", 1),
    ]
    assert kinds[0].share == 0.75
    assert kinds[0].examples == ("c0", "c1", "c2", "c3", "c4")
    assert kinds[0].under == "prompt"


def test_an_empty_regressed_result_is_an_empty_reply_and_no_weight_gives_no_retention():
    result = replace(case_result("a", 0.0, "x", skill="reading"), replies=(), scores=())

    assert classifier().classify(None, result) == classifier().classify(
        None, case_result("a", 0.0, "", skill="reading")
    )
    assert skill_retention([]) is None


def test_a_rule_that_fails_on_a_reply_to_another_question_shows_nothing(tmp_path):
    """The module that the rule names is not there."""
    assert kind("Kyoto", of=classifier(Rule("python", "absent:check"))) == "wrong content"


def test_a_skill_of_fewer_than_ten_groups_is_open():
    pairs = paired_counts(
        np.ones(90), np.zeros(90), before_repeats=np.ones(90), after_repeats=np.ones(90),
        groups=np.array([f"g{i % 9}" for i in range(90)]), weights=None,
    )  # fmt: skip

    assert _state(pairs, 0.0, 0.1, Levels(), 0.0) == "inconclusive"
