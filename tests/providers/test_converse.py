"""Models at Bedrock through the Converse API, on loopback by boto3 itself."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from ftgate_testing.asking import ask_all
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import (
    ConfigurationError,
    ProviderRejected,
    RequestRejected,
    RetryableError,
)
from pytest_ftgate.providers.api import REPLY_TOOL
from pytest_ftgate.providers.converse import open_converse
from pytest_ftgate.requests.request import Step, Tool, ToolCall

ARN = "arn:aws:bedrock:us-west-2:123456789012:custom-model-deployment/abc"
SCHEMA = {"type": "object", "properties": {"label": {"type": "string"}}, "required": ["label"]}
USAGE = {"inputTokens": 12, "outputTokens": 3, "totalTokens": 15}


def message(*blocks, stop="end_turn"):
    return {
        "output": {"message": {"role": "assistant", "content": list(blocks)}},
        "stopReason": stop,
        "usage": USAGE,
        "metrics": {"latencyMs": 1},
    }


@pytest.fixture(autouse=True)
def credentials(monkeypatch):
    # boto3 sends a bearer token to no address without TLS.
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")


@pytest.fixture
def will(api):
    """Queue an answer of the server."""

    def queue(body, status=200, **headers):
        api.raw(json.dumps(body).encode(), status, **headers)

    return queue


@pytest.fixture
def asked(call, api):
    turns = (("system", "Answer with a label."), ("user", "My parcel is late."))
    plain = {"provider": "bedrock-converse", "model": "us.amazon.nova-lite-v1:0", "messages": turns}
    plain["base_url"] = api.url
    return lambda **more: ask_all(open_converse, [call(**{**plain, **more})], {})[0]


def test_a_reply_is_read_with_its_tokens(will, asked):
    will(message({"text": "late_delivery"}))

    reply = asked()

    assert (reply.text, reply.stop) == ("late_delivery", "end")
    assert (reply.usage["input"], reply.usage["output"]) == (12, 3)


def test_the_request_is_what_the_api_takes(will, asked, api):
    will(message({"text": "x"}))

    asked(sampling={"temperature": 0, "stop": ["#"]}, extra={"topK": 1})

    assert api.paths == ["/model/us.amazon.nova-lite-v1%3A0/converse"]
    assert api.requests == [
        {
            "messages": [{"role": "user", "content": [{"text": "My parcel is late."}]}],
            "system": [{"text": "Answer with a label."}],
            "inferenceConfig": {"maxTokens": 16, "temperature": 0, "stopSequences": ["#"]},
            "additionalModelRequestFields": {"topK": 1},
        }
    ]
    assert api.headers[0]["authorization"].startswith("AWS4-HMAC-SHA256 Credential=an-id/")


def test_a_deployment_is_asked_in_its_own_region(will, asked, api, monkeypatch):
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    will(message({"text": "x"}))

    assert asked(model=ARN).text == "x"
    assert "custom-model-deployment" in api.paths[0]


def test_a_schema_is_held_by_a_tool_that_must_be_called_and_is_given_the_reply(will, asked, api):
    use = {"toolUseId": "1", "name": REPLY_TOOL, "input": {"label": "refund"}}
    will(message({"toolUse": use}, stop="tool_use"))

    reply = asked(constraint={"json_schema": SCHEMA})

    config = api.requests[0]["toolConfig"]
    assert config["tools"][0]["toolSpec"]["inputSchema"] == {"json": SCHEMA}
    assert config["toolChoice"] == {"tool": {"name": REPLY_TOOL}}
    assert (json.loads(reply.text), reply.stop, reply.steps) == ({"label": "refund"}, "end", ())


def test_a_tool_call_comes_back_with_its_result(will, asked, api):
    tool = Tool(name="find", description="Find it.", parameters=SCHEMA, reference="m:find")
    use = {"toolUseId": "1", "name": "find", "input": {"label": "a"}}
    will(message({"text": "Wait."}, {"toolUse": use}, stop="tool_use"))
    more = {"tools": (tool,), "max_turns": 3}

    (step,) = asked(**more).steps
    will(message({"text": "found"}))
    done = Step(step.text, tuple(replace(call, result="7") for call in step.calls), step.blocks)
    reply = asked(**more, steps=(done,))

    assert step == Step("Wait.", (ToolCall(name="find", arguments={"label": "a"}, id="1"),))
    result = {"toolUseId": "1", "content": [{"text": "7"}], "status": "success"}
    assert api.requests[1]["messages"][1:] == [
        {"role": "assistant", "content": [{"text": "Wait."}, {"toolUse": use}]},
        {"role": "user", "content": [{"toolResult": result}]},
    ]
    assert reply.text == "found"


def test_a_thought_is_kept_apart(will, asked):
    thought = {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "s"}}}
    will(message(thought, {"text": "refund"}))

    reply = asked()

    assert (reply.text, reply.thought) == ("refund", "Hm.")


@every_row(
    ("status", "kind", "error"),
    [
        (429, "ThrottlingException", RetryableError),
        (400, "ValidationException", RequestRejected),
        (403, "AccessDeniedException", ProviderRejected),
    ],
)
def test_an_error_ends_the_request_or_the_model_or_is_retried(
    asked, api, will, status, kind, error
):
    api.requests.clear()
    will({"message": "The server says so."}, status, **{"x-amzn-errortype": kind})

    with pytest.raises(error, match=f"{status} The server says so"):
        asked()
    assert len(api.requests) == 1


def test_a_web_page_in_place_of_a_reply_is_a_wrong_address(asked, api):
    api.raw(b"<html>Sign in</html>", **{"content-type": "text/html; charset=utf-8"})

    told = f"^{api.url} answered with a web page, not with a reply of us.amazon.nova-lite-v1:0; "
    with pytest.raises(RetryableError) as page:
        asked()
    assert re.match(f"{told}correct base_url$", str(page.value.rejection))


def test_a_redirect_is_not_followed(will, asked, api):
    will({}, 302, location="http://127.0.0.1:9/elsewhere")

    with pytest.raises(ProviderRejected, match=r"redirects to http://127.0.0.1:9/elsewhere"):
        asked()

    assert len(api.requests) == 1


def test_a_connection_that_is_refused_names_the_address(asked):
    with pytest.raises(RetryableError, match=r"no reply from http://127\.0\.0\.1:9"):
        asked(base_url="http://127.0.0.1:9")


def test_without_credentials_it_says_what_to_set(will, asked, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    will(message({"text": "x"}))

    with pytest.raises(ProviderRejected, match="set AWS_REGION, and AWS_BEARER_TOKEN_BEDROCK"):
        asked()


def test_without_a_region_it_says_what_to_set(asked, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))

    with pytest.raises(ConfigurationError, match="set AWS_REGION"):
        asked(base_url=None)
