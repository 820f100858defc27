"""LoRA adapter files: rank, strength, and the base model that they were trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

__all__ = ["adapter_facts"]

#: Keys of PEFT's ``adapter_config.json`` and how a record calls them.
_CONFIG = {
    "base_model_name_or_path": "adapter base",
    "revision": "adapter base revision",
    "peft_type": "adapter type",
    "r": "adapter rank",
    "lora_alpha": "adapter alpha",
}


@lru_cache(maxsize=64)
def adapter_facts(path: Path) -> Mapping[str, str]:
    """Return what is known of the adapter *path*, a GGUF file, and of the folder it lies in.

    A fact that cannot be read is left out: none of them decides whether it can be used.
    """
    told: dict[str, Any] = {}
    with suppress(ImportError, OSError, ValueError, KeyError, IndexError):
        told |= _of_weights(path)
    beside = path.with_name("adapter_config.json")
    with suppress(OSError, ValueError, AttributeError):
        written = json.loads(beside.read_text("utf-8"))
        told |= {name: written.get(key) for key, name in _CONFIG.items()}
    return {name: str(value) for name, value in told.items() if value is not None}


def _of_weights(path: Path) -> dict[str, Any]:
    from gguf import GGUFReader

    reader = GGUFReader(path)
    ranks = {int(t.shape[-1]) for t in reader.tensors if t.name.endswith(".lora_a")}
    kind, alpha = (reader.get_field(f"adapter.{key}") for key in ("type", "lora.alpha"))
    return {
        "adapter rank": ", ".join(map(str, sorted(ranks))) or None,
        "adapter type": kind.contents() if kind else None,
        "adapter alpha": f"{alpha.contents():g}" if alpha else None,
    }
