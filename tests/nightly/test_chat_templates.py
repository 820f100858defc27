"""Real chat templates: rendered as transformers and llama.cpp do; and one that opens a thought."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trl
from ftgate_testing.engines import call  # noqa: F401
from ftgate_testing.local_server import served
from ftgate_testing.tiny_model import answers
from transformers.utils.chat_template_utils import render_jinja_template

from pytest_ftgate.adapters.chat_template import SAMPLE_CHATS, ChatTemplate
from pytest_ftgate.providers.served import template_body

FOLDER = Path(trl.__file__).parent / "chat_templates"
#: The tokens of the embedded model.
TOKENS = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
OPTIONS = ({}, {"enable_thinking": False})
FAMILIES = (
    *("qwen3", "qwen2_5", "llama3_2", "gemma3", "phi3", "deepseek_r1_distill", "lfm2", "gptoss"),
)


def trained(name: str) -> ChatTemplate:
    return ChatTemplate((FOLDER / f"{name}.jinja").read_text("utf-8"), name, TOKENS)


def test_all_templates_are_rendered_as_transformers_does() -> None:
    names = sorted(path.stem for path in FOLDER.glob("*.jinja"))

    for name in names:
        template = trained(name)
        for chat in SAMPLE_CHATS:
            messages = [{"role": role, "content": text} for role, text in chat]
            for options in OPTIONS:
                try:
                    ((expected,), _) = render_jinja_template(
                        [messages],
                        chat_template=template.text,
                        add_generation_prompt=True,
                        **TOKENS,
                        **options,
                    )
                except Exception:  # noqa: BLE001 - a template may refuse a chat
                    expected = None
                assert template.render(chat, options) == expected, name
    assert len(names) >= len(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_llamacpp_serves_the_prompts_of_the_same_template(name: str) -> None:
    template = trained(name)
    server = served("m", slots=2, template=template.text)
    address = urlsplit(server.listening_address).netloc
    for options in OPTIONS:
        prompts = []
        for chat in SAMPLE_CHATS:
            connection = HTTPConnection(address)
            connection.request("POST", "/apply-template", json.dumps(template_body(chat, options)))
            prompt = json.load(connection.getresponse()).get("prompt")
            prompts.append((prompt, template.render(chat, options)))
            connection.close()

        assert all(all(pair) for pair in prompts)
        assert template.difference(prompts) == ""


def test_a_thought_that_the_template_opens_and_nothing_closes_leaves_no_answer(call) -> None:  # noqa: F811
    server = served("m", slots=2, template=trained("deepseek_r1_distill").text)
    url = f"{server.listening_address}/v1"
    request = call("Hi", provider="openai-compatible", model="m", base_url=url, max_tokens=8)

    (reply,) = answers([request])

    assert reply.thinks
    assert reply.has_no_answer
    assert reply.text == ""
