"""Tools told in words: what the model reads, what it may write, and how that is read back."""

from __future__ import annotations

import json

import jsonschema_rs
import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.providers.llamacpp import parse_prompted, prompted_messages, prompted_schema
from pytest_ftgate.requests.request import Step, Tool, ToolCall

ARGUMENTS = {
    "type": "object",
    "properties": {"words": {"type": "string", "description": "what to look for"}},
    "required": ["words"],
    "additionalProperties": False,
}
SEARCH = Tool(
    name="search", description="Look up\n words.", parameters=ARGUMENTS, reference="a:search"
)
USE = ToolCall(name="search", arguments={"words": "parcel"}, result="late")


@pytest.fixture
def asked(call):
    def make(**changes):
        turns = (("system", "Be brief."), ("user", "Where is it?"))
        return call(messages=turns, tools=(SEARCH,), max_turns=3, **changes)

    return make


def test_the_tools_stand_in_the_system_prompt_with_their_arguments(asked):
    first, second = prompted_messages(asked())

    assert first["content"].startswith("Be brief.\n\nYou can use these tools:\n")
    assert "- search(words: string, what to look for): Look up words.\n" in first["content"]
    assert second == {"role": "user", "content": "Where is it?"}


def test_earlier_tool_calls_are_shown_with_their_results(asked):
    failed = ToolCall(name="search", arguments={"words": "x"}, result="no such word", failed=True)
    *_, a, b, c, d = prompted_messages(asked(steps=(Step("", (USE,)), Step("", (failed,)))))

    assert json.loads(a["content"]) == {"tool": "search", "arguments": {"words": "parcel"}}
    assert b == {"role": "user", "content": "search returned: late"}
    assert json.loads(c["content"])["arguments"] == {"words": "x"}
    assert d == {"role": "user", "content": "search failed: no such word"}


TURNS = [
    ({"tool": "search", "arguments": {"words": "a"}}, True, False),
    ({"tool": "other", "arguments": {"words": "a"}}, False, False),
    ({"tool": "search", "arguments": {}}, False, False),
    ({"answer": "refund"}, True, True),
    ({"answer": "nothing of the kind"}, False, False),
]


@every_row(("said", "first", "last"), TURNS)
def test_a_turn_is_a_use_or_an_answer_and_the_last_one_an_answer(asked, said, first, last):
    held = {"constraint": {"choice": ["refund", "other"]}}
    begun = prompted_schema(asked(**held))
    ended = prompted_schema(asked(**held, steps=(Step("", (USE,)), Step("", (USE,)))))

    assert jsonschema_rs.is_valid(begun, said) is first
    assert jsonschema_rs.is_valid(ended, said) is last


def test_a_single_turn_may_use_a_tool(asked):
    single = prompted_schema(asked(steps=()))

    assert jsonschema_rs.is_valid(single, {"tool": "search", "arguments": {"words": "a"}})


@every_row(
    ("text", "answer"),
    [
        ('{"answer": "refund"}', "refund"),
        ('{"answer": {"label": "a"}}', '{"label": "a"}'),
        ('{"answer": "ref', '{"answer": "ref'),
    ],
)
def test_an_answer_is_read_and_one_that_was_cut_off_is_left_as_it_is(text, answer):
    assert parse_prompted(text) == (answer, None)


def test_a_use_is_read(asked):
    text, step = parse_prompted('{"tool": "search", "arguments": {"words": "parcel"}}')

    assert (text, step.calls[0].name, step.calls[0].arguments) == (
        "",
        "search",
        {"words": "parcel"},
    )
