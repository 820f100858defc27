"""Replies are equal if their score cannot tell them apart."""

from __future__ import annotations

from ftgate_testing.tables import every_row

from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Step, ToolCall
from pytest_ftgate.scoring.normalised_text import normal_text
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

LABELS = (Rule("choice", ["late", "lost"]),)


def normal(score: Rule, reply: Reply | str, **case: object) -> str:
    asked = Case(id="p1", location="p.jsonl:1", input="Where?", score=score, **case)
    return normal_text(asked, Reply(text=reply) if isinstance(reply, str) else reply, score)


@every_row(
    "score, one, other, are_equal",
    [
        (Rule("exact"), "late", " late \n", True),
        (Rule("exact"), "late", "lost", False),
        (Rule("numeric"), "It is 4.", "4.0", True),
        (Rule("numeric"), "4", "5", False),
        (Rule("fields", {}), '{"a": 1, "b": 2}', '```json\n{"b": 2.0, "a": 1}\n```', True),
        (Rule("fields", {}), '{"a": 1}', '{"a": 2}', False),
        (Rule("fields", {}), "no JSON", "none at all", False),
        (Rule("contains"), "It is  late.", "It is late.", True),
        (Rule("contains"), "It is late.", "It is lost.", False),
    ],
)
def test_texts_are_equal_as_their_score_reads_them(score, one, other, are_equal):
    assert (normal(score, one) == normal(score, other)) is are_equal


def test_a_label_is_its_name_whatever_stands_around_it():
    label = Rule("choice", None)

    assert normal(label, "late", format=LABELS) == normal(label, "Late.", format=LABELS)
    assert normal(label, "late", format=LABELS) != normal(label, "lost", format=LABELS)


def test_tool_calls_are_equal_by_names_and_arguments():
    def calling(**arguments: object) -> Reply:
        call = ToolCall(name="track", arguments=arguments)
        return Reply(text="I look.", steps=(Step("", (call,)),))

    score = Rule("tool_call", {})
    assert normal(score, calling(id=1, full=True)) == normal(score, calling(full=True, id=1.0))
    assert normal(score, calling(id=1)) != normal(score, calling(id=2))
    assert normal(score, "late") == normal(score, "lost")


def test_a_reply_that_was_cut_off_or_refused_has_no_answer():
    assert normal(Rule("exact"), Reply(text="late", stop="length")) == ""
    assert normal(Rule("exact"), Reply(text="late", stop="refusal")) == ""
