"""How lost answers went wrong: each of the six ways by its own rule."""

from __future__ import annotations

from dataclasses import replace

import pytest
from columns import row, suite

from pytest_ftgate.gates.skills import Losses
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.scores import Column
from pytest_ftgate.suite.rule import Rule

JSON = Rule("json_schema", {"type": "object", "required": ["label"]})


def losses(*rules):
    made = suite()
    return Losses(replace(made, reply=replace(made.reply, format=rules)) if rules else made)


def kind(now, before="The capital of Japan is Tokyo.", *, of=None, stop="end", language="en"):
    was, is_ = (row("c", right, text, skill="facts") for right, text in ((1.0, before), (0.0, now)))
    is_ = replace(
        is_, case=replace(is_.case, language=language), replies=(Reply(text=now, stop=stop),)
    )
    return (of or losses()).kind(was, is_)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("The capital of Japan is Kyoto.", "wrong content"),
        ("Kyoto", "wrong content"),
        ("refund", "fine-tune's format"),
        ("late_delivery", "fine-tune's format"),
        ("japan_capital", "fine-tune's format"),
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
def test_a_lost_answer_is_of_one_kind(now, expected):
    assert kind(now) == expected


def test_a_refusal_by_the_providers_word_needs_no_text():
    assert kind("", stop="refusal") == "refusal"


def test_what_the_base_did_as_well_is_not_what_went_wrong():
    assert kind("I can't tell you that.", "I can't help with that.") == "wrong content"
    assert kind("refund", "late_delivery") == "wrong content"
    assert kind("Kyoto es la capital", "Tokio es la capital de Japón", language="es") == (
        "wrong content"
    )


def test_labels_without_a_joint_are_told_by_name_alone():
    plain = losses(Rule("choice", ["billing", "refund"]))

    assert kind("refund", of=plain) == "fine-tune's format"
    assert kind("japan_capital", of=plain) == "wrong content"


@pytest.mark.parametrize("now", ['{"label": "x"}', '{"answer": "Kyoto"}', "[1, 2"])
def test_json_where_the_product_asks_for_json_is_the_fine_tunes_format(now):
    assert kind(now, of=losses(JSON)) == "fine-tune's format"
    assert kind(now) == "wrong content"


def test_a_suite_without_a_format_leaves_no_such_mark():
    made = suite()
    free = Losses(replace(made, reply=replace(made.reply, format=())))

    assert kind("refund", of=free) == "wrong content"


def test_kinds_are_counted_the_commonest_first_with_examples():
    def column(name, texts):
        rows = [row(f"c{i}", 0.0, text, skill="facts") for i, text in enumerate(texts)]
        return Column(name, {one.case.id: one for one in rows})

    before = column("base", ["It is Tokyo."] * 8)
    after = column("new", [*["refund"] * 6, "", "It is Kyoto."])
    found = losses().count(before, after, [f"c{i}" for i in range(8)], "prompt")

    assert [(one.kind, one.cases) for one in found] == [
        ("fine-tune's format", 6),
        ("empty", 1),
        ("wrong content", 1),
    ]
    assert found[0].share == 0.75
    assert found[0].examples == ("c0", "c1", "c2", "c3", "c4")
    assert found[0].under == "prompt"
