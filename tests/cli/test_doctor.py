"""The verb doctor."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ftgate_testing.answer_files import write_rows
from ftgate_testing.chat_server import Said, chat_server
from ftgate_testing.tables import every_row
from ftgate_testing.token_files import write_adapter, write_model, write_tokenizer
from genai_prices.data_snapshot import get_snapshot

from pytest_ftgate.providers import anthropic


@pytest.fixture
def server():
    with chat_server(lambda _: Said("refund"), models=[{"id": "base"}]) as running:
        yield running


@pytest.fixture
def desk(pytester, monkeypatch):
    """A folder with cases; returns a function that writes a suite with one variant."""
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    rows = [{"id": f"c{n}", "input": f"Ticket {n}", "expected": "refund"} for n in range(60)]
    write_rows(pytester.path / "s.cases.jsonl", rows)

    def write(variant, name="s.ftgate.yaml"):
        text = f"cases: s.cases.jsonl\nvariants: {{current: {variant}}}\n"
        (pytester.path / name).write_text(f"{text}gates: {{accuracy: {{min: 0.5}}}}\n", "utf-8")

    return write


def at(url, model, **more):
    return json.dumps({"provider": "openai-compatible", "model": model, "base_url": url, **more})


def test_a_suite_that_runs_here_is_ok_with_what_it_has_also_for_a_program(desk, server, run_verb):
    desk(at(server.url, "base"))

    code, printed = run_verb("doctor")
    found = json.loads(run_verb("doctor", "--json")[1])

    assert code == 0
    assert {one["level"] for one in found} == {"ok"}
    assert all({"level", "text", "remedy"} == one.keys() for one in found)
    assert "ok    s.ftgate.yaml: 60 cases, 1 gate" in printed
    assert f"ok    s.ftgate.yaml, current: {server.url} serves base" in printed


def test_a_server_with_another_model_fails_and_both_remedies_are_named(desk, server, run_verb):
    desk(at(server.url, "tickets-v7"))

    code, printed = run_verb("doctor")

    assert code == 1
    assert 'serves "base", not "tickets-v7"' in printed
    remedy = 'write model: "base", or start the server with the other; if both are names of one'
    assert f'{remedy} model, write served_model: "base"' in " ".join(printed.split())


@pytest.mark.parametrize("base", ["base", "other"])
def test_a_server_that_loads_an_adapter_has_to_serve_its_base(desk, server, run_verb, base):
    adapter = Path("adapter")
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 4, "lora_alpha": 8}')
    (adapter / "adapter_model.safetensors").write_bytes(bytes(8))
    desk(at(server.url, "tickets-v7", base=base, adapter="adapter"))

    code, printed = run_verb("doctor")

    assert code == (base != "base")
    said = {
        "base": f"{server.url} serves base, and the run loads the adapter",
        "other": 'serves "base", not "other" write base: "base", or start the server with',
    }
    assert said[base] in " ".join(printed.split())
    assert [request for request in server.requests if "model" in request] == []


def test_a_server_that_was_not_started_fails(desk, run_verb):
    desk(at("http://127.0.0.1:9/v1", "m"))

    code, printed = run_verb("doctor", "s.ftgate.yaml")

    assert code == 1
    assert "FAIL  s.ftgate.yaml, current: nothing usable at http://127.0.0.1:9/v1" in printed
    assert "start the server, or correct base_url" in printed


def test_a_key_is_named_and_never_shown(desk, run_verb, monkeypatch):
    desk("{provider: anthropic, model: claude-x}")

    missing = run_verb("doctor")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-canary")
    present = run_verb("doctor")

    assert "set ANTHROPIC_API_KEY" in missing[1]
    assert "ANTHROPIC_API_KEY is set for claude-x" in present[1]
    assert "sk-canary" not in present[1]


def test_errors_of_a_suite_and_a_near_miss_of_its_name_fail(desk, pytester, run_verb):
    desk("{provider: ollamma, model: x}")
    desk("{provider: anthropic, model: x}", name="other.ftgate.yml")

    code, printed = run_verb("doctor")

    assert code == 1
    assert "rename it to other.ftgate.yaml" in printed
    assert 's.ftgate.yaml:2: variant "current": unknown provider "ollamma"' in printed


def test_an_empty_folder_is_told_how_to_begin(pytester, run_verb):
    code, printed = run_verb("doctor")

    assert code == 0
    assert "no *.ftgate.yaml below" in printed
    assert "pytest-ftgate init" in printed


# A server of one's own ---------------------------------------------------------------------------


@pytest.fixture
def tuned(desk, api, pytester):
    """Write a suite whose model has an adapter at a server of llama.cpp; return its pages."""
    folder = pytester.mkdir("out")
    (folder / "a.gguf").write_text("GGUF")
    (folder / "adapter_config.json").write_text('{"r": 8}')
    (folder / "chat_template.jinja").write_text("<user>{{ messages[-1].content }}<assistant>")
    api.pages["/v1/models"] = {"data": [{"id": "base", "owned_by": "llamacpp"}]}
    desk(at(f"{api.url}/v1", "base", adapter="out/a.gguf", base="plain"))
    return api.pages


def test_a_server_with_another_chat_template_than_that_of_the_training_gets_a_warning(
    tuned, run_verb
):
    said = "[{}]"
    tuned["/apply-template"] = lambda body: {"prompt": said.format(body["messages"][-1]["content"])}

    code, printed = run_verb("doctor")

    assert code == 0
    assert 'another chat template: at the start the server writes "[Ticket 0]"' in printed
    assert "start the server with --chat-template-file out/" in " ".join(printed.split())
    said = "<user>{}<assistant>"
    assert "chat template" not in run_verb("doctor")[1]


SCHEMA = {"type": "object", "required": ["label"], "properties": {"label": {"enum": ["refund"]}}}


@pytest.mark.parametrize(("text", "level", "said"), [
    ('{"label": "refund"}', "ok", "holds response_schema"),
    ("The sea is blue.", "FAIL", 'does not hold response_schema: it answered "The sea is blue."'),
])  # fmt: skip
def test_a_server_here_is_tried_with_the_schema_of_the_suite(
    desk, api, run_verb, text, level, said
):
    Path("schema.json").write_text(json.dumps(SCHEMA))
    api.pages["/v1/models"] = {"data": [{"id": "base"}]}
    api.completion(text, model="base")
    desk(at(f"{api.url}/v1", "base", response_schema="schema.json"))

    printed = run_verb("doctor")[1]

    assert f"{level:<5} s.ftgate.yaml, current: {api.url}/v1 {said}" in printed
    (sent,) = api.requests
    assert sent["messages"] == [{"role": "user", "content": "Describe the sea in one sentence."}]


@every_row("model, days, told", [
    ("claude-a", 45, "warn s.ftgate.yaml, current: claude-a retires in 45 days, on {0}"),
    ("claude-a", -3, "warn s.ftgate.yaml, current: claude-a has retired, on {0}"),
    ("claude-a", 91, ""),
    ("claude-b", 45, ""),
])  # fmt: skip
def test_a_model_that_retires_soon_is_named_with_its_date(
    desk, run_verb, monkeypatch, model, days, told
):
    day = datetime.now(UTC).date() + timedelta(days=days)
    # As the SDK writes it.
    written = f"{day:%B} {day.day}th, {day.year}"
    monkeypatch.setattr(anthropic.sdk, "DEPRECATED_MODELS", {"claude-a": written})
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    desk(f"{{provider: anthropic, model: {model}}}")

    printed = run_verb("doctor")[1]

    assert ("retire" in printed) is bool(told)
    assert told.format(day) in " ".join(printed.split())


def test_a_model_that_the_price_list_calls_deprecated_is_named(desk, run_verb, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    (seller,) = (one for one in get_snapshot().providers if one.id == "anthropic")
    old = next(one.id for one in seller.models if not one.deprecated)
    desk(f"{{provider: anthropic, model: {old}}}")
    assert "deprecated" not in run_verb("doctor")[1]

    monkeypatch.setattr(next(m for m in seller.models if m.id == old), "deprecated", True)

    assert f"{old} is deprecated, by the price list" in " ".join(run_verb("doctor")[1].split())


def test_tokens_that_a_trainer_added_are_named_and_those_that_contradict_the_base_fail(
    desk, run_verb
):
    write_model(Path("tiny"))
    write_tokenizer(write_adapter(Path("tuned")), {"<pad>": 4})
    write_tokenizer(write_adapter(Path("other")), {"<pad>": 3})
    added, other = (
        "provider: transformers, model: tiny, adapter: " + name for name in ("tuned", "other")
    )
    desk(f"{{{added}}}")

    assert "current: tuned adds 1 token to those of the model: '<pad>'" in run_verb("doctor")[1]
    desk(f"{{{other}}}")
    code, printed = run_verb("doctor")
    assert code == 1
    assert "FAIL  s.ftgate.yaml, current: adapter other: its tokenizer contradicts that" in printed
