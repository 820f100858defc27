"""Chat completions on loopback, with every trouble that a server can make."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from ftgate_testing.asking import ENVIRON, KEY, ask_all
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import (
    ProviderRejected,
    RequestRejected,
)
from pytest_ftgate.providers.openai import (
    OpenAIProvider,
    chat_messages,
    chat_step,
    chat_tools,
    open_openai,
)
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Step, Tool, ToolCall

SCHEMA = {
    "type": "object",
    "properties": {"label": {"enum": ["a", "b"]}},
    "required": ["label"],
    "additionalProperties": False,
}


@pytest.fixture
def hosted():
    return "openai-compatible"


def use_of(name: str, arguments: str) -> dict:
    """Return what a message has in which a model calls a tool."""
    function = {"name": name, "arguments": arguments}
    return {"tool_calls": [{"id": "c1", "type": "function", "function": function}]}


def test_a_completion_becomes_a_reply(asked, api):
    details = {"prompt_tokens_details": {"cached_tokens": 4}}
    details |= {"completion_tokens_details": {"reasoning_tokens": 5}}
    usage = {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16}
    api.completion("Grüße", usage=usage | details)
    reply = asked()

    assert (reply.text, reply.stop, reply.model) == ("Grüße", "end", "served")
    assert reply.usage == {"input": 5, "output": 7, "cache_read": 4, "thought": 5}
    assert reply.request_id == "req_8"
    assert reply.seconds > 0


THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "A parcel."}]}
PARTS = [THINKING, *({"type": "text", "text": part} for part in ("deli", "very"))]


@every_row(
    "message", [{"reasoning_content": "A parcel."}, {"reasoning": "A parcel."}, {"content": PARTS}]
)
def test_a_thought_beside_the_text_or_in_parts_of_it_stays_apart(asked, api, message):
    api.completion("delivery", message=message)

    reply = asked()

    assert (reply.text, reply.thought) == ("delivery", "A parcel.")


def test_a_reply_that_ends_in_its_thought_has_no_text(asked, api):
    api.completion(None, "length", message={"reasoning_content": "A parcel"})

    assert asked().has_no_answer


def test_repeats_of_a_seeded_request_have_seeds_of_their_own(made, together, api):
    together([made(sampling={"seed": 7}), made(sampling={"seed": 7}, repeat=2)])

    assert [request["seed"] for request in api.requests] == [7, 9]


def test_extra_is_merged_into_the_body(asked, api):
    extra = {"chat_template_kwargs": {"enable_thinking": False}, "top_k": 20}
    asked(extra=extra, sampling={"temperature": 0.0})

    assert {**extra, "temperature": 0.0, "model": "m"}.items() <= api.requests[0].items()


LABELS = ["refund", 'say "hi"', "a\\b"]
CLOSED = {"required": ["label"], "additionalProperties": False}
OBJECT = {"type": "object", "properties": {"label": {"type": "string", "enum": LABELS}}, **CLOSED}


@every_row(
    ("owner", "sent"),
    [
        ("vllm", {"structured_outputs": {"choice": LABELS}, "guided_choice": LABELS}),
        ("llamacpp", {"grammar": 'root ::= "refund" | "say \\"hi\\"" | "a\\\\b"'}),
    ],
)
def test_labels_are_enforced_as_they_are_where_the_server_can(asked, api, owner, sent):
    api.requests.clear()
    api.pages["/v1/models"] = {"data": [{"id": "another-name", "owned_by": owner}]}
    api.completion("refund")

    assert asked(constraint={"choice": LABELS}).text == "refund"
    assert sent.items() <= api.requests[0].items()
    assert "response_format" not in api.requests[0]


TEXTS = {'{"label": "refund"}': "refund", "refund": "refund", '{"label": 3}': '{"label": 3}'}
TEXTS['{"label": "refund", "why": "x"}'] = '{"label": "refund", "why": "x"}'


@every_row(("text", "label"), TEXTS.items())
def test_elsewhere_a_label_is_asked_for_in_an_object_and_taken_out_of_it(asked, api, text, label):
    api.requests.clear()
    api.completion(text)

    assert asked(constraint={"choice": LABELS}).text == label
    assert api.requests[0]["response_format"]["json_schema"]["schema"] == OBJECT


def test_a_server_without_schemas_is_held_by_a_strict_tool(asked, api):
    api.error(400, "invalid_request_error: response_format is not supported by this model")
    api.completion(None, "tool_calls", message=use_of("give_the_reply", '{"label": "a"}'))
    reply = asked(constraint={"json_schema": SCHEMA})

    assert (json.loads(reply.text), reply.stop) == ({"label": "a"}, "end")
    assert reply.unsent == ("response_format",)
    tool = api.requests[1]["tools"][0]["function"]
    assert (tool["parameters"], tool["strict"]) == (SCHEMA, True)
    assert api.requests[1]["tool_choice"]["function"]["name"] == "give_the_reply"


def test_requests_that_were_in_flight_when_a_setting_was_refused_are_asked_again_without_it(
    made, monkeypatch
):
    calls = [made(f"{n}", sampling={"temperature": 0.5}) for n in range(8)]
    in_flight = asyncio.Barrier(len(calls))

    async def answered(self, payload, request):
        if "temperature" not in payload:
            return Reply(text="ok")
        # No server on loopback is so slow that all are refused before one hears of it.
        await in_flight.wait()
        raise RequestRejected("temperature is not supported with this model")

    monkeypatch.setattr(OpenAIProvider, "_post", answered)
    replies = ask_all(open_openai, calls, at_once=True)

    assert [reply.text for reply in replies] == ["ok"] * 8
    assert {reply.unsent for reply in replies} == {("temperature",)}


def test_a_tool_call_that_was_cut_off_is_not_run(asked, api):
    api.completion(None, "length", message=use_of("look", ""))

    assert asked().stop == "length"


def test_a_forced_reply_that_was_cut_off_is_reported_as_such(asked, api):
    api.error(400, "response_format is not supported")
    api.completion(None, "length", message=use_of("give_the_reply", '{"label": "'))
    reply = asked(constraint={"json_schema": SCHEMA})

    assert (reply.text, reply.stop) == ('{"label": "', "length")


@every_row(
    ("schema", "strict"),
    [
        (SCHEMA, True),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, False),
        ({**SCHEMA, "required": []}, False),
        ({**SCHEMA, "properties": {"label": {"type": "object"}}}, False),
    ],
)
def test_a_schema_is_sent_as_it_stands_and_strict_where_nothing_is_open(asked, api, schema, strict):
    api.requests.clear()
    asked(constraint={"json_schema": schema})

    held = {"name": "reply", "schema": schema, "strict": strict}
    assert api.requests[0]["response_format"] == {"type": "json_schema", "json_schema": held}


def test_a_server_that_wants_the_limit_by_its_new_name_gets_it(made, together, api):
    api.error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
    together([made(text, max_tokens=5) for text in "ab"])

    assert [request.get("max_completion_tokens") for request in api.requests] == [None, 5, 5]


def test_a_refusal_is_counted_apart_from_an_answer(asked, api):
    api.completion(None, message={"refusal": "I cannot help with that."})
    reply = asked()

    assert (reply.text, reply.stop) == ("I cannot help with that.", "refusal")


SHAPES = {b'{"detail": "no"}': '{"detail": "no"}', b'{"error": "no"}': "no", b"[1]": "[1]", b"": ""}


@every_row(("body", "told"), SHAPES.items())
def test_an_error_in_another_shape_is_shown_as_it_came(asked, api, body, told):
    api.raw(body, 400)
    with pytest.raises(RequestRejected) as caught:
        asked()
    assert str(caught.value) == f"400 {told}"


@every_row("url", ["localhost/v1", "http://a..b/v1", f"http://{'a' * 70}.example/v1"])
def test_what_is_no_address_rejects_the_provider(asked, url):
    with pytest.raises(ProviderRejected, match=re.escape(f"nothing can be sent to {url}: ")):
        asked(base_url=url)


def test_the_account_that_pays_is_named_at_openai_alone(made, together, api):
    account = {"OPENAI_ORG_ID": "org-1", "OPENAI_PROJECT_ID": "proj-1"}
    home = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{api.url}/v1"}
    together([made(api_key_env=None, base_url=None)], account | home)
    together([made()], account | ENVIRON)

    names = ("openai-organization", "openai-project")
    told = [[headers.get(name) for name in names] for headers in api.headers]
    assert told == [["org-1", "proj-1"], [None, None]]


def test_openais_own_key_never_goes_to_an_address_that_a_suite_names(made, together, api):
    together([made(api_key_env=None)], {"OPENAI_API_KEY": KEY})

    assert KEY not in api.headers[0].get("authorization", "")


# What the server says of its models --------------------------------------------------------------


def test_the_parent_and_the_root_of_an_adapter_are_kept_and_asked_for_once(made, together, api):
    rows = [{"id": "base", "root": "org/base"}, {"id": "m", "parent": "base", "root": "/lora/m"}]
    api.pages["/v1/models"] = {"object": "list", "data": rows}
    replies = together([made("a"), made("b")])

    assert [reply.facts for reply in replies] == [{"parent": "base", "root": "/lora/m"}] * 2
    assert api.paths.count("/v1/models") == 1


TAGGED = {"/v1/models": {"data": [{"id": "m:latest", "owned_by": "library"}]}}
TAGGED["/api/tags"] = {"models": [{"name": "m:latest", "digest": "abc123"}]}
ENDING = {"/v1/models": {"data": [{"id": "m", "root": "r", "shutdown_date": "2027-01-14"}]}}


@every_row(
    ("pages", "facts"),
    [(TAGGED, {"digest": "abc123"}), (ENDING, {"root": "r", "retires": "2027-01-14"})],
)
def test_the_digest_behind_a_tag_and_the_last_day_of_a_model_are_kept(asked, api, pages, facts):
    api.pages.clear()
    api.pages.update(pages)

    assert asked().facts == facts


@every_row("page", [None, [], {"data": None}, {"data": [{}]}, "no"])
def test_a_server_that_lists_no_models_answers_all_the_same(asked, api, page):
    api.pages["/v1/models"] = page

    assert (asked().text, asked().facts) == ("ok", {})


# Tools --------------------------------------------------------------------------------------------

LOOKUP = Tool(
    name="lookup_order",
    description="Tell where an order is.",
    parameters={"type": "object", "properties": {}, "additionalProperties": False},
    reference="shop:lookup_order",
)


def turn_of(arguments, **fields):
    function = {"name": "lookup_order", "arguments": arguments}
    return {"role": "assistant", "tool_calls": [{"function": function, **fields}]}


def test_a_tool_goes_out_as_a_function_with_its_schema(call):
    (sent,) = chat_tools(call(tools=(LOOKUP,)))

    told = {"name": LOOKUP.name, "description": LOOKUP.description}
    assert sent == {"type": "function", "function": {**told, "parameters": LOOKUP.parameters}}


def test_a_step_goes_out_as_a_turn_of_the_model_and_one_result_for_each_use(call):
    use = {"name": "lookup_order", "arguments": {"order_id": "17"}}
    first = ToolCall(**use, id="a", result="shipped")
    uses = (first, ToolCall(**use, id="b", result="no", failed=True))

    question, turn, *results = chat_messages(call(steps=(Step("Let me see.", uses),)))

    assert question["role"] == "user"
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
    step = chat_step({**turn_of('{"order_id": "17"}', id="x"), "content": "Let me see."})

    use = ToolCall(name="lookup_order", arguments={"order_id": "17"}, id="x")
    assert step == Step("Let me see.", (use,))


ORDER = {"order_id": "17"}


@every_row(
    ("written", "read"),
    [
        *((json.dumps(ORDER), ORDER), (ORDER, ORDER), ("", {}), (None, {})),
        *((text, text) for text in ('{"order', "[1]", "null")),
    ],
)
def test_arguments_are_read_as_a_mapping_or_kept_as_the_text_they_were(written, read):
    assert chat_step(turn_of(written, id="x")).calls[0].arguments == read


def test_uses_that_a_server_gave_no_name_stay_apart():
    both = turn_of("{}")["tool_calls"] * 2

    assert [use.id for use in chat_step({"tool_calls": both}).calls] == ["call_0", "call_1"]
