"""Which row of a matrix of transformers stands where in a GGUF file, by architecture.

`tests/nightly/test_architectures.py` compares all architectures with llama.cpp itself.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from ftgate_testing.tables import every_row
from gguf import MODEL_ARCH_NAMES, GGUFReader, GGUFWriter
from safetensors.numpy import save_file

from pytest_ftgate.adapters.architectures import ARCHITECTURES
from pytest_ftgate.adapters.conversion import convert_adapter
from pytest_ftgate.errors import ConfigurationError

DOCS = Path(__file__).parents[2] / "docs"
COLUMNS = 8
#: Two key heads, each with two value heads of two rows.
LINEAR = {
    "ssm.group_count": 2, "ssm.time_step_rank": 4, "ssm.state_size": 1, "ssm.inner_size": 8
}  # fmt: skip


def write_model(path: Path, architecture: str, numbers, rows: dict[str, int]) -> Path:
    """Write a model of one layer whose tensors have so many *rows* each."""
    writer = GGUFWriter(path, architecture)
    writer.add_name("Tiny")
    for key, value in {"block_count": 1, **numbers}.items():
        writer.add_uint32(f"{architecture}.{key}", value)
    for name, count in rows.items():
        writer.add_tensor(f"{name}.weight", np.zeros((count, COLUMNS), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def convert(folder: Path, model: Path, module: str, rows: int) -> dict[str, list[int]]:
    """Convert an adapter of *module* whose rows and columns are numbered; return their order."""
    peft = folder / "peft"
    peft.mkdir()
    matrices = {
        f"base_model.model.{module}.lora_A.weight": np.arange(COLUMNS, dtype=np.float32)[None],
        f"base_model.model.{module}.lora_B.weight": np.arange(rows, dtype=np.float32)[:, None],
    }
    save_file(matrices, peft / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 1, "lora_alpha": 1}
    (peft / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    convert_adapter(peft, model, folder / "made.gguf")
    tensors = GGUFReader(folder / "made.gguf").tensors
    return {tensor.name: [int(n) for n in np.ravel(tensor.data)] for tensor in tensors}


ATTENTION = {"attention.head_count": 2}
IN_ORDER = [*range(COLUMNS)]
#: Architecture, numbers, module, and the rows of each tensor that the file has for it.
ROWS = [
    ("llama", ATTENTION, "self_attn.q_proj", {"attn_q": [0, 2, 1, 3, 4, 6, 5, 7]}),
    ("llama", {**ATTENTION, "attention.head_count_kv": 1}, "self_attn.k_proj",
     {"attn_k": [0, 2, 1, 3]}),
    # As many heads of keys as of queries, where the file does not tell.
    ("llama", ATTENTION, "self_attn.k_proj", {"attn_k": [0, 2, 1, 3, 4, 6, 5, 7]}),
    ("granitemoe", {}, "shared_mlp.input_linear",
     {"ffn_gate_shexp": [0, 1, 2], "ffn_up_shexp": [3, 4, 5]}),
    ("granitehybrid", {}, "shared_mlp.input_linear", {"ffn_gate": [0, 1], "ffn_up": [2, 3]}),
    ("granitehybrid", {}, "shared_mlp.output_linear", {"ffn_down": [0, 1]}),
    ("qwen35", LINEAR, "linear_attn.in_proj_qkv",
     {"attn_qkv": [0, 1, 2, 3, 4, 5, 8, 9, 6, 7, 10, 11]}),
    ("qwen35", LINEAR, "linear_attn.in_proj_z", {"attn_gate": [0, 1, 4, 5, 2, 3, 6, 7]}),
    ("qwen35", LINEAR, "linear_attn.in_proj_a", {"ssm_alpha": [0, 2, 1, 3]}),
    # Query, key, four values and four gates of each key head.
    ("qwen3next", LINEAR, "linear_attn.in_proj_qkvz",
     {"attn_qkv": [0, 10, 1, 11, 2, 3, 4, 5, 12, 13, 14, 15],
      "attn_gate": [6, 7, 8, 9, 16, 17, 18, 19]}),
    ("gptneox", ATTENTION, "attention.query_key_value", {"attn_qkv": [0, 3, 1, 4, 2, 5]}),
    ("qwen3", ATTENTION, "self_attn.q_proj", {"attn_q": [0, 1, 2, 3, 4, 5, 6, 7]}),
    ("gpt-oss", ATTENTION, "self_attn.q_proj", {"attn_q": [0, 1, 2, 3, 4, 5, 6, 7]}),
]  # fmt: skip


@every_row(("architecture", "numbers", "module", "rows"), ROWS)
def test_each_row_stands_where_llama_cpp_puts_it(tmp_path, architecture, numbers, module, rows):
    sizes = {f"blk.0.{part}": len(order) for part, order in rows.items()}
    model = write_model(tmp_path / "m.gguf", architecture, numbers, sizes)
    layers = "gpt_neox.layers" if architecture == "gptneox" else "model.layers"

    made = convert(tmp_path, model, f"{layers}.0.{module}", sum(sizes.values()))

    assert made == {
        f"blk.0.{part}.weight.lora_{side}": order
        for part, b in rows.items()
        for side, order in (("a", IN_ORDER), ("b", b))
    }


def test_the_columns_that_read_value_heads_are_ordered_and_their_rows_stay(tmp_path):
    model = write_model(tmp_path / "m.gguf", "qwen35", LINEAR, {"blk.0.ssm_out": 3})

    made = convert(tmp_path, model, "model.layers.0.linear_attn.out_proj", 3)

    assert made == {
        "blk.0.ssm_out.weight.lora_a": [0, 1, 4, 5, 2, 3, 6, 7],
        "blk.0.ssm_out.weight.lora_b": [0, 1, 2],
    }


@every_row("numbers", [
    {}, {"attention.head_count": 0}, {"attention.head_count": 3}, {"attention.head_count": 1 << 31},
])  # fmt: skip
def test_numbers_of_heads_that_do_not_fit_are_one_sentence(tmp_path, numbers):
    model = write_model(tmp_path / "m.gguf", "llama", numbers, {"blk.0.attn_q": 8})

    with pytest.raises(ConfigurationError) as raised:
        convert(tmp_path, model, "model.layers.0.self_attn.q_proj", 8)

    assert str(raised.value) == (
        "the numbers of heads in m.gguf do not fit its attn_q; fetch or convert it again"
    )


def test_groups_of_another_size_than_the_numbers_say_are_refused(tmp_path):
    numbers = {**LINEAR, "ssm.inner_size": 80}
    sizes = {"blk.0.attn_qkv": 12, "blk.0.attn_gate": 8}
    model = write_model(tmp_path / "m.gguf", "qwen3next", numbers, sizes)

    with pytest.raises(ConfigurationError, match="do not fit its attn_qkv"):
        convert(tmp_path, model, "model.layers.0.linear_attn.in_proj_qkvz", 20)


def test_the_two_tensors_of_a_matrix_have_its_rows_together(tmp_path):
    sizes = {"blk.0.ffn_gate": 2, "blk.0.ffn_up": 2}
    model = write_model(tmp_path / "m.gguf", "granitehybrid", {}, sizes)

    with pytest.raises(ConfigurationError) as raised:
        convert(tmp_path, model, "model.layers.0.shared_mlp.input_linear", 6)

    assert str(raised.value).startswith(
        "blk.0.ffn_gate.weight and blk.0.ffn_up.weight is 8 × 4 in m.gguf, and 8 × 6 in the adapter"
    )


def test_a_tensor_to_which_llama_cpp_adds_nothing_is_refused_with_who_takes_it(tmp_path):
    model = write_model(tmp_path / "m.gguf", "gemma4", {}, {"per_layer_model_proj": 4})

    with pytest.raises(ConfigurationError) as raised:
        convert(tmp_path, model, "model.per_layer_model_projection", 4)

    assert str(raised.value) == (
        "llama.cpp adds no adapter to per_layer_model_proj of gemma4 "
        "(model.per_layer_model_projection), and says nothing of it; provider: transformers and "
        "vLLM take the folder as it is"
        "; or merge the adapter into its base, convert that to GGUF, and write model: MERGED.gguf "
        "and base: BASE.gguf"
    )


def test_the_architectures_are_those_of_gguf_and_of_the_documentation():
    table = (DOCS / "contributing" / "trainers.md").read_text("utf-8")
    text = (DOCS / "trainers.md").read_text("utf-8").partition("### Architectures\n\n")[2]
    names = {*re.findall(r"`([^`]+)`", text.partition("\n\n")[0])}

    assert {*re.findall(r"^\| `([\w-]+)` \| \w", table, re.MULTILINE)} == names - {"minicpm"}
    assert names == {*ARCHITECTURES}
    assert ARCHITECTURES.keys() <= {*MODEL_ARCH_NAMES.values()}
