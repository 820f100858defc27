"""The divergence gate and the score margin at a real loopback server that answers as vLLM does."""

from __future__ import annotations

import json
from math import log
from typing import Any

import pytest
from ftgate_testing.chat_server import ChatServer, Said, chat_server
from ftgate_testing.tables import every_row

from pytest_ftgate import evaluate
from pytest_ftgate.errors import SuiteError

SUITE = """
cases: cases.jsonl
reply: {{format: {{choice: [refund, billing]}}, score: {score}}}
variants:
  tuned: {{provider: openai-compatible, base_url: "{url}/v1", model: tuned, base: base}}
gates: {{{gates}}}
"""
DIVERGENCE = "divergence: {max_kl: 0.05, prompts: cases}"
#: Enough for a limit.
CASES = 40


def token(text: str, share: float, **others: float) -> dict[str, Any]:
    """Return a token of a reply as servers send it."""
    top = {text: share} | others
    rows = [{"token": name, "logprob": log(value)} for name, value in top.items()]
    return {"token": text, "logprob": log(share), "top_logprobs": rows}


def prompt_row(text: str, share: float) -> dict[str, Any]:
    """Return a token of a prompt as vLLM sends it: itself first, then the likeliest."""
    ids = {"7": text, "8": "other"}
    values = {"7": share, "8": 1.0 - share}
    return {key: {"logprob": log(values[key]), "decoded_token": ids[key]} for key in ids}


def vllm(tuned_share: float):
    """Answer as a base that is sure of its words, and a tuned model that gives them this share."""

    def answer(request: dict[str, Any]) -> Said:
        share = {"base": 0.9, "tuned": tuned_share}[request["model"]]
        if "prompt_logprobs" in request:
            words = request["messages"][-1]["content"].split()
            texts = [words[0], *(f" {word}" for word in words[1:])]
            rows = [None, prompt_row("prompt", 0.5), *(prompt_row(text, share) for text in texts)]
            return Said("x", prompt_logprobs=rows)
        if request.get("logprobs"):
            return Said("refund", logprobs=[token("ref", 0.75, bill=0.25), token("und", 1.0)])
        question = request["messages"][-1]["content"]
        return Said(f"{request['model']} says {len(question)} words")

    return answer


def write(folder, server: ChatServer, **changes: str) -> str:
    labels = ("refund", "billing")
    rows = [{"input": f"ticket {'x' * n}", "expected": labels[n % 2]} for n in range(CASES)]
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    (folder / "cases.jsonl").write_text(text, "utf-8")
    keys = {"score": "choice", "gates": DIVERGENCE, "url": server.url} | changes
    (folder / "s.ftgate.yaml").write_text(SUITE.format(**keys), "utf-8")
    return str(folder / "s.ftgate.yaml")


@pytest.mark.slow
@every_row(
    "tuned_share, outcome, kl",
    [(0.9, "passed", 0.0), (0.5, "failed", 0.9 * log(0.9 / 0.5) + 0.1 * log(0.1 / 0.5))],
)
def test_a_server_with_prompt_logprobs_shows_the_divergence(tmp_path, tuned_share, outcome, kl):
    with chat_server(vllm(tuned_share)) as server:
        path = write(tmp_path, server)
        run = evaluate(path, rootdir=tmp_path)
        sent = len(server.requests)
        again = evaluate(path, rootdir=tmp_path)

    (verdict,) = run.verdicts
    assert len(server.requests) == sent
    assert again.verdicts[0].check == verdict.check
    assert verdict.outcome == outcome, str(run)
    assert (verdict.facts["model"], verdict.facts["served as"]) == ("tuned", "tuned")
    assert verdict.check.after == pytest.approx(kl, abs=1e-3)
    read = [request for request in server.requests if "prompt_logprobs" in request]
    assert {request["messages"][-1]["role"] for request in read} == {"assistant"}
    assert {request["continue_final_message"] for request in read} == {True}
    assert len(read) == 2 * verdict.check.n == 2 * CASES


ACCURACY = "accuracy: {min: 0.4, evidence: point}"


def test_a_server_with_logprobs_rates_labels_where_the_score_reads_them(tmp_path):
    with chat_server(vllm(0.5)) as server:
        evaluate(write(tmp_path, server, gates=ACCURACY), rootdir=tmp_path)
        assert not any("logprobs" in request for request in server.requests)
        run = evaluate(write(tmp_path, server, score="margin", gates=ACCURACY), rootdir=tmp_path)

    asked = [request for request in server.requests if request.get("logprobs")]
    assert {request["top_logprobs"] for request in asked} == {20}
    assert len(asked) == CASES
    assert run.verdicts[0].check.after == pytest.approx((0.75 + 0.25) / 2)


@pytest.mark.slow
@every_row(
    "changes, message",
    [
        ({}, "returns no log-probabilities of a given text (prompt_logprobs)"),
        ({}, "serve the model with vLLM, or write provider: transformers"),
        ({"score": "margin", "gates": ACCURACY}, "which score: margin reads; write score: choice"),
    ],
)
def test_a_server_without_log_probabilities_names_what_to_write(tmp_path, changes, message):
    def answer(request: dict[str, Any]) -> Said:
        return Said(f"{request['model']} says {request['messages'][-1]['content'][:9]}")

    with chat_server(answer) as server:
        run = evaluate(write(tmp_path, server, **changes), rootdir=tmp_path)

    assert message in str(run)


@every_row(
    "old, new, message",
    [
        ("openai-compatible", "anthropic", "score: margin reads log-probabilities, and provider"),
        ("choice: [refund, billing]", "lines: {max: 1}", "score: margin needs labels"),
    ],
)
def test_a_suite_whose_labels_cannot_be_rated_is_refused(tmp_path, old, new, message):
    path = write(tmp_path, ChatServer("http://127.0.0.1:9"), score="margin", gates=ACCURACY)
    suite = (tmp_path / "s.ftgate.yaml").read_text("utf-8")
    (tmp_path / "s.ftgate.yaml").write_text(suite.replace(old, new), "utf-8")

    with pytest.raises(SuiteError, match=message):
        evaluate(path, rootdir=tmp_path)
