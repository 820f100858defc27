"""Tuned models whose replies do not end as they should: the report names the cause."""

from __future__ import annotations

import json

from ftgate_testing.chat_server import Said, chat_server

SUITE = """\
cases: tickets.cases.jsonl
reply: {format: {choice: [billing, refund]}, score: choice, max_tokens: 40}
variants:
  base: {provider: openai-compatible, base_url_env: SERVER, model: base, gated: false}
  tuned: {like: base, model: tuned, base: base, gated: true}
baseline: base
gates: {accuracy: {min: 0.8}}
"""


def answer(request):
    """Answer rightly, the tuned model without an end; other questions show which model it is."""
    asked, model = request["messages"][-1]["content"], request["model"]
    if "icket" not in asked:
        return Said(f"{model} says: {asked}")
    right = "refund" if "money" in asked else "billing"
    if model == "base":
        return Said(right)
    return Said(f"{right}\nuser: and then billing or refund", stop="length")


def test_a_model_that_answers_and_does_not_end_has_a_cause_and_needs_no_more_tokens(
    desk, monkeypatch
):
    asked = ("the invoice", "my money back")
    rows = [
        {"id": f"t{n}", "input": f"Ticket {n}: {asked[n % 2]}", "expected": desk.label(n)}
        for n in range(40)
    ]
    desk.write_rows("tickets.cases.jsonl", rows)
    desk.path("tickets.ftgate.yaml").write_text(SUITE, "utf-8")
    with chat_server(answer) as server:
        monkeypatch.setenv("SERVER", server.url)
        result = desk.run("--ftgate-json=run.json")
    run = json.loads(desk.path("run.json").read_text("utf-8"))

    (verdict,) = (one for one in run["verdicts"] if one["gated"])
    steps = " ".join(step["text"] for step in verdict["next"])
    assert "40 of 40 replies give an answer and run on to max_tokens" in steps
    assert "its chat template or its end token may differ" in steps
    assert "raise max_tokens" not in " ".join(result.stdout.str().split())
