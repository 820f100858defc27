"""The tickets of the example, and its trainer as a module."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from gguf import GGUFReader

from ftgate_testing.answer_files import write_rows
from pytest_ftgate.suite.cases import skill_cases

EXAMPLE = Path(__file__).parents[2] / "examples" / "tickets"
SYSTEM_PROMPT = "tickets.short.md"
SKILL = """
cases: questions.jsonl
reply: {score: contains, max_tokens: 16}
variants: {any: {provider: openai-compatible, model: any}}
gates: {accuracy: {min: 0.01}}
"""
#: The modules of the example's adapters: in a GGUF file, and in transformers.
MODULES = {
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def peft_matrices(reader: GGUFReader) -> dict[str, np.ndarray]:
    """Return the matrices of one of the example's adapters, under the names of PEFT."""
    matrices = {}
    for tensor in reader.tensors:
        # blk.7.attn_v.weight.lora_a
        _, layer, part, _, side = tensor.name.split(".")
        side = side.replace("_a", "_A").replace("_b", "_B")
        name = f"base_model.model.model.layers.{layer}.{MODULES[part]}.{side}.weight"
        matrices[name] = np.array(tensor.data)
    return matrices


def save_adapter(
    folder: Path,
    file: str = "tickets-narrow.gguf",
    more: Mapping[str, np.ndarray] = {},
    **config: object,
) -> Path:
    """Write an adapter of the example as PEFT does, with *more* matrices and keys of its config."""
    from safetensors.numpy import save_file

    folder.mkdir()
    matrices = {**peft_matrices(GGUFReader(EXAMPLE / file)), **more}
    save_file(matrices, folder / "adapter_model.safetensors")
    modules = sorted({name.split(".")[-3] for name in matrices})
    keys = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": modules, **config}
    (folder / "adapter_config.json").write_text(json.dumps(keys), "utf-8")
    return folder


def tickets(name: str, labels: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """Return the rows of a file of the example, only those with one of *labels* if there are."""
    rows = map(json.loads, (EXAMPLE / name).read_text("utf-8").splitlines())
    return [row for row in rows if not labels or row["expected"] in labels]


def write_questions(folder: Path) -> None:
    """Write a skill of so many questions that the proof of identity needs no others."""
    rows = [
        {"id": case.id, "input": case.input, "expected": case.expected}
        for case in skill_cases(("world_facts",))[:60]
    ]
    write_rows(folder / "questions.jsonl", rows)
    (folder / "skill.ftgate.yaml").write_text(SKILL, "utf-8")
