"""Anthropic's SDK against a Messages API on loopback, and against llama.cpp's own."""

from __future__ import annotations

import asyncio
import os
import re
import warnings

import anthropic
import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.client.engine import Engine
from pytest_ftgate.client.rate_limit import RetryPolicy
from pytest_ftgate.errors import (
    ConfigurationError,
    ProviderRejected,
    ReplyError,
    RequestRejected,
    RetryableError,
)
from pytest_ftgate.providers.anthropic import open_anthropic
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Step, Tool, ToolCall

KEY = "sk-ant-very-secret-0123456789"
ENVIRON = {"TEAM_KEY": KEY}


@pytest.fixture(autouse=True)
def no_credentials_around(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith(("ANTHROPIC_", "AWS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("APPDATA", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def asked(call, api):
    """Ask the loopback API once."""

    def ask(text: str = "hello", **changes) -> Reply:
        where = {"base_url": api.url, "api_key_env": "TEAM_KEY"}
        made = call(text, **{"provider": "anthropic", "model": "claude-x", **where, **changes})

        async def once() -> Reply:
            provider = open_anthropic([made], ENVIRON)
            try:
                return await provider.generate(made)
            finally:
                await provider.close()

        return asyncio.run(once())

    return ask


def test_a_message_becomes_a_reply(asked, api):
    api.message("Grüße")
    reply = asked()
    assert (reply.text, reply.stop, reply.model) == ("Grüße", "end", "served")
    assert reply.usage == {"input": 9, "output": 2, "cache_read": 4, "cache_write": 3}
    assert reply.request_id == "req_7"
    assert reply.seconds > 0


def test_the_payload_holds_what_the_request_declares_and_nothing_else(asked, api):
    turns = (("system", "be brief"), ("user", "a"), ("assistant", "b"), ("user", "c"))
    asked(messages=turns, max_tokens=7)
    assert api.requests == [
        {
            "model": "claude-x",
            "max_tokens": 7,
            "system": "be brief",
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": "b"},
                {"role": "user", "content": "c"},
            ],
        }
    ]


@every_row(
    ("sampling", "sent"),
    [
        ({"temperature": 0.0, "top_p": 0.5}, {"temperature": 0.0, "top_p": 0.5}),
        ({"stop": ["END"]}, {"stop_sequences": ["END"]}),
        ({"effort": "low"}, {"output_config": {"effort": "low"}}),
    ],
)
def test_each_setting_goes_where_the_api_reads_it(asked, api, sampling, sent):
    api.requests.clear()
    asked(sampling=sampling)
    assert sent.items() <= api.requests[0].items()


def test_a_schema_is_sent_in_the_form_that_the_api_takes(asked, api):
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 3}}}
    asked(constraint={"json_schema": schema}, sampling={"effort": "low"})
    output = api.requests[0]["output_config"]
    assert output["effort"] == "low"
    assert output["format"]["type"] == "json_schema"
    assert output["format"]["schema"]["additionalProperties"] is False
    assert "maximum" not in output["format"]["schema"]["properties"]["n"]


def test_the_key_is_read_where_the_request_says(asked, api):
    asked()
    assert KEY in api.headers[0]["authorization"]


@every_row(
    ("said", "means"),
    [
        ("end_turn", "end"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("stop_sequence", "stop"),
        ("tool_use", "tool"),
        ("a-later-invention", "end"),
    ],
)
def test_the_reason_for_stopping_is_reported(asked, api, said, means):
    api.message("x", said)
    assert asked().stop == means


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


@every_row("status", [408, 409, 429, 500, 503, 529])
def test_trouble_that_passes_is_worth_another_request(asked, api, status):
    api.requests.clear()
    api.error(status, "trouble")
    with pytest.raises(RetryableError, match=str(status)) as caught:
        asked()
    assert caught.value.limited is (status in (429, 503, 529))
    assert len(api.requests) == 1


@every_row(
    ("header", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("Wed, 21 Oct 2026 07:28:00 GMT", 0.0), ("soon", None)],
)
def test_the_wait_that_the_server_asks_for_is_handed_on(asked, api, header, seconds):
    api.error(429, "rate_limit_error", retry_after=header)
    with pytest.raises(RetryableError) as caught:
        asked()
    assert caught.value.retry_after == seconds


@every_row("status", [401, 402, 403, 404])
def test_what_every_request_will_meet_rejects_the_provider(asked, api, status):
    api.error(status, "never")
    with pytest.raises(ProviderRejected, match=f"{status} .*never"):
        asked()


def test_a_spend_limit_rejects_the_provider_although_its_status_is_that_of_overload(asked, api):
    api.error(429, "rate_limit_error", code="enforced_spend_limit_reached", retry_after="1")
    with pytest.raises(ProviderRejected, match="429"):
        asked()


def test_a_spend_limit_that_the_user_set_rejects_the_provider(asked, api):
    api.error(400, "invalid_request_error: You have reached your specified API usage limits")
    with pytest.raises(ProviderRejected, match="usage limits"):
        asked()


def test_what_is_left_of_a_rate_limit_is_handed_on(to_api, api):
    left = {"anthropic-ratelimit-requests-remaining": "3"}

    async def ask():
        provider = open_anthropic([to_api("a")], ENVIRON)
        await provider.generate(to_api("a"))
        await provider.close()
        return provider.rate_limit_headers

    api.message()
    api.queued[0].headers.update(left)
    assert left.items() <= dict(asyncio.run(ask())).items()


@every_row("status", [400, 413, 422])
def test_a_wrong_request_is_refused_alone(asked, api, status):
    api.error(status, "invalid_request_error")
    with pytest.raises(RequestRejected, match="no: invalid_request_error") as caught:
        asked()
    assert not isinstance(caught.value, ProviderRejected)


def test_a_lost_connection_is_worth_another_request(asked, api):
    api.reset()
    with pytest.raises(RetryableError, match="no connection"):
        asked()


def test_what_is_no_http_is_told_without_the_request(asked, api):
    api.raw(b"no", **{"content-length": "2, 3"})
    with pytest.raises(RetryableError, match=r"no connection to \S+: ") as caught:
        asked()
    assert "Request" not in str(caught.value)


def test_an_address_where_nobody_listens_is_worth_another_request(asked):
    with pytest.raises(RetryableError, match="no connection"):
        asked(base_url="http://127.0.0.1:9")


def test_a_body_shorter_than_announced_is_worth_another_request(asked, api):
    api.raw(b'{"id": "msg_1", "con', **{"content-length": "900", "connection": "close"})
    with pytest.raises(RetryableError, match="no connection"):
        asked()


@every_row(
    ("body", "kind"),
    [
        (b'{"id": "msg_1", "content": [{"type": "te', "application/json"),
        (b"", "application/json"),
        (b"{}", "application/json"),
        (b"[]", "application/json"),
        (b"null", "application/json"),
    ],
)
def test_a_body_that_is_no_message_is_worth_another_request(asked, api, body, kind):
    api.raw(body, **{"content-type": kind})
    with pytest.raises(RetryableError, match="the body is"):
        asked()


PAGE = b"<html>the proxy says hello</html>"


def test_a_web_page_in_place_of_a_reply_is_a_wrong_address(asked, api):
    api.raw(PAGE, **{"content-type": "text/html"})
    with pytest.raises(ProviderRejected) as caught:
        asked(model="claude-x")
    told = f"{api.url}/? answered with a web page, not with a reply of claude-x; correct base_url"
    assert re.fullmatch(told, str(caught.value))


def test_a_web_page_of_a_server_that_has_answered_before_is_worth_another_request(to_api, api):
    api.message()
    api.raw(PAGE, **{"content-type": "text/html"})
    with pytest.raises(RetryableError, match="answered with a web page"):
        together([to_api("a"), to_api("b")])


def test_an_error_that_is_a_web_page_is_told_without_it(asked, api):
    api.raw(PAGE, 502, **{"content-type": "text/html"})
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


def test_the_sdk_still_warns_of_the_deprecated_models_named_above(api):
    with (
        anthropic.Anthropic(api_key="k", base_url=api.url) as client,
        pytest.warns(DeprecationWarning, match="claude-opus-4-5"),
    ):
        client.messages.create(model="claude-opus-4-5", max_tokens=1, messages=[])


def together(calls, environ=ENVIRON) -> list[Reply]:
    """Put *calls* to one open provider, one after the other."""

    async def ask() -> list[Reply]:
        provider = open_anthropic(calls, environ)
        try:
            return [await provider.generate(call) for call in calls]
        finally:
            await provider.close()

    return asyncio.run(ask())


def test_a_setting_that_is_refused_is_left_out_from_then_on_and_recorded(to_api, api):
    api.error(400, "temperature: Extra inputs are not permitted")
    calls = [to_api(text, sampling={"temperature": 0.5, "stop": ("x",)}) for text in "ab"]
    replies = together(calls)

    assert ["temperature" in request for request in api.requests] == [True, False, False]
    assert all(request["stop_sequences"] == ["x"] for request in api.requests)
    assert [reply.unsent for reply in replies] == [("temperature",)] * 2


def test_a_setting_whose_value_is_wrong_is_the_authors_to_mend(to_api, api):
    api.error(400, "temperature: must be less than or equal to 1")
    with pytest.raises(RequestRejected, match="less than or equal to 1"):
        together([to_api("a", sampling={"temperature": 5.0})])


def test_a_model_without_schemas_is_held_by_a_tool_that_it_must_use(to_api, api):
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 3}}}
    api.error(400, "output_config.format: not supported by this model")
    api.message(
        stop="tool_use",
        content=[{"type": "tool_use", "id": "t", "name": "give_the_reply", "input": {"n": 2}}],
    )
    (reply,) = together([to_api("a", constraint={"json_schema": schema})])

    assert (reply.text, reply.stop, reply.unsent) == ('{"n": 2}', "end", ("output_config",))
    assert api.requests[1]["tool_choice"] == {"type": "tool", "name": "give_the_reply"}


def test_how_much_was_thought_is_counted(asked, api):
    usage = {"input_tokens": 9, "output_tokens": 8, "output_tokens_details": {"thinking_tokens": 6}}
    api.message(usage=usage)

    assert asked(sampling={"thinking": {"type": "adaptive"}}).usage["thought"] == 6
    assert api.requests[0]["thinking"] == {"type": "adaptive"}


def test_the_day_on_which_a_model_retires_is_kept_and_asked_for_once(to_api, api):
    model = {"id": "claude-x", "type": "model", "display_name": "X", "lifecycle": "deprecated"}
    dates = {"created_at": "2025-01-01T00:00:00Z", "retires_at": "2027-01-22T00:00:00Z"}
    api.pages["/v1/models/claude-x"] = model | dates
    replies = together([to_api("a"), to_api("b")])

    told = {"retires": "2027-01-22", "lifecycle": "deprecated"}
    assert [reply.facts for reply in replies] == [told, told]
    assert api.paths.count("/v1/models/claude-x") == 1


def test_where_a_server_lists_no_models_the_sdk_knows_what_is_deprecated(asked):
    assert asked(model="claude-opus-4-5").facts == {"retires": "January 22nd, 2027"}


def test_another_version_of_the_api_can_be_asked_for(asked, api):
    asked(api_version="2023-06-01")

    assert api.headers[0]["anthropic-version"] == "2023-06-01"


# Bedrock ------------------------------------------------------------------------------------------

ARN = "arn:aws:bedrock:eu-west-1:123456789012:provisioned-model/abc123"


@pytest.fixture
def at_bedrock(call, api, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-that-signs")

    def ask(model: str = ARN, **changes) -> Reply:
        where = {"provider": "bedrock", "base_url": api.url, "model": model}
        return together([call("hello", **{**where, **changes})])[0]

    return ask


def test_bedrock_is_asked_for_the_arn_in_its_own_region_with_a_signature(at_bedrock, api):
    assert at_bedrock().text == "ok"

    assert api.paths == [f"/model/{ARN.replace('/', '%2F')}/invoke"]
    signed = api.headers[0]["authorization"]
    assert signed.startswith("AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/")
    assert "/eu-west-1/bedrock/aws4_request" in signed
    assert "a-secret-that-signs" not in str(api.headers)


def test_a_tuned_model_at_bedrock_is_asked_in_the_version_that_it_knows(at_bedrock, api):
    at_bedrock()

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


def test_a_key_that_is_not_set_is_named(call):
    made = call(provider="anthropic", model="claude-x", api_key_env="TEAM_KEY")
    with pytest.raises(ConfigurationError, match="the key of claude-x is missing: set TEAM_KEY"):
        open_anthropic([made], {"TEAM_KEY": ""})


def test_no_credentials_at_all_are_an_error_before_a_request(call, api):
    made = call(provider="anthropic", model="claude-x", base_url=api.url, api_key_env=None)

    with pytest.raises(ConfigurationError, match="no credentials: set ANTHROPIC_API_KEY"):
        open_anthropic([made], {})


@every_row(
    ("name", "value"),
    [
        ("ANTHROPIC_API_KEY", KEY),
        ("ANTHROPIC_AUTH_TOKEN", KEY),
        ("ANTHROPIC_CUSTOM_HEADERS", f"x-api-key: {KEY}"),
    ],
)
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


@pytest.fixture
def to_api(call, api):
    def make(text: str, **changes):
        where = {"base_url": api.url, "api_key_env": "TEAM_KEY"}
        return call(text, **{"provider": "anthropic", "model": "claude-x", **where, **changes})

    return make


def test_a_request_gets_through_a_row_of_troubles(engine, to_api, api):
    api.error(429, "rate_limit_error", retry_after="1")
    api.error(529, "overloaded_error")
    api.reset()
    api.raw(b'{"id": "ms')
    api.error(500, "api_error")
    api.message("at last")
    call = to_api("a")
    assert engine.wait([call])[call.fingerprint].text == "at last"
    assert len(api.requests) == 6


def test_trouble_without_end_is_an_error_that_says_so(engine, to_api, api):
    for _ in range(6):
        api.error(529, "overloaded_error")
    call = to_api("a")
    answer = engine.wait([call])[call.fingerprint]
    assert isinstance(answer, ReplyError)
    assert "no reply in 6 attempts; last: 529" in str(answer)


def test_a_spend_limit_is_met_once_for_all_requests(cache, to_api, api):
    api.error(429, "rate_limit_error", code="enforced_spend_limit_reached")
    engine = Engine(cache, ENVIRON, concurrency=1)
    answers = engine.wait([to_api(text) for text in "abcdef"]).values()
    engine.close()
    assert [type(answer) for answer in answers] == [ProviderRejected] * 6
    assert len(api.requests) == 1


def test_the_key_is_in_no_file_and_in_no_error(cache, to_api, api, tmp_path):
    api.message("fine")
    api.error(401, "authentication_error")
    engine = Engine(cache, ENVIRON, concurrency=1)
    answers = engine.wait([to_api("a"), to_api("b")]).values()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    written = b"".join(path.read_bytes() for path in files)
    engine.close()
    assert b"fine" in written
    assert KEY.encode() not in written
    assert not any(KEY in repr(answer) for answer in answers)


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

    (sent,) = api.requests[0]["tools"]
    assert sent == {
        "name": "lookup_order",
        "description": "Tell where an order is.",
        "input_schema": LOOKUP.parameters,
    }


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
    failed = {"content": "no such order", "is_error": True}
    assert results == {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "shipped"},
            {"type": "tool_result", "tool_use_id": "toolu_2", **failed},
        ],
    }


def test_a_turn_without_words_is_sent_without_an_empty_block(asked, api):
    use = ToolCall(name="lookup_order", arguments="{brok", id="toolu_1", result="no", failed=True)
    asked(tools=(LOOKUP,), steps=(Step("", (use,)),))

    _, turn, _ = api.requests[0]["messages"]
    sent = {"type": "tool_use", "id": "toolu_1", "name": "lookup_order", "input": {}}
    assert turn["content"] == [sent]


def test_thinking_goes_back_signed_and_in_its_place(engine, to_api, api, tmp_path):
    (tmp_path / "wire_shop.py").write_text("def lookup_order(order_id: str): ...\n", "utf-8")
    thought = {"type": "thinking", "thinking": "Which order?", "signature": "c2ln"}
    hidden = {"type": "redacted_thinking", "data": "eHl6"}
    turn = [thought, hidden, *uses("toolu_1", text="Let me see.")]
    api.message(stop="tool_use", content=turn)
    call = to_api("Where is it?", tools=(LOOKUP,), max_turns=4, folder=tmp_path)

    reply = engine.wait([call])[call.fingerprint]

    assert api.requests[1]["messages"][1] == {"role": "assistant", "content": turn}
    assert reply.steps[0].text == "Let me see."
    assert Reply.from_json(reply.to_json()) == reply


def test_a_model_that_uses_tools_is_asked_until_it_answers(engine, to_api, api, tmp_path):
    code = "def lookup_order(order_id: str):\n    return f'{order_id} was shipped'\n"
    (tmp_path / "wire_shop.py").write_text(code, "utf-8")
    api.message(stop="tool_use", content=uses("toolu_1"))
    api.error(529, "overloaded_error")
    api.message("It was shipped.")
    call = to_api("Where is it?", tools=(LOOKUP,), max_turns=4, folder=tmp_path)

    reply = engine.wait([call])[call.fingerprint]

    assert (reply.text, reply.usage["input"]) == ("It was shipped.", 18)
    assert [use.result for use in reply.tool_calls] == ["17 was shipped"]
    assert [len(request["messages"]) for request in api.requests] == [1, 3, 3]
