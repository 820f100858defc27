"""What a server sends is read within limits: sizes, nesting, numbers, redirects."""

from __future__ import annotations

import asyncio
import gzip
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ProviderRejected, RequestRejected, RetryableError
from pytest_ftgate.providers import http
from pytest_ftgate.providers.anthropic import open_anthropic
from pytest_ftgate.providers.http import load_json, token_count
from pytest_ftgate.providers.openai import open_openai

OPENERS = {"openai-compatible": open_openai, "anthropic": open_anthropic}
LIMIT = 100_000
MESSAGE = {"role": "assistant", "content": "hello"}
COMPLETION = {"model": "m", "choices": [{"finish_reason": "stop", "message": MESSAGE}]}
SAID = {"id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn"}
SAID |= {"content": [{"type": "text", "text": "hello"}], "usage": {}}
BODIES = {"openai-compatible": COMPLETION, "anthropic": SAID}


@pytest.fixture(params=OPENERS)
def answer(request, call, monkeypatch):
    """Return the reply, or the error, that comes of a response of a server."""
    monkeypatch.setattr(http, "MAX_BODY", LIMIT)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    response: dict[str, object] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(response["status"])
            for name, value in response["headers"].items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(response["body"])

        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *arguments) -> None:
            """Be silent."""

    def ask(body, status=200, **headers):
        response.update(body=body, status=status, headers=headers)
        sent = call(provider=request.param, model="m", base_url=url, api_key_env="")

        async def generate():
            provider = OPENERS[request.param]([sent], {})
            try:
                return await provider.generate(sent)
            finally:
                await provider.close()

        return asyncio.run(generate())

    ask.body = BODIES[request.param]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield ask
    server.shutdown()
    thread.join()
    server.server_close()


@every_row("status", [200, 400, 500])
@every_row("packed", [False, True])
def test_a_body_that_is_too_large_is_an_error_once_it_is(answer, packed, status):
    body = b" " * (3 * LIMIT)
    headers = {"content-encoding": "gzip"} if packed else {}

    with pytest.raises(RequestRejected, match="the body of the reply is larger than"):
        answer(gzip.compress(body) if packed else body, status, **headers)


@every_row("packed", [False, True])
def test_a_body_within_the_limit_is_read(answer, packed):
    body = json.dumps(answer.body).encode()
    headers = {"content-encoding": "gzip"} if packed else {}

    assert answer(gzip.compress(body) if packed else body, **headers).text == "hello"


@every_row("body", [b"[" * 50_000, b'{"a": ' * 15_000, b"1" * 5_000])
def test_a_body_that_no_parser_takes_is_an_error(answer, body):
    with pytest.raises(RetryableError):
        answer(body)


def test_a_redirect_is_an_error_that_names_the_address(answer):
    with pytest.raises(ProviderRejected, match=r"redirects to http://elsewhere.example/v1, where"):
        answer(b"", 307, location="http://user:pw@elsewhere.example/v1?key=1")


def test_a_redirect_to_nowhere_says_so(answer):
    with pytest.raises(ProviderRejected, match="redirects, but says not where; check base_url"):
        answer(b"", 302)


@every_row("value", [-1, 10**30, "12", 1.5e300, None, [], {}])
def test_a_count_that_tokens_cannot_have_is_none(value):
    assert token_count(value) == 0
    assert token_count(12) == 12


def test_deep_json_is_a_value_error():
    with pytest.raises(ValueError, match="nested too deeply"):
        load_json(b"[" * 100_000)
