"""A key in the environment goes to the declared server, and is nowhere after the run."""

from __future__ import annotations

import json
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest
from ftgate_testing.canary import command_lines, contents

KEY = "sk-canary-0123456789"
FORMS = [KEY, KEY[::-1], b64encode(f"Bearer {KEY}".encode()).decode()]
VARIANT = "{{provider: {}, model: m, base_url: '{}', api_key_env: CANARY}}"
GATES = "{accuracy: {min: 0.5}, format: {min: 0.5}}"
REPORTS = [f"--ftgate-{kind}=r.{kind}" for kind in ("html", "json", "markdown")]


class _Echo(BaseHTTPRequestHandler):
    """Repeats the key that it got, in the text of a reply or of an error."""

    protocol_version = "HTTP/1.1"
    #: The headers of all requests.
    seen: ClassVar[list[str]] = []
    #: The command lines of the processes that are there while the first one is sent.
    processes: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        self.seen.append(str(self.headers).lower())
        if len(self.seen) == 1:
            self.processes += command_lines()
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        sent = self.headers["authorization"] or f"Bearer {self.headers['x-api-key']}"
        key = sent.removeprefix("Bearer ")
        told = f"plain {key}, reversed {key[::-1]}, base64 {b64encode(sent.encode()).decode()}"
        if "Ticket 7:" in body:
            self.give(400, {"error": {"message": told}})
        elif self.path.endswith("/messages"):
            usage = {"input_tokens": 1, "output_tokens": 1}
            reply = {"id": "m", "type": "message", "role": "assistant", "model": "m"}
            content = [{"type": "text", "text": told}]
            self.give(200, {**reply, "content": content, "stop_reason": "end_turn", "usage": usage})
        else:
            message = {"role": "assistant", "content": told, "reasoning_content": told}
            choices = [{"finish_reason": "stop", "message": message}]
            self.give(200, {"id": told, "model": "m", "choices": choices})

    def do_GET(self) -> None:
        self.give(404, {})

    def give(self, status, body) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("x-request-id", self.headers["authorization"] or "")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments) -> None:
        """Be silent."""


@pytest.fixture
def echo():
    _Echo.seen.clear()
    _Echo.processes.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def canary(desk, monkeypatch, echo):
    monkeypatch.setenv("CANARY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    desk.pytester.makeini("[pytest]\nftgate_keys = CANARY@127.0.0.1\n")
    both = {
        "chat": VARIANT.format("openai-compatible", f"{echo}/v1"),
        "messages": VARIANT.format("anthropic", echo),
    }
    desk.suite_of(both, GATES)
    return desk


def test_a_key_that_the_server_repeats_is_in_no_file_and_no_log(canary, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(canary.path("summary.md")))

    result = canary.run("-vv", *REPORTS)

    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(["*plain ?CANARY?, reversed ?CANARY?, base64 *?CANARY?*"])
    printed = result.stdout.str() + result.stderr.str()
    assert [form for form in FORMS if form in printed] == []
    names, found = set(), []
    for path in filter(Path.is_file, canary.pytester.path.rglob("*")):
        names.add(path.name)
        for content in contents(path):
            found += [(path.name, form) for form in FORMS if form.encode() in content]
    assert {"cache.sqlite", "junit.xml", "r.html", "r.json", "r.markdown", "summary.md"} <= names
    assert found == []
    assert [line for line in _Echo.processes if KEY.encode() in line] == []
    assert _Echo.processes or not Path("/proc/self").exists()


def test_without_a_line_in_the_configuration_nothing_is_sent(canary):
    canary.pytester.makeini("[pytest]\n")

    result = canary.run("-vv")

    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines(["*CANARY would go to 127.0.0.1:*, which the configuration does *"])
    result.stdout.fnmatch_lines(["*ftgate_keys = CANARY@127.0.0.1:*"])
    result.stdout.fnmatch_lines(["BLOCKED *"])


def test_the_path_of_an_address_in_the_environment_is_in_no_report(desk, monkeypatch, echo):
    monkeypatch.setenv("HOOK", f"{echo}/services/T0/path-canary")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    desk.suite_of({"hook": "{provider: openai-compatible, model: m, base_url_env: HOOK}"}, GATES)

    result = desk.run("-vv", *REPORTS)

    assert f"{echo}/…" in str(json.loads(desk.path("r.json").read_text("utf-8")))
    printed = result.stdout.str() + result.stderr.str()
    assert "path-canary" not in printed
    for kind in ("html", "json", "markdown"):
        assert "path-canary" not in desk.path(f"r.{kind}").read_text("utf-8")


def test_in_safe_mode_a_variable_for_an_address_is_one_that_the_configuration_names(desk):
    desk.suite_of({"hook": "{provider: openai-compatible, model: m, base_url_env: HOOK}"}, GATES)
    told = "*base_url_env: HOOK is no address that ftgate_keys names, as KEY@$HOOK; --ftgate-safe*"

    desk.run("--ftgate-safe").stdout.fnmatch_lines([told])
    desk.pytester.makeini("[pytest]\nftgate_keys = KEY@$HOOK\n")
    desk.run("--ftgate-safe").stdout.no_fnmatch_line(told)


def test_headers_of_the_environment_go_to_no_address_that_a_suite_names(canary, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "X-Gateway: open-sesame\nX-Other: 1")
    monkeypatch.setenv("OPENAI_ORG_ID", "open-sesame")

    canary.run()

    assert len(_Echo.seen) == 200
    assert [headers for headers in _Echo.seen if "open-sesame" in headers] == []


def test_the_plan_shows_which_key_goes_where(canary):
    result = canary.run("--ftgate-plan")

    result.stdout.fnmatch_lines(["  key: CANARY goes to 127.0.0.1:* (chat, messages)"])


def test_safe_mode_sends_nothing_unless_it_is_said(canary):
    result = canary.run("--ftgate-safe")

    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines(["ftgate: replies recorded, safe mode, cache *"])
