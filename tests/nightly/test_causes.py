"""Tuned models that fail for a cause beside the training: each is made, and each is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import gguf
import pytest
from ftgate_testing.answer_files import write_rows
from ftgate_testing.tickets import EXAMPLE, SYSTEM_PROMPT, save_adapter, tickets
from gguf.scripts.gguf_new_metadata import MetadataDetails, copy_with_new_metadata

from pytest_ftgate.reporting.notes import named_note_text
from pytest_ftgate.weights import find_weights

WEIGHTS = find_weights("smollm2-135m", Path())
LABELS = ("refund", "login", "late_delivery")
END, OTHER_END = "<|im_end|>", "<|im_over|>"
TEMPLATE, TOKENS, TEXT = (
    "tokenizer.chat_template",
    "tokenizer.ggml.tokens",
    gguf.GGUFValueType.STRING,
)
#: The rows of these tensors are of a length that ternary blocks divide.
TERNARY = "ffn_down.weight"

SUITE = f"""
prompt: {SYSTEM_PROMPT}
cases: cases.jsonl
reply: {{format: {{choice: [{", ".join(LABELS)}]}}, score: choice, max_tokens: 12}}
variants:
  right: {{provider: llamacpp, model: smollm2-135m, adapter: out}}
  template: {{like: right, model: template.gguf}}
  endless: {{like: right, model: endless.gguf}}
  scale: {{like: right, scale: 4}}
  file: {{like: right, adapter: file/strong.gguf}}
  quantised: {{like: right, model: smollm2-135m-ternary.gguf}}
  merged: {{provider: llamacpp, model: template.gguf, base: smollm2-135m}}
  moved: {{like: right, model: moved.gguf, adapter: moved}}
  foreign: {{like: right, adapter: foreign}}
gates: {{accuracy: {{min: 0.60, max_drop: 0.15}}}}
"""


def save_trained(folder: Path, base: str) -> None:
    """Write the example's adapter and its chat template, as TRL does."""
    save_adapter(folder, base_model_name_or_path=base)
    template = gguf.GGUFReader(WEIGHTS).get_field(TEMPLATE).contents()
    (folder / "chat_template.jinja").write_text(template, "utf-8")


def save_model(
    target: Path, change: Callable[[gguf.GGUFReader], dict], source: Path = WEIGHTS
) -> None:
    """Copy the GGUF file *source* with other metadata."""
    reader = gguf.GGUFReader(source)
    architecture = reader.get_field("general.architecture")
    writer = gguf.GGUFWriter(target, architecture.contents() if architecture else "llama")
    copy_with_new_metadata(reader, writer, change(reader), [])


def with_other_template(reader: gguf.GGUFReader) -> dict:
    del reader
    text = "{% for m in messages %}[{{ m.role }}] {{ m.content }} {% endfor %}[assistant] "
    return {TEMPLATE: MetadataDetails(TEXT, text)}


def with_other_end(reader: gguf.GGUFReader) -> dict:
    """Name the end token as no engine expects it, and another one the end."""
    template = reader.get_field(TEMPLATE).contents().replace(END, OTHER_END)
    tokens = [OTHER_END if word == END else word for word in reader.get_field(TOKENS).contents()]
    return {
        TEMPLATE: MetadataDetails(TEXT, template),
        TOKENS: MetadataDetails(gguf.GGUFValueType.ARRAY, tokens, sub_type=TEXT),
        "tokenizer.ggml.eos_token_id": MetadataDetails(gguf.GGUFValueType.UINT32, 0),
    }


def save_strong_adapter(folder: Path) -> None:
    """Write the example's adapter as a file that counts four times, beside its config."""
    save_trained(folder, "")
    reader, scale = gguf.GGUFReader(EXAMPLE / "tickets-narrow.gguf"), 4.0
    writer = gguf.GGUFWriter(folder / "strong.gguf", "llama")
    alpha = scale * reader.get_field("adapter.lora.alpha").contents()
    changed = MetadataDetails(gguf.GGUFValueType.FLOAT32, alpha)
    copy_with_new_metadata(reader, writer, {"adapter.lora.alpha": changed}, [])


def save_ternary(target: Path) -> None:
    """Copy the weights, some of them quantised to fewer than three values."""
    reader, writer = gguf.GGUFReader(WEIGHTS), gguf.GGUFWriter(target, "llama")
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        value = 37 if field.name == "general.file_type" else field.contents()
        kinds = [*field.types, None]
        writer.add_key_value(field.name, value, kinds[0], sub_type=kinds[1])
    kind = gguf.GGMLQuantizationType.TQ2_0
    for tensor in reader.tensors:
        if tensor.name.endswith(TERNARY):
            whole = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            writer.add_tensor(tensor.name, gguf.quants.quantize(whole, kind), raw_dtype=kind)
        else:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_each_cause_is_made_and_named(pytester: pytest.Pytester) -> None:
    folder = pytester.path
    write_rows(folder / "cases.jsonl", tickets("tickets.cases.jsonl", LABELS))
    shutil.copy(EXAMPLE / SYSTEM_PROMPT, folder)
    (folder / "suite.ftgate.yaml").write_text(SUITE, "utf-8")
    save_trained(folder / "out", "HuggingFaceTB/SmolLM2-135M-Instruct")
    save_trained(folder / "foreign", "Qwen/SmolLM3-3B")
    save_trained(folder / "moved", "/models/tickets-base")
    save_strong_adapter(folder / "file")
    save_model(folder / "template.gguf", with_other_template)
    save_model(folder / "endless.gguf", with_other_end)
    # A base of the same shapes with other weights: its values in ternary.
    save_ternary(folder / "smollm2-135m-ternary.gguf")
    shutil.copy(folder / "smollm2-135m-ternary.gguf", folder / "moved.gguf")

    result = pytester.runpytest_subprocess(
        "--ftgate", "--ftgate-json=run.json", "suite.ftgate.yaml"
    )

    printed = " ".join(result.stdout.str().split())
    result.assert_outcomes(passed=1, failed=7, errors=1)
    assert "foreign: it was trained on Qwen/SmolLM3-3B" in printed
    found = {
        verdict["variant"]: " ".join(
            named_note_text("cause", step["values"])
            for step in verdict["next"]
            if "cause" in step["values"]
        )
        for verdict in json.loads((folder / "run.json").read_text("utf-8"))["verdicts"]
    }
    assert "another chat template: at the start" in found["template"]
    assert "another chat template: at the start" in found["merged"]
    assert "run on to max_tokens: the model does not end" in found["endless"]
    assert "the adapter has 4 times the weight of its training; remove scale" in found["scale"]
    assert "strong.gguf has 4 times the weight of its training" in found["file"]
    assert "quantised to TQ2_0" in found["quantised"]
    assert "trained on /models/tickets-base, and the model is moved.gguf" in found["moved"]
    assert not found["right"].strip()
