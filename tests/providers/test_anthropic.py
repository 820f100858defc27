"""Anthropic's SDK against a Messages API on loopback, and against llama.cpp's own."""

from __future__ import annotations

import warnings

import pytest
from ftgate_testing.asking import ENVIRON, KEY
from ftgate_testing.tables import every_row

from pytest_ftgate.client.engine import Engine
from pytest_ftgate.client.rate_limit import RetryPolicy
from pytest_ftgate.errors import (
    ConfigurationError,
    ProviderRejected,
    RetryableError,
)
from pytest_ftgate.providers.anthropic import open_anthropic
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Step, Tool, ToolCall


@pytest.fixture
def hosted():
    return "anthropic"


def test_a_message_becomes_a_reply(asked, api):
    api.message("Grüße")
    reply = asked()
    assert (reply.text, reply.stop, reply.model) == ("Grüße", "end", "served")
    assert reply.usage == {"input": 9, "output": 2, "cache_read": 4, "cache_write": 3}
    assert reply.request_id == "req_7"
    assert reply.seconds > 0


def test_a_schema_is_sent_in_the_form_that_the_api_takes(asked, api):
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 3}}}
    asked(constraint={"json_schema": schema}, sampling={"effort": "low"})
    output = api.requests[0]["output_config"]
    assert output["effort"] == "low"
    assert output["format"]["type"] == "json_schema"
    assert output["format"]["schema"]["additionalProperties"] is False
    assert "maximum" not in output["format"]["schema"]["properties"]["n"]


def test_a_refusal_is_a_reply_without_text(asked, api):
    api.message(None, "refusal", stop_details={"type": "refusal", "category": "cyber"})
    reply = asked()
    assert (reply.text, reply.stop) == ("", "refusal")


def test_only_text_blocks_are_the_text(asked, api):
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "a"},
        {"type": "a_later_invention", "text": "hidden"},
        {"type": "text", "text": "b"},
    ]
    api.message(content=blocks)
    reply = asked()
    assert (reply.text, reply.thought) == ("ab", "hm")


def test_what_is_no_http_is_told_without_the_request(asked, api):
    api.raw(b"no", **{"content-length": "2, 3"})
    with pytest.raises(RetryableError, match=r"no connection to \S+: ") as caught:
        asked()
    assert "Request" not in str(caught.value)


def test_an_error_that_is_a_web_page_is_told_without_it(asked, api):
    api.raw(b"<html>hello</html>", 502, **{"content-type": "text/html"})
    with pytest.raises(RetryableError, match=r"^502 a web page$"):
        asked()


@every_row("model", ["claude-opus-4-5", "claude-sonnet-4-5"])
def test_a_deprecated_model_answers_even_where_warnings_are_errors(asked, api, model):
    api.requests.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reply = asked(model=model)
    assert reply.text == "ok"
    assert api.requests[0]["model"] == model


def test_a_model_without_schemas_is_held_by_a_tool_that_it_must_use(asked, api):
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 3}}}
    api.error(400, "output_config.format: not supported by this model")
    api.message(
        stop="tool_use",
        content=[{"type": "tool_use", "id": "t", "name": "give_the_reply", "input": {"n": 2}}],
    )
    reply = asked(constraint={"json_schema": schema})

    assert (reply.text, reply.stop, reply.unsent) == ('{"n": 2}', "end", ("output_config",))
    assert api.requests[1]["tool_choice"] == {"type": "tool", "name": "give_the_reply"}


def test_how_much_was_thought_is_counted(asked, api):
    usage = {"input_tokens": 9, "output_tokens": 8, "output_tokens_details": {"thinking_tokens": 6}}
    api.message(usage=usage)

    assert asked(sampling={"thinking": {"type": "adaptive"}}).usage["thought"] == 6
    assert api.requests[0]["thinking"] == {"type": "adaptive"}


def test_the_day_on_which_a_model_retires_is_kept_and_asked_for_once(made, together, api):
    model = {"id": "m", "type": "model", "display_name": "X", "lifecycle": "deprecated"}
    dates = {"created_at": "2025-01-01T00:00:00Z", "retires_at": "2027-01-22T00:00:00Z"}
    api.pages["/v1/models/m"] = model | dates
    replies = together([made("a"), made("b")])

    told = {"retires": "2027-01-22", "lifecycle": "deprecated"}
    assert [reply.facts for reply in replies] == [told, told]
    assert api.paths.count("/v1/models/m") == 1


def test_where_a_server_lists_no_models_the_sdk_knows_what_is_deprecated(asked):
    assert asked(model="claude-opus-4-5").facts == {"retires": "2027-01-22"}


def test_another_version_of_the_api_can_be_asked_for(asked, api):
    asked(api_version="2023-06-01")

    assert api.headers[0]["anthropic-version"] == "2023-06-01"


# Bedrock ------------------------------------------------------------------------------------------

ARN = "arn:aws:bedrock:eu-west-1:123456789012:provisioned-model/abc123"


@pytest.fixture
def at_bedrock(asked, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-that-signs")
    return lambda model=ARN: asked(provider="bedrock", model=model, api_key_env=None)


def test_bedrock_is_asked_for_the_arn_in_its_own_region_with_a_signature(at_bedrock, api):
    assert at_bedrock().text == "ok"

    assert api.paths == [f"/model/{ARN.replace('/', '%2F')}/invoke"]
    signed = api.headers[0]["authorization"]
    assert signed.startswith("AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/")
    assert "/eu-west-1/bedrock/aws4_request" in signed
    assert "a-secret-that-signs" not in str(api.headers)
    # A tuned model knows no newer version.
    assert api.requests[0]["anthropic_version"] == "bedrock-2023-05-31"
    assert "model" not in api.requests[0]


def test_a_newer_model_at_bedrock_is_asked_in_the_version_of_the_sdk(at_bedrock, api, monkeypatch):
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    at_bedrock("anthropic.claude-opus-5-5-v1:0")

    assert api.requests[0]["anthropic_version"] > "2026"


def test_a_bearer_token_for_bedrock_is_sent_as_one(at_bedrock, api, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "a-token")
    at_bedrock()

    assert api.headers[0]["authorization"] == "Bearer a-token"


def test_no_credentials_for_bedrock_deny_the_variant_with_the_remedy(at_bedrock, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(ProviderRejected, match="set AWS_REGION, and AWS_BEARER_TOKEN_BEDROCK"):
        # The SDK remembers what it found for a region.
        at_bedrock(ARN.replace("eu-west-1", "us-west-2"))


def test_a_model_at_bedrock_without_a_region_is_unavailable_with_the_remedy(at_bedrock):
    with pytest.raises(ConfigurationError, match="set AWS_REGION"):
        at_bedrock("anthropic.claude-opus-5-5-v1:0")


def test_no_credentials_at_all_are_an_error_before_a_request(made):
    with pytest.raises(ConfigurationError, match="no credentials: set ANTHROPIC_API_KEY"):
        open_anthropic([made(api_key_env=None)], {})


CREDENTIALS = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_AUTH_TOKEN": KEY}
CREDENTIALS["ANTHROPIC_CUSTOM_HEADERS"] = f"x-api-key: {KEY}"


@every_row(("name", "value"), CREDENTIALS.items())
def test_credentials_of_the_environment_are_enough(asked, api, monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    asked(api_key_env=None)

    assert KEY in str(api.headers[0])


def test_a_profile_that_is_not_there_is_unavailable_with_the_remedy(asked, monkeypatch, tmp_path):
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigurationError, match="set ANTHROPIC_API_KEY"):
        asked(api_key_env=None)


@pytest.fixture
def engine(cache, monkeypatch):
    monkeypatch.setattr(RetryPolicy, "_backoff", lambda *_: 0.001)
    engine = Engine(cache, ENVIRON)
    yield engine
    engine.close()


# Tools ---------------------------------------------------------------------------------------

LOOKUP = Tool(
    name="lookup_order",
    description="Tell where an order is.",
    parameters={"type": "object", "properties": {"order_id": {"type": "string"}}},
    reference="wire_shop:lookup_order",
)


def uses(*ids: str, text: str = "") -> list[dict]:
    """Return the content of a message that asks for the tool, once for each id."""
    use = {"type": "tool_use", "name": "lookup_order", "input": {"order_id": "17"}}
    said = [{"type": "text", "text": text}] if text else []
    return [*said, *({**use, "id": one} for one in ids)]


def test_tools_are_sent_with_their_schema(asked, api):
    asked(tools=(LOOKUP,))

    told = {"name": LOOKUP.name, "description": LOOKUP.description}
    assert api.requests[0]["tools"] == [{**told, "input_schema": LOOKUP.parameters}]


def test_a_message_that_uses_tools_is_a_step(asked, api):
    api.message(stop="tool_use", content=uses("toolu_1", "toolu_2", text="Let me see."))

    reply = asked(tools=(LOOKUP,))

    assert (reply.text, reply.stop) == ("Let me see.", "tool")
    use = {"name": "lookup_order", "arguments": {"order_id": "17"}}
    wanted = (ToolCall(**use, id="toolu_1"), ToolCall(**use, id="toolu_2"))
    assert reply.steps == (Step("Let me see.", wanted),)


def test_a_step_is_sent_as_the_turn_it_was_and_one_result_for_each_use(asked, api):
    use = {"name": "lookup_order", "arguments": {"order_id": "17"}}
    ran = (
        ToolCall(**use, id="toolu_1", result="shipped"),
        ToolCall(**use, id="toolu_2", result="no such order", failed=True),
    )
    asked(tools=(LOOKUP,), steps=(Step("Let me see.", ran),))

    question, turn, results = api.requests[0]["messages"]
    assert question == {"role": "user", "content": "hello"}
    assert turn == {"role": "assistant", "content": uses("toolu_1", "toolu_2", text="Let me see.")}
    first = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "shipped"}
    failed = {"tool_use_id": "toolu_2", "content": "no such order", "is_error": True}
    assert results == {"role": "user", "content": [first, first | failed]}


def test_a_turn_without_words_is_sent_without_an_empty_block(asked, api):
    use = ToolCall(name="lookup_order", arguments="{brok", id="toolu_1", result="no", failed=True)
    asked(tools=(LOOKUP,), steps=(Step("", (use,)),))

    _, turn, _ = api.requests[0]["messages"]
    sent = {"type": "tool_use", "id": "toolu_1", "name": "lookup_order", "input": {}}
    assert turn["content"] == [sent]


def test_thinking_goes_back_signed_and_in_its_place(engine, made, api, tmp_path):
    (tmp_path / "wire_shop.py").write_text("def lookup_order(order_id: str): ...\n", "utf-8")
    thought = {"type": "thinking", "thinking": "Which order?", "signature": "c2ln"}
    hidden = {"type": "redacted_thinking", "data": "eHl6"}
    turn = [thought, hidden, *uses("toolu_1", text="Let me see.")]
    api.message(stop="tool_use", content=turn)
    call = made("Where is it?", tools=(LOOKUP,), max_turns=4, folder=tmp_path)

    reply = engine.wait([call])[call.fingerprint]

    assert api.requests[1]["messages"][1] == {"role": "assistant", "content": turn}
    assert reply.steps[0].text == "Let me see."
    assert Reply.from_json(reply.to_json()) == reply
