"""Chat completions on loopback, with every trouble that a server can make."""

from __future__ import annotations

import asyncio
import json
import os
import re

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import (
    ConfigurationError,
    ProviderRejected,
    RequestRejected,
    RetryableError,
)
from pytest_ftgate.providers.openai import open_openai
from pytest_ftgate.requests.reply import Reply

KEY = "sk-very-secret-0123456789"
ENVIRON = {"TEAM_KEY": KEY}
SCHEMA = {
    "type": "object",
    "properties": {"label": {"enum": ["a", "b"]}},
    "required": ["label"],
    "additionalProperties": False,
}


@pytest.fixture(autouse=True)
def no_credentials_around(monkeypatch):
    for name in [name for name in os.environ if name.startswith("OPENAI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def together(calls, environ=None) -> list[Reply]:
    """Put *calls* to one open provider, one after the other."""

    async def ask() -> list[Reply]:
        provider = open_openai(calls, environ or ENVIRON)
        try:
            return [await provider.generate(call) for call in calls]
        finally:
            await provider.close()

    return asyncio.run(ask())


@pytest.fixture
def made(call, api):
    def make(text: str = "hello", **changes):
        where = {"base_url": f"{api.url}/v1", "api_key_env": "TEAM_KEY"}
        return call(text, **{"provider": "openai-compatible", "model": "m", **where, **changes})

    return make


@pytest.fixture
def asked(made):
    return lambda text="hello", **changes: together([made(text, **changes)])[0]


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


@every_row("key", ["reasoning_content", "reasoning"])
def test_a_thought_beside_the_text_stays_apart(asked, api, key):
    api.completion("delivery", message={key: "A parcel."})

    reply = asked()

    assert (reply.text, reply.thought) == ("delivery", "A parcel.")


def test_a_reply_that_ends_in_its_thought_has_no_text(asked, api):
    api.completion(None, "length", message={"reasoning_content": "A parcel"})

    assert asked().has_no_answer


def test_a_message_of_parts_is_put_together(asked, api):
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "A parcel."}]}
    parts = [thinking, {"type": "text", "text": "deli"}, {"type": "text", "text": "very"}]
    api.completion(None, message={"content": parts})

    reply = asked()

    assert (reply.text, reply.thought) == ("delivery", "A parcel.")


def test_the_payload_holds_what_the_request_declares_and_nothing_else(asked, api):
    turns = (("system", "be brief"), ("user", "a"), ("assistant", "b"), ("user", "c"))
    asked(messages=turns, max_tokens=7)

    assert api.requests == [
        {
            "model": "m",
            "max_tokens": 7,
            "messages": [{"role": role, "content": text} for role, text in turns],
        }
    ]


@every_row(
    ("sampling", "sent"),
    [
        ({"temperature": 0.0, "top_p": 0.5}, {"temperature": 0.0, "top_p": 0.5}),
        ({"stop": ["END"]}, {"stop": ["END"]}),
        ({"effort": "low"}, {"reasoning_effort": "low"}),
    ],
)
def test_each_setting_goes_where_the_api_reads_it(asked, api, sampling, sent):
    api.requests.clear()
    asked(sampling=sampling)

    assert sent.items() <= api.requests[0].items()


def test_repeats_of_a_seeded_request_have_seeds_of_their_own(made, api):
    together([made(sampling={"seed": 7}), made(sampling={"seed": 7}, repeat=2)])

    assert [request["seed"] for request in api.requests] == [7, 9]


def test_a_schema_is_sent_as_it_stands(asked, api):
    asked(constraint={"json_schema": SCHEMA})

    held = api.requests[0]["response_format"]
    assert (held["type"], held["json_schema"]["strict"]) == ("json_schema", True)
    assert held["json_schema"]["schema"] == SCHEMA


def test_extra_is_merged_into_the_body(asked, api):
    extra = {"chat_template_kwargs": {"enable_thinking": False}, "top_k": 20}
    asked(extra=extra, sampling={"temperature": 0.0})

    assert {**extra, "temperature": 0.0, "model": "m"}.items() <= api.requests[0].items()


LABELS = ["refund", 'say "hi"', "a\\b"]
OBJECT = {
    "type": "object",
    "properties": {"label": {"type": "string", "enum": LABELS}},
    "required": ["label"],
    "additionalProperties": False,
}


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


@every_row(
    ("text", "label"),
    [
        ('{"label": "refund"}', "refund"),
        ("refund", "refund"),
        ('{"label": 3}', '{"label": 3}'),
        ('{"label": "refund", "why": "x"}', '{"label": "refund", "why": "x"}'),
    ],
)
def test_elsewhere_a_label_is_asked_for_in_an_object_and_taken_out_of_it(asked, api, text, label):
    api.requests.clear()
    api.completion(text)

    assert asked(constraint={"choice": LABELS}).text == label
    assert api.requests[0]["response_format"]["json_schema"]["schema"] == OBJECT


def test_a_server_without_schemas_is_held_by_a_strict_tool(made, api):
    api.error(400, "invalid_request_error: response_format is not supported by this model")
    function = {"name": "give_the_reply", "arguments": '{"label": "a"}'}
    call = {"id": "c1", "type": "function", "function": function}
    api.completion(None, "tool_calls", message={"tool_calls": [call]})
    (reply,) = together([made(constraint={"json_schema": SCHEMA})])

    assert (json.loads(reply.text), reply.stop) == ({"label": "a"}, "end")
    assert reply.unsent == ("response_format",)
    tool = api.requests[1]["tools"][0]["function"]
    assert (tool["parameters"], tool["strict"]) == (SCHEMA, True)
    assert api.requests[1]["tool_choice"]["function"]["name"] == "give_the_reply"


def test_a_setting_that_is_refused_is_left_out_from_then_on_and_recorded(made, api):
    api.error(400, "invalid_request_error: temperature is not supported with this model")
    replies = together([made(text, sampling={"temperature": 0.5, "top_p": 0.9}) for text in "ab"])

    assert [sorted(request) for request in api.requests] == [
        ["max_tokens", "messages", "model", "temperature", "top_p"],
        ["max_tokens", "messages", "model", "top_p"],
        ["max_tokens", "messages", "model", "top_p"],
    ]
    assert [reply.unsent for reply in replies] == [("temperature",), ("temperature",)]


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

    async def ask() -> list[Reply]:
        provider = open_openai(calls, ENVIRON)
        monkeypatch.setattr(type(provider), "_post", answered)
        try:
            return await asyncio.gather(*map(provider.generate, calls))
        finally:
            await provider.close()

    replies = asyncio.run(ask())

    assert [reply.text for reply in replies] == ["ok"] * 8
    assert {reply.unsent for reply in replies} == {("temperature",)}


def test_a_tool_call_that_was_cut_off_is_not_run(asked, api):
    function = {"name": "look", "arguments": ""}
    call = {"id": "c", "type": "function", "function": function}
    api.completion(None, "length", message={"tool_calls": [call]})

    assert asked().stop == "length"


def test_a_forced_reply_that_was_cut_off_is_reported_as_such(made, api):
    api.error(400, "response_format is not supported")
    function = {"name": "give_the_reply", "arguments": '{"label": "'}
    call = {"id": "c1", "type": "function", "function": function}
    api.completion(None, "length", message={"tool_calls": [call]})
    (reply,) = together([made(constraint={"json_schema": SCHEMA})])

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
def test_a_schema_is_called_strict_only_where_it_leaves_nothing_open(asked, api, schema, strict):
    api.requests.clear()
    asked(constraint={"json_schema": schema})

    assert api.requests[0]["response_format"]["json_schema"]["strict"] is strict


def test_what_is_forbidden_is_this_request_alone_where_others_were_answered(made, api):
    api.completion("fine")
    api.error(403, "this input was flagged")
    with pytest.raises(RequestRejected) as caught:
        together([made("a"), made("b")])
    assert not isinstance(caught.value, ProviderRejected)


def test_a_setting_whose_value_is_wrong_is_the_authors_to_mend(asked, api):
    api.error(400, "invalid_request_error: temperature must be less than 2")
    with pytest.raises(RequestRejected, match="less than 2"):
        asked(sampling={"temperature": 5.0})
    assert len(api.requests) == 1


def test_a_server_that_wants_the_limit_by_its_new_name_gets_it(made, api):
    api.error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
    together([made(text, max_tokens=5) for text in "ab"])

    assert [request.get("max_completion_tokens") for request in api.requests] == [None, 5, 5]


@every_row(
    ("said", "means"),
    [
        ("stop", "end"),
        ("length", "length"),
        ("content_filter", "refusal"),
        ("a_later_invention", "end"),
    ],
)
def test_the_reason_for_stopping_is_reported(asked, api, said, means):
    api.completion("x", said)

    assert asked().stop == means


def test_a_refusal_is_counted_apart_from_an_answer(asked, api):
    api.completion(None, message={"refusal": "I cannot help with that."})
    reply = asked()

    assert (reply.text, reply.stop) == ("I cannot help with that.", "refusal")


@every_row("status", [408, 409, 429, 500, 503])
def test_trouble_that_passes_is_worth_another_request(asked, api, status):
    api.requests.clear()
    api.error(status, "trouble", retry_after="7")
    with pytest.raises(RetryableError, match=str(status)) as caught:
        asked()
    assert (caught.value.retry_after, caught.value.limited) == (7.0, status in (429, 503))
    assert len(api.requests) == 1


@every_row("status", [401, 402, 403, 404])
def test_what_every_request_will_meet_rejects_the_provider(asked, api, status):
    api.error(status, "never")
    with pytest.raises(ProviderRejected, match=f"{status} .*never"):
        asked()


def test_an_account_without_money_rejects_the_provider_although_its_status_is_a_limit(asked, api):
    error = {"message": "You exceeded your quota", "code": "insufficient_quota", "type": "x"}
    api.raw(json.dumps({"error": error}).encode(), 429)
    with pytest.raises(ProviderRejected, match="quota"):
        asked()


def test_a_quota_for_the_day_rejects_the_provider_since_no_waiting_lifts_it(asked, api):
    error = {"message": "Rate limit reached for m on requests per day (RPD)", "code": "rate_limit"}
    api.raw(json.dumps({"error": error}).encode(), 429, **{"retry-after": "7200"})
    with pytest.raises(ProviderRejected, match="per day"):
        asked()


@every_row(
    ("body", "told"),
    [
        (b'{"detail": "no"}', '{"detail": "no"}'),
        (b'{"error": "no"}', "no"),
        (b"no", "no"),
        (b"[1]", "[1]"),
        (b"", ""),
    ],
)
def test_an_error_in_another_shape_is_shown_as_it_came(asked, api, body, told):
    api.raw(body, 400)
    with pytest.raises(RequestRejected) as caught:
        asked()
    assert str(caught.value) == f"400 {told}"


@every_row("status", [400, 413, 422])
def test_a_wrong_request_is_refused_alone(asked, api, status):
    api.error(status, "invalid_request_error")
    with pytest.raises(RequestRejected) as caught:
        asked()
    assert not isinstance(caught.value, ProviderRejected)


def test_a_lost_connection_is_worth_another_request(asked, api):
    api.reset()
    with pytest.raises(RetryableError, match="no connection"):
        asked()


@every_row(
    "body",
    [
        *(b'{"id": "chat-1", "choi', b"", b"{}", b"[]", b"null", b'{"choices": []}'),
        b'{"choices": [{"finish_reason": null, "message": {"content": null}}]}',
    ],
)
def test_a_body_that_is_no_completion_is_worth_another_request(asked, api, body):
    api.raw(body)
    with pytest.raises(RetryableError, match="the body"):
        asked()


@every_row("url", ["localhost/v1", "http://a..b/v1", f"http://{'a' * 70}.example/v1"])
def test_what_is_no_address_rejects_the_provider(asked, url):
    with pytest.raises(ProviderRejected, match=re.escape(f"nothing can be sent to {url}: ")):
        asked(base_url=url)


def test_what_is_left_of_a_rate_limit_is_handed_on(made, api):
    left = {"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "2s"}

    async def ask():
        provider = open_openai([made()], ENVIRON)
        await provider.generate(made())
        await provider.close()
        return provider.rate_limit_headers

    api.completion()
    api.queued[0].headers.update(left)
    assert left.items() <= dict(asyncio.run(ask())).items()


def test_the_account_that_pays_is_named_at_openai_alone(made, api):
    account = {"OPENAI_ORG_ID": "org-1", "OPENAI_PROJECT_ID": "proj-1"}
    home = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{api.url}/v1"}
    together([made(api_key_env=None, base_url=None)], account | home)
    together([made()], account | ENVIRON)

    names = ("openai-organization", "openai-project")
    told = [[headers.get(name) for name in names] for headers in api.headers]
    assert told == [["org-1", "proj-1"], [None, None]]


def test_the_key_goes_where_the_request_says(asked, api):
    asked()

    assert api.headers[0]["authorization"] == f"Bearer {KEY}"


def test_openais_own_key_never_goes_to_an_address_that_a_suite_names(made, api):
    together([made(api_key_env=None)], {"OPENAI_API_KEY": KEY})

    assert KEY not in api.headers[0].get("authorization", "")


def test_a_key_that_is_not_set_is_named(made):
    with pytest.raises(ConfigurationError, match="the key of m is missing: set TEAM_KEY"):
        open_openai([made()], {})


# What the server says of its models --------------------------------------------------------------


def test_the_parent_and_the_root_of_an_adapter_are_kept_and_asked_for_once(made, api):
    rows = [{"id": "base", "root": "org/base"}, {"id": "m", "parent": "base", "root": "/lora/m"}]
    api.pages["/v1/models"] = {"object": "list", "data": rows}
    replies = together([made("a"), made("b")])

    assert [reply.facts for reply in replies] == [{"parent": "base", "root": "/lora/m"}] * 2
    assert api.paths.count("/v1/models") == 1


def test_the_digest_behind_a_tag_is_kept(asked, api):
    api.pages["/v1/models"] = {"data": [{"id": "m:latest", "owned_by": "library"}]}
    api.pages["/api/tags"] = {"models": [{"name": "m:latest", "digest": "abc123"}]}

    assert asked().facts == {"digest": "abc123"}


def test_the_day_on_which_a_model_is_shut_down_is_kept(asked, api):
    api.pages["/v1/models"] = {"data": [{"id": "m", "root": "r", "shutdown_date": "2027-01-14"}]}

    assert asked().facts == {"root": "r", "retires": "2027-01-14"}


@every_row("page", [None, [], {"data": None}, {"data": [{}]}, "no"])
def test_a_server_that_lists_no_models_answers_all_the_same(asked, api, page):
    api.pages["/v1/models"] = page

    assert (asked().text, asked().facts) == ("ok", {})
