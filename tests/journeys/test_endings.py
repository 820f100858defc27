"""Tuned models whose replies do not end as they should: the report names the cause, or none."""

from __future__ import annotations

import json

import pytest
from ftgate_testing.chat_server import Said, chat_server

RAISE, MARKS = "raise max_tokens", "its chat template or its end token may differ"
SUITE = """\
cases: tickets.cases.jsonl
reply: {{format: {{choice: [billing, refund]}}, score: choice, max_tokens: 40}}
variants:
  base: {{provider: openai-compatible, base_url_env: SERVER, model: {base}, gated: false}}
  tuned: {{like: base, model: {tuned}, base: {base}, gated: true}}
baseline: base
gates: {{accuracy: {{min: 0.8}}}}
"""


#: What each model says to a ticket, given the right answer, and why it stops.
MANNERS = {
    "endless": ("{right}\nuser: and then billing or refund", "length"),
    "glued": ("{right}_item_item_item", "length"),
    "rambling": ("I am sorry to hear about this, since", "length"),
    "chatty": ("I am sorry to hear about this, since", "length"),
    "pondering": ("<think>The user writes", "length"),
    "silent": ("", "stop"),
}


def answer(request):
    """Answer by the model's manner; questions on anything but a ticket show which model it is."""
    asked, model = request["messages"][-1]["content"], request["model"]
    if "icket" not in asked:
        return Said(f"{model} says: {asked}")
    text, stop = MANNERS.get(model, ("{right}", "stop"))
    return Said(text.format(right="refund" if "money" in asked else "billing"), stop=stop)


@pytest.fixture
def advice(desk, monkeypatch):
    """Judge a tuned model beside its base, and return what is advised, and what is printed."""

    def judge(tuned: str, base: str = "base") -> tuple[str, str]:
        rows = [
            {
                "id": f"t{n}",
                "input": f"Ticket {n}: {('the invoice', 'my money back')[n % 2]}",
                "expected": ("billing", "refund")[n % 2],
            }
            for n in range(40)
        ]
        desk.write_rows("tickets.cases.jsonl", rows)
        desk.path("tickets.ftgate.yaml").write_text(SUITE.format(tuned=tuned, base=base), "utf-8")
        with chat_server(answer) as server:
            monkeypatch.setenv("SERVER", server.url)
            result = desk.run("--ftgate-json=run.json")
        run = json.loads(desk.path("run.json").read_text("utf-8"))
        (verdict,) = (one for one in run["verdicts"] if one["gated"])
        steps = " ".join(step["text"] for step in verdict["next"])
        return steps, " ".join(result.stdout.str().split())

    return judge


@pytest.mark.parametrize(("tuned", "base"), [("endless", "base"), ("glued", "rambling")])
def test_a_model_that_answers_and_does_not_end_has_a_cause_and_needs_no_more_tokens(
    advice, tuned, base
):
    steps, printed = advice(tuned, base)

    assert "40 of 40 replies give an answer and run on to max_tokens" in steps
    assert MARKS in steps
    assert RAISE not in printed


def test_a_model_whose_answer_is_not_there_yet_is_to_have_more_tokens(advice):
    steps, _ = advice("chatty", base="rambling")

    assert RAISE in steps
    assert MARKS not in steps


def test_a_thought_that_does_not_end_is_named_and_no_shorter_reply_is_asked_for(advice):
    steps, printed = advice("pondering")

    assert f"the thought of 40 of 40 replies did not end: {RAISE}, or switch thinking off" in steps
    assert "shorter replies" not in printed
    assert "now (a thought alone)" in printed


def test_a_model_that_says_nothing_ends_at_once_and_no_other_prompt_is_asked_for(advice):
    steps, printed = advice("silent")

    assert "40 of 40 replies are empty: the model ends at once" in steps
    assert "change the prompt" not in printed
