"""The tickets of the example, and its trainer as a module."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from gguf import GGUFReader

EXAMPLE = Path(__file__).parents[2] / "examples" / "tickets"
SYSTEM_PROMPT = "tickets.short.md"


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


def tickets(name: str, labels: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """Return the rows of a file of the example, only those with one of *labels* if there are."""
    rows = map(json.loads, (EXAMPLE / name).read_text("utf-8").splitlines())
    return [row for row in rows if not labels or row["expected"] in labels]


def write_rows(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
