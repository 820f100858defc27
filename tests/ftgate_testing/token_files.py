"""Folders of models and adapters with the files that tell their tokens, and no real weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

#: The tokens of the model.
BASE = {"<s>": 0, "</s>": 1, "a": 2, "b": 3}
#: How many rows its embedding has.
ROWS = 6
TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"


def write_tokenizer(
    folder: Path,
    added: Mapping[str, int] | None = None,
    words: Mapping[str, int] = BASE,
    *,
    template: str = TEMPLATE,
    end: str = "</s>",
) -> None:
    """Write a tokenizer of *words* and *added* tokens, as a fast one is saved."""
    rows = [{"id": number, "content": text} for text, number in (added or {}).items()]
    whole = {"model": {"type": "BPE", "vocab": words}, "added_tokens": rows}
    config = {"eos_token": end, "chat_template": template}
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(whole), "utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")


def write_model(folder: Path, **config: object) -> Path:
    """Write a checkpoint that is never loaded."""
    write_tokenizer(folder)
    values = {"model_type": "llama", "vocab_size": ROWS, **config}
    (folder / "config.json").write_text(json.dumps(values), "utf-8")
    save_file({"t": np.zeros((1, 1), np.float32)}, folder / "model.safetensors")
    return folder


def write_adapter(folder: Path, tensors: Mapping[str, tuple[int, int]] | None = None) -> Path:
    """Write a LoRA adapter with *tensors* of zeros beside its matrices."""
    folder.mkdir()
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8}
    (folder / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    shapes = {"q_proj.lora_A.weight": (4, 2), **(tensors or {})}
    arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    save_file(arrays, folder / "adapter_model.safetensors")
    return folder
