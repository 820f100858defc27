"""Calls: which uses of tools are those that a case expects, and how they are shown."""

from __future__ import annotations

from pathlib import Path

from ftgate_testing.tables import every_row

from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Step, ToolCall
from pytest_ftgate.scoring.scorers import expected_text, score_content, tool_call_text
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

LOOKUP = ("lookup", {"order_id": "17", "deep": {"a": [1]}})
REFUND = ("refund", {"order_id": "17"})


def scored(expected, *uses, stop="end"):
    """Score a reply that made *uses*, each a turn of its own."""
    steps = tuple(Step("", (ToolCall(name=name, arguments=given),)) for name, given in uses)
    case = Case(id="a", location="c:1", input="q", expected=expected, score=Rule("tool_call"))
    return score_content(case, Reply(text="lookup", steps=steps, stop=stop), Path()).value


def call(name, **arguments):
    return {"name": name, "arguments": arguments}


RIGHT = {
    "the tool alone": ("lookup", [LOOKUP]),
    "the tool alone, as a mapping": ({"name": "lookup"}, [LOOKUP]),
    "a part of the arguments": (call("lookup", order_id="17"), [LOOKUP]),
    "arguments that are no text": (call("lookup", deep={"a": [1]}), [LOOKUP]),
    "a use among others": (call("refund", order_id="17"), [LOOKUP, REFUND]),
    "one of a list": (["refund", call("lookup", order_id="17")], [LOOKUP]),
    "no use": ("none", []),
    "no use, as a mapping": ({"name": "none"}, []),
    "no use, or one": (["none", "lookup"], [LOOKUP]),
}
WRONG = {
    "no use": ("lookup", []),
    "another tool": ("refund", [LOOKUP]),
    "another value": (call("lookup", order_id="18"), [LOOKUP]),
    "a number for a text": (call("lookup", order_id=17), [LOOKUP]),
    "an argument that was not given": (call("refund", amount=None), [REFUND]),
    "name and arguments of two uses": (call("refund", deep={"a": [1]}), [LOOKUP, REFUND]),
    "a use where none is expected": ("none", [LOOKUP]),
    "arguments that are no JSON": (call("lookup", order_id="17"), [("lookup", '{"order_id')]),
}


@every_row(
    ("expected", "uses", "stop", "value"),
    [
        *((*row, "end", 1.0) for row in RIGHT.values()),
        *((*row, "end", 0.0) for row in WRONG.values()),
        # At the last turn.
        ("lookup", [LOOKUP], "tool", 1.0),
        ("none", [], "refusal", 0.0),
        (None, [LOOKUP], "end", None),
    ],
)
def test_a_reply_is_right_if_it_made_the_expected_tool_call(expected, uses, stop, value):
    assert scored(expected, *uses, stop=stop) == value


# Shown ---------------------------------------------------------------------------------------

SHOWN = {
    "text between quotes": ({"a": "b"}, "shipped", 'f(a="b") -> "shipped"'),
    "JSON as it is": ({"a": 1, "b": [True]}, '{"c": 2}', 'f(a=1, b=[true]) -> {"c": 2}'),
    "no arguments": ({}, "3", "f() -> 3"),
    "arguments that are no JSON": ('{"a', "x", 'f({"a) -> "x"'),
    "a use that was not run": ({"a": "b"}, "", 'f(a="b")'),
    "letters of any script": ({"a": "Größe"}, "klein\nfein", 'f(a="Größe") -> "klein\\nfein"'),
}


@every_row(("given", "result", "line"), SHOWN.values())
def test_a_tool_call_is_shown_with_its_result(given, result, line):
    assert tool_call_text(ToolCall(name="f", arguments=given, result=result)) == line


def test_a_failed_tool_call_is_shown_as_failed():
    use = ToolCall(name="f", arguments={}, result="KeyError: 3", failed=True)

    assert tool_call_text(use) == "f() failed: KeyError: 3"


@every_row(
    ("answer", "line"),
    [(call("f", a="b"), 'f(a="b")'), ({"name": "f"}, "f()"), ("f", "f"), ("none", "none")],
)
def test_an_expected_tool_call_is_shown_like_a_tool_call(answer, line):
    case = Case(id="a", location="c:1", input="q", expected=answer, score=Rule("tool_call"))

    assert expected_text(case) == line
