"""The chat shape: a conversation with tools goes out, and the uses of tools come in."""

from __future__ import annotations

import json

from ftgate_testing.tables import every_row

from pytest_ftgate.providers.openai import chat_messages, chat_step, chat_tools
from pytest_ftgate.requests.request import Step, Tool, ToolCall

LOOKUP = Tool(
    name="lookup_order",
    description="Tell where an order is.",
    parameters={"type": "object", "properties": {}, "additionalProperties": False},
    reference="shop:lookup_order",
)


def asked(arguments, **fields):
    function = {"name": "lookup_order", "arguments": arguments}
    return {"role": "assistant", "tool_calls": [{"function": function, **fields}]}


def test_a_request_without_tools_is_its_messages(call):
    plain = call(messages=(("system", "Be brief."), ("user", "Hello")))

    assert chat_messages(plain) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
    ]
    assert chat_tools(plain) == []


def test_a_tool_goes_out_as_a_function_with_its_schema(call):
    (sent,) = chat_tools(call(tools=(LOOKUP,)))

    assert sent["type"] == "function"
    assert sent["function"] == {
        "name": "lookup_order",
        "description": "Tell where an order is.",
        "parameters": LOOKUP.parameters,
    }


def test_a_step_goes_out_as_a_turn_of_the_model_and_one_result_for_each_use(call):
    use = {"name": "lookup_order", "arguments": {"order_id": "17"}}
    uses = (
        ToolCall(**use, id="a", result="shipped"),
        ToolCall(**use, id="b", result="no", failed=True),
    )

    first, turn, *results = chat_messages(call(steps=(Step("Let me see.", uses),)))

    assert first["role"] == "user"
    assert (turn["role"], turn["content"]) == ("assistant", "Let me see.")
    assert [one["id"] for one in turn["tool_calls"]] == ["a", "b"]
    assert json.loads(turn["tool_calls"][0]["function"]["arguments"]) == {"order_id": "17"}
    assert results == [
        {"role": "tool", "tool_call_id": "a", "content": "shipped"},
        {"role": "tool", "tool_call_id": "b", "content": "no"},
    ]


def test_arguments_that_were_no_json_go_out_as_json_all_the_same(call):
    use = ToolCall(name="lookup_order", arguments='{"order', id="a", result="no", failed=True)

    _, turn, _ = chat_messages(call(steps=(Step("", (use,)),)))

    assert turn["tool_calls"][0]["function"]["arguments"] == "{}"


@every_row("message", [{"content": "Hello"}, {"tool_calls": None}, {}])
def test_a_message_without_uses_is_no_step(message):
    assert chat_step(message) is None


def test_a_message_with_uses_is_a_step_with_its_text():
    step = chat_step({**asked('{"order_id": "17"}', id="x"), "content": "Let me see."})

    use = ToolCall(name="lookup_order", arguments={"order_id": "17"}, id="x")
    assert step == Step("Let me see.", (use,))


@every_row(
    ("written", "read"),
    [
        ('{"order_id": "17"}', {"order_id": "17"}),
        ({"order_id": "17"}, {"order_id": "17"}),
        ("", {}),
        (None, {}),
        ('{"order', '{"order'),
        ("[1]", "[1]"),
        ("null", "null"),
    ],
)
def test_arguments_are_read_as_a_mapping_or_kept_as_the_text_they_were(written, read):
    assert chat_step(asked(written, id="x")).calls[0].arguments == read


def test_uses_that_a_server_gave_no_name_stay_apart():
    both = asked("{}")["tool_calls"] * 2

    assert [use.id for use in chat_step({"tool_calls": both}).calls] == ["call_0", "call_1"]
