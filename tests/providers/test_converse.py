"""Models at Bedrock through the Converse API, on loopback by boto3 itself."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from pytest_ftgate.errors import (
    ConfigurationError,
    ProviderRejected,
    RequestRejected,
    RetryableError,
)
from pytest_ftgate.providers.api import REPLY_TOOL
from pytest_ftgate.providers.converse import open_converse
from pytest_ftgate.requests.request import Request, Step, Tool, ToolCall

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


class Api:
    """The server: what it answers next, and what it was asked."""

    def __init__(self):
        self.answers, self.asked, self.paths, self.headers = [], [], [], {}
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                length = int(self.headers["content-length"])
                api.asked.append(json.loads(self.rfile.read(length)))
                api.paths.append(self.path)
                api.headers = dict(self.headers)
                status, headers, body = api.answers.pop(0)
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"content-type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def will(self, body, status=200, **headers):
        self.answers.append((status, headers, body))


@contextmanager
def serving():
    api = Api()
    Thread(target=api.server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield api
    finally:
        api.server.shutdown()
        api.server.server_close()


@pytest.fixture
def api(monkeypatch):
    for name in ("AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.delenv(name, raising=False)
    # boto3 sends a bearer token to no address without TLS.
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    with serving() as running:
        yield running


def request(api, **more):
    plain = Request(
        fingerprint="f",
        provider="bedrock-converse",
        model="us.amazon.nova-lite-v1:0",
        messages=(("system", "Answer with a label."), ("user", "My parcel is late.")),
        max_tokens=16,
        sampling={},
        base_url=api.url,
    )
    return replace(plain, **more)


def asked(one):
    async def run():
        provider = open_converse([one], {})
        try:
            return await provider.generate(one)
        finally:
            await provider.close()

    return asyncio.run(run())


def test_a_reply_is_read_with_its_tokens(api):
    api.will(message({"text": "late_delivery"}))

    reply = asked(request(api))

    assert (reply.text, reply.stop) == ("late_delivery", "end")
    assert (reply.usage["input"], reply.usage["output"]) == (12, 3)


def test_the_request_is_what_the_api_takes(api):
    api.will(message({"text": "x"}))

    asked(request(api, sampling={"temperature": 0, "stop": ["#"]}, extra={"topK": 1}))

    assert api.paths == ["/model/us.amazon.nova-lite-v1%3A0/converse"]
    assert api.asked == [
        {
            "messages": [{"role": "user", "content": [{"text": "My parcel is late."}]}],
            "system": [{"text": "Answer with a label."}],
            "inferenceConfig": {"maxTokens": 16, "temperature": 0, "stopSequences": ["#"]},
            "additionalModelRequestFields": {"topK": 1},
        }
    ]
    assert api.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=an-id/")


def test_a_deployment_is_asked_in_its_own_region(api, monkeypatch):
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    api.will(message({"text": "x"}))

    assert asked(request(api, model=ARN)).text == "x"
    assert "custom-model-deployment" in api.paths[0]


def test_a_schema_is_held_by_a_tool_that_must_be_called(api):
    api.will(message({"text": "x"}))

    asked(request(api, constraint={"json_schema": SCHEMA}))

    config = api.asked[0]["toolConfig"]
    assert config["tools"][0]["toolSpec"]["inputSchema"] == {"json": SCHEMA}
    assert config["toolChoice"] == {"tool": {"name": config["tools"][0]["toolSpec"]["name"]}}


def test_what_the_forced_tool_is_given_is_the_reply(api):
    use = {"toolUseId": "1", "name": REPLY_TOOL, "input": {"label": "refund"}}
    api.will(message({"toolUse": use}, stop="tool_use"))

    reply = asked(request(api, constraint={"json_schema": SCHEMA}))

    assert (json.loads(reply.text), reply.stop, reply.steps) == ({"label": "refund"}, "end", ())


def test_a_tool_call_comes_back_with_its_result(api):
    tool = Tool(name="find", description="Find it.", parameters=SCHEMA, reference="m:find")
    use = {"toolUseId": "1", "name": "find", "input": {"label": "a"}}
    api.will(message({"text": "Wait."}, {"toolUse": use}, stop="tool_use"))
    one = request(api, tools=(tool,), max_turns=3)

    (step,) = asked(one).steps
    api.will(message({"text": "found"}))
    done = Step(step.text, tuple(replace(call, result="7") for call in step.calls), step.blocks)
    reply = asked(replace(one, steps=(done,)))

    assert step == Step("Wait.", (ToolCall(name="find", arguments={"label": "a"}, id="1"),))
    assert api.asked[1]["messages"][1:] == [
        {"role": "assistant", "content": [{"text": "Wait."}, {"toolUse": use}]},
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "1", "content": [{"text": "7"}], "status": "success"}}
            ],
        },
    ]
    assert reply.text == "found"


def test_a_thought_is_kept_apart(api):
    thought = {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "s"}}}
    api.will(message(thought, {"text": "refund"}))

    reply = asked(request(api))

    assert (reply.text, reply.thought) == ("refund", "Hm.")


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (429, "ThrottlingException", RetryableError),
        (503, "ServiceUnavailableException", RetryableError),
        (500, "InternalServerException", RetryableError),
        (400, "ValidationException", RequestRejected),
        (403, "AccessDeniedException", ProviderRejected),
        (404, "ResourceNotFoundException", ProviderRejected),
    ],
)
def test_an_error_ends_the_request_or_the_model_or_is_retried(api, status, kind, error):
    api.will({"message": "The server says so."}, status, **{"x-amzn-errortype": kind})

    with pytest.raises(error, match=f"{status} The server says so"):
        asked(request(api))

    assert len(api.asked) == 1


def test_a_web_page_in_place_of_a_reply_is_a_wrong_address(api):
    api.will(b"<html>Sign in</html>", **{"content-type": "text/html; charset=utf-8"})

    told = f"^{api.url} answered with a web page, not with a reply of us.amazon.nova-lite-v1:0; "
    with pytest.raises(ProviderRejected, match=f"{told}correct base_url$"):
        asked(request(api))


def test_a_redirect_is_not_followed(api):
    api.will({}, 302, location="http://127.0.0.1:9/elsewhere")

    with pytest.raises(ProviderRejected, match=r"redirects to http://127.0.0.1:9/elsewhere"):
        asked(request(api))

    assert len(api.asked) == 1


def test_a_connection_that_is_refused_names_the_address(api):
    api.server.shutdown()
    api.server.server_close()

    with pytest.raises(RetryableError, match=f"no reply from {api.url}"):
        asked(request(api))


def test_without_credentials_it_says_what_to_set(api, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    api.will(message({"text": "x"}))

    with pytest.raises(ProviderRejected, match="set AWS_REGION, and AWS_BEARER_TOKEN_BEDROCK"):
        asked(request(api))


def test_without_a_region_it_says_what_to_set(api, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))

    with pytest.raises(ConfigurationError, match="set AWS_REGION"):
        asked(request(api, base_url=None))
