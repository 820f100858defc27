"""Servers that do not do what was asked of them: each has its own words in the report, no pass."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from ftgate_testing.chat_server import Said, chat_server

LABEL = '{"type": "object", "properties": {"label": {"enum": ["billing", "refund"]}}, '
LABEL += '"required": ["label"], "additionalProperties": false}'

ASKED, LABELS = ("the invoice", "my money back"), ("billing", "refund")

SUITE = f"""\
cases: tickets.cases.jsonl
reply: {{format: {{json_schema: {LABEL}}}, score: contains}}
variants:
  current:
    {{provider: openai-compatible, base_url_env: SERVER, model: honest, response_schema: true}}
  VARIANT
gates: {{accuracy: {{min: 0.5, max_drop: 0.2}}, format: {{min: 0.5}}}}
"""


def answer(request):
    """Answer rightly where a ticket is asked about, by the model's own manner."""
    asked = request["messages"][-1]["content"]
    right = json.dumps({"label": "refund" if "money" in asked else "billing"})
    match request["model"]:
        case "prose":
            return Said(f"I think that the label should be {right}.")
        case "stand-in":
            return Said(right, model="something-smaller")
        case "prude":
            return Said("", stop="content_filter")
        case "mute":
            return Said(right[:12], stop="length")
        case _:
            return Said(right if "icket" in asked else f"A long answer to: {asked}")


@pytest.fixture
def judged(desk, monkeypatch):
    """Judge one variant of the suite, and return what the run came to and what it printed."""

    def judge(keys: str, models=None):
        rows = [
            {"id": f"t{n}", "input": f"Ticket {n}: {ASKED[n % 2]}", "expected": LABELS[n % 2]}
            for n in range(20)
        ]
        desk.write_rows("tickets.cases.jsonl", rows)
        text = SUITE.replace("VARIANT", f"tested: {{like: current, {keys}}}")
        desk.path("tickets.ftgate.yaml").write_text(text, "utf-8")
        with chat_server(answer, models) as server:
            monkeypatch.setenv("SERVER", server.url)
            result = desk.run("-vv")
        # Lines are wrapped at the width of the terminal.
        return result, " ".join(result.stdout.str().split())

    return judge


@pytest.mark.parametrize(
    "keys", ["temperature: 0", "model: stand-in, served_model: something-smaller"]
)
def test_the_model_that_is_declared_as_served_is_what_it_claims(judged, keys):
    result, _ = judged(keys)

    result.assert_outcomes(passed=4)


@pytest.mark.parametrize(
    ("keys", "listed", "told"),
    [
        ("model: tuned, base: honest", None, "the fine-tune answers like its base"),
        ("model: prose", None, "the schema is broken in 20 of 20 whole replies"),
        (
            "model: tuned, base: honest",
            [{"id": "tuned", "parent": "something-else", "root": "/lora/tuned"}],
            "the server lists something-else as its parent, declared base honest",
        ),
    ],
    ids=["ignores-the-adapter", "ignores-the-schema", "another-parent"],
)
def test_a_variant_that_is_not_what_it_claims_is_invalid_with_its_reason(
    judged, keys, listed, told
):
    result, printed = judged(keys, listed)

    assert result.parseoutcomes() == {"passed": 2, "invalid": 2}
    assert f"INVALID: not what it claims to be {told}" in printed


@pytest.mark.parametrize(
    ("model", "kind", "told"),
    [("prude", "refusal", "refused"), ("mute", "truncated", "cut off by max_tokens")],
)
def test_what_a_server_withholds_is_wrong_and_shown_apart(judged, model, kind, told):
    result, printed = judged(f"model: {model}")

    result.assert_outcomes(passed=2, failed=2)
    assert f"20 of 20 replies were {told}" in printed
    assert f"{kind} 0 % (0 to 16) 100 % (84 to 100) 20" in printed


def test_a_web_page_before_the_first_reply_is_asked_again_and_a_second_one_is_not(desk):
    pages = [b"<html>the proxy starts</html>"]
    desk.cases = 12

    def starting(request):
        asked.append(request["messages"][-1]["content"])
        number = int(asked[-1].split()[1].strip(":"))
        return pages.pop() if pages else Said(LABELS[number % 2])

    asked = []
    with chat_server(starting) as server:
        address = f'provider: openai-compatible, model: m, base_url: "{server.url}/v1"'
        desk.suite_of({"current": f"{{{address}}}"}, "{accuracy: {min: 0.5}}")
        once = desk.run("--ftgate-concurrency=1")
        first = len(asked)
        pages[:] = [b"<html>Sign in</html>"] * 100
        always = desk.run("--ftgate-concurrency=1", "--ftgate-replies=fresh")

    assert (once.ret, first) == (0, 13)
    assert (always.ret, max(Counter(asked[first:]).values())) == (1, 2)
    printed = " ".join(always.stdout.str().split())
    assert "answered with a web page, not with a reply of m; correct base_url" in printed
