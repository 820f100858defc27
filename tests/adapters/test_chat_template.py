"""Chat templates: rendered as transformers does, found where trainers save them, and compared."""

from __future__ import annotations

import json
from pathlib import Path

from ftgate_testing.tables import every_row
from gguf import GGUFWriter

from pytest_ftgate.adapters.chat_template import (
    SAMPLE_CHATS,
    ChatTemplate,
    file_difference,
    folder_template,
    trained_template,
    weights_template,
)

CHATML = """{% for m in messages %}
{{- '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' -}}
{% endfor %}
{% if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}"""
HELLO = (("user", "Hi"),)


def write_folder(folder: Path, template: str = CHATML, **config) -> Path:
    """Write an adapter with the chat template of its training, as TRL does."""
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": 8, **config}), "utf-8")
    if template:
        (folder / "chat_template.jinja").write_text(template, "utf-8")
    return folder


def write_gguf(path: Path, template: str | None) -> Path:
    writer = GGUFWriter(path, "llama")
    writer.add_token_list(["<s>", "</s>"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    if template is not None:
        writer.add_chat_template(template)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


# Rendering ---------------------------------------------------------------------------------------


def test_a_chat_is_rendered_up_to_the_reply():
    prompt = ChatTemplate(CHATML, "t").render(HELLO, {})

    assert prompt == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"


@every_row("text, prompt", [
    ("{{ bos_token }}{{ messages[0].content }}", "<s>Hi"),
    ("{% generation %}{{ messages[0].content }}{% endgeneration %}!", "Hi!"),
    ("{{ {'a': 'é<'} | tojson }}", '{"a": "é<"}'),
    ("{% for m in messages %}{% break %}{% endfor %}done", "done"),
    ("{{ tools is none }}{{ enable_thinking }}", "TrueFalse"),
    ("{% if strftime_now('%Y') | int > 2000 %}now{% endif %}", "now"),
    ("{{ raise_exception('no system prompt') }}", None),
    ("{{ messages.append(1) }}", None),
    ("{% for", None),
])  # fmt: skip
def test_a_template_has_what_it_has_in_transformers(text, prompt):
    template = ChatTemplate(text, "t", {"bos_token": "<s>"})

    assert template.render(HELLO, {"enable_thinking": False}) == prompt


# Finding -----------------------------------------------------------------------------------------


def test_the_template_of_a_training_lies_in_the_folder_of_the_adapter(tmp_path):
    folder = write_folder(tmp_path / "out")
    tokens = {"bos_token": {"content": "<s>"}, "eos_token": "</s>", "pad_token": None}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokens))

    assert trained_template(folder) == ChatTemplate(
        CHATML, "out/chat_template.jinja", {"bos_token": "<s>", "eos_token": "</s>"}
    )


@every_row(
    "value",
    [CHATML, [{"name": "tool_use", "template": "x"}, {"name": "default", "template": CHATML}]],
)
def test_older_tokenizers_have_it_in_their_config(tmp_path, value):
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": value}))

    assert folder_template(tmp_path, "") == ChatTemplate(CHATML, "tokenizer_config.json")


def test_an_adapter_without_a_template_was_trained_with_that_of_its_base(tmp_path):
    base = write_folder(tmp_path / "base")
    (base / "config.json").write_text("{}")
    (base / "adapter_config.json").unlink()
    adapter = write_folder(tmp_path / "out", "", base_model_name_or_path=str(base))

    found = trained_template(adapter)

    assert found is not None
    assert found.source == f"{base}/chat_template.jinja"


@every_row("base", ["org/nowhere", "", None])
def test_without_either_the_template_is_not_known(tmp_path, base):
    assert (
        trained_template(write_folder(tmp_path / "out", "", base_model_name_or_path=base)) is None
    )
    assert trained_template(tmp_path / "alone.gguf") is None


def test_a_gguf_file_has_a_template_and_its_tokens(tmp_path):
    path = write_gguf(tmp_path / "m.gguf", CHATML)

    tokens = {"bos_token": "<s>", "eos_token": "</s>"}
    assert weights_template(path) == ChatTemplate(CHATML, "m.gguf", tokens)
    assert weights_template(write_gguf(tmp_path / "none.gguf", None)) is None
    assert weights_template(tmp_path / "missing.gguf") is None


# Comparing ---------------------------------------------------------------------------------------


def test_the_first_difference_is_shown_with_what_stands_before_it():
    template = ChatTemplate(CHATML, "out/chat_template.jinja")
    served = "<|im_start|>system\nYou are a helpful assistant<|im_end|>\n<|im_start|>user\nHi"

    assert template.difference([(served, template.render(HELLO, {}))]) == (
        'after "<|im_start|>" the server writes "system\\nYou are a helpful assistant<|im_end|>'
        '\\n<|i…", and the template of the training (out/chat_template.jinja) "user\\nHi<|im_end|>'
        '\\n<|im_start|>assistant\\n"'
    )


def test_a_prompt_that_ends_early_differs():
    found = ChatTemplate("", "t").difference([("ab", "a")])

    assert (
        found
        == 'after "a" the server writes "b", and the template of the training (t) nothing more'
    )


@every_row(("served", "trained"), [("<s>Hi", "<s>Hi"), ("Hi", "<s>Hi"), (None, "Hi"), ("Hi", None)])
def test_a_first_token_that_the_tokenizer_adds_and_an_unknown_prompt_are_no_difference(
    served, trained
):
    assert ChatTemplate("", "t", {"bos_token": "<s>"}).difference([(served, trained)]) == ""


def test_weights_with_another_template_are_told_with_what_to_do(tmp_path):
    trained = ChatTemplate(CHATML, "out/chat_template.jinja")
    other = write_gguf(tmp_path / "m.gguf", "{{ messages[0].content }}")
    # Written in another way, it renders the same.
    same = write_gguf(
        tmp_path / "same.gguf", CHATML.replace("m[", "message[").replace("for m", "for message")
    )

    found = file_difference(other, trained, {})

    assert found.startswith('at the start the server writes "What is 2 + 2?"')
    assert "gguf-new-metadata --chat-template-file" in found
    assert file_difference(write_folder(tmp_path / "merged", "x"), trained, {}).endswith(
        "; copy that template into merged"
    )
    assert file_difference(same, trained, {}) == ""
    assert file_difference(other, None, {}) == ""


def test_the_samples_have_a_system_prompt_earlier_turns_and_white_space():
    roles = [{role for role, _ in chat} for chat in SAMPLE_CHATS]
    assert {"system", "user"} in roles
    assert {"assistant", "user"} in roles
    assert any(text != text.strip() for chat in SAMPLE_CHATS for _, text in chat)
