"""The prompts that a server writes are compared with the chat template of the training."""

from __future__ import annotations

import json

import pytest
from ftgate_testing.asking import ask_all
from ftgate_testing.tables import every_row

from pytest_ftgate.adapters.lora import adapter_sha256
from pytest_ftgate.providers.openai import open_openai
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Adapter

TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
FACT = "chat template differs"


@pytest.fixture
def adapter(tmp_path) -> Adapter:
    """An adapter with the chat template of its training, in a file: no server loads it."""
    path = tmp_path / "out" / "a.gguf"
    path.parent.mkdir()
    path.write_text("GGUF")
    (path.parent / "adapter_config.json").write_text(json.dumps({"r": 8}))
    (path.parent / "chat_template.jinja").write_text(TEMPLATE, "utf-8")
    return Adapter(path=path, scale=1.0, sha256=adapter_sha256(path))


@pytest.fixture
def hosted():
    return "openai-compatible"


@pytest.fixture
def asked(made, adapter):
    """Ask the server twice; return both replies."""

    def ask(**changes) -> list[Reply]:
        calls = [made(text, **{"adapter": adapter, **changes}) for text in "ab"]
        return ask_all(open_openai, calls, at_once=True)

    return ask


def served(body: dict, *, end: str = "<assistant>") -> str:
    texts = [f"<{message['role']}>{message['content']}" for message in body["messages"]]
    return "".join(texts) + end


def llama(api, render, **owner) -> None:
    api.pages["/v1/models"] = {"data": [{"id": "m", "owned_by": "llamacpp", **owner}]}
    api.pages["/apply-template"] = lambda body: {"prompt": render(body)}


def test_the_first_difference_is_a_fact_with_what_to_do(asked, api):
    llama(api, lambda body: served(body, end="<model>"))

    first, second = (reply.facts[FACT] for reply in asked())

    assert first == second
    assert first.startswith('after "<user>')
    assert 'the server writes "model>"' in first
    assert first.endswith(
        "; start the server with --chat-template-file out/chat_template.jinja, and run with "
        "--ftgate-replies=fresh"
    )


def test_vllm_shows_its_prompts_as_tokens(asked, api):
    api.pages["/v1/models"] = {"data": [{"id": "m", "owned_by": "vllm"}]}
    api.pages["/tokenize"] = lambda body: {"tokens": [ord(c) for c in served(body, end="<x>")]}
    api.pages["/detokenize"] = lambda body: {"prompt": "".join(map(chr, body["tokens"]))}

    found = asked()[0].facts[FACT]

    assert 'the server writes "x>"' in found
    assert "start the server with --chat-template out/chat_template.jinja" in found
    assert {body["model"] for body in api.requests} == {"m"}


def test_a_server_that_writes_the_prompts_of_the_training_with_its_variables_has_no_such_fact(
    asked, api
):
    options = {"chat_template_kwargs": {"enable_thinking": False}}
    llama(api, served)

    assert [reply.facts for reply in asked(extra=options)] == [{}, {}]
    assert api.paths.count("/apply-template") == 4
    sent = [body for body in api.requests if "max_tokens" not in body]
    assert [body["chat_template_kwargs"] for body in sent] == [{"enable_thinking": False}] * 4


@every_row("answer", [{}, {"prompt": None}, {"error": "no"}, []])
def test_a_server_that_shows_no_prompt_is_not_compared(asked, api, answer):
    api.pages["/v1/models"] = {"data": [{"id": "m", "owned_by": "llamacpp"}]}
    api.pages["/apply-template"] = lambda _: answer

    assert asked()[0].facts == {}


def test_other_servers_and_untuned_models_are_not_asked(asked, api):
    api.pages["/v1/models"] = {"data": [{"id": "m", "owned_by": "library"}]}
    asked()
    llama(api, served)
    asked(adapter=None)

    assert "/apply-template" not in api.paths


def test_the_scale_of_an_adapter_that_a_server_applies_is_a_fact_unless_it_is_one(asked, api):
    llama(api, served)
    api.pages["/lora-adapters"] = [{"id": 0, "path": "a.gguf", "scale": 2.0}]
    assert asked(adapter=None)[0].facts == {"served adapter scale": "2"}

    api.pages["/lora-adapters"] = [{"id": 0, "path": "a.gguf", "scale": 1.0}]
    assert asked(adapter=None)[0].facts == {}
