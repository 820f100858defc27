"""Texts as a score reads them: no two replies of which one may be right alone have the same."""

from __future__ import annotations

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.requests.reply import Reply, Step
from pytest_ftgate.requests.request import ToolCall
from pytest_ftgate.scoring.normalised_text import normal_text
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

CODE = "for n in x:\n    s += n\nreturn s"
ALL = Rule("all", value=((Rule("tool_call"), 1.0), (Rule("contains"), 1.0)))


def normal(score: Rule, text: str, *calls: ToolCall) -> str:
    case = Case(id="p", location="p:1", input="q", score=score)
    return normal_text(case, Reply(text=text, steps=(Step("", calls),)), score)


@every_row(
    ("kind", "options", "first", "second"),
    [
        ("code", {}, CODE, CODE.replace("return", "    return")),
        ("python", {}, CODE, CODE.replace("return", "    return")),
        ("contains", {}, "not late", "not\nlate"),
        ("regex", {}, "not late", "not\nlate"),
        ("similarity", {}, "not late", "not  late"),
        ("exact", {}, "not late", "not  late"),
        ("exact", {"normalise": ["punctuation"]}, "!", "?"),
        ("labels", {"separator": "|"}, "a, b|c", "a|b, c"),
        ("fields", {}, '{"a": 1}', '{"a": true}'),
        ("fields", {}, '{"a": 1}', '{"a": "1"}'),
        ("fields", {}, '{"a": 1}', '{"a": 1'),
        ("numeric", {}, "1.5", "15"),
        ("choice", {"none": "none"}, "none", ""),
    ],
)
def test_texts_of_which_one_may_be_right_alone_differ(kind, options, first, second):
    score = Rule(kind, options=options)

    assert normal(score, first) != normal(score, second)


@every_row(
    ("kind", "options", "first", "second"),
    [
        ("choice", {"synonyms": {"late": ["delayed"]}}, "Delayed.", "late"),
        ("labels", {}, "b, A", "a,b"),
        ("exact", {"normalise": ["spaces", "case"]}, "Not  late", "not late"),
        ("fields", {}, '```json\n{"b": 1.0, "a": 2}\n```', '{"a": 2, "b": 1}'),
        ("numeric", {}, "It is 1,500.", "1500"),
    ],
)
def test_texts_that_are_right_or_wrong_alike_are_equal(kind, options, first, second):
    score = Rule(kind, options=options)

    assert normal(score, first) == normal(score, second)


@pytest.mark.parametrize("score", [ALL, Rule("python", value="m:f"), Rule("tool_call")])
def test_tool_calls_tell_replies_apart_where_a_score_may_read_them(score):
    calls = [ToolCall(name="pay", arguments={"eur": eur}) for eur in (1, 1000)]

    assert normal(score, "done", calls[0]) != normal(score, "done", calls[1])
    assert normal(score, "done", calls[0]) != normal(score, "done")


def test_a_reply_that_was_cut_off_or_refused_has_no_answer():
    case = Case(id="p", location="p:1", input="q", score=Rule("exact"))

    assert [
        normal_text(case, Reply(text="late", stop=stop), Rule("exact"))
        for stop in ("length", "refusal", "end")
    ] == ["", "", "late"]
