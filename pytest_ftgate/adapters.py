"""LoRA adapter files: their rank, alpha and base model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

#: Keys of PEFT's ``adapter_config.json``, and the names of the facts.
_CONFIG = {
    "base_model_name_or_path": "adapter base",
    "revision": "adapter base revision",
    "peft_type": "adapter type",
    "r": "adapter rank",
    "lora_alpha": "adapter alpha",
}


@lru_cache(maxsize=64)
def adapter_facts(path: Path) -> Mapping[str, str]:
    """Return the facts in the adapter's GGUF file *path* and in the PEFT config beside it.

    Facts that cannot be read are left out, since the adapter works without them.
    """
    facts: dict[str, Any] = {}
    with suppress(ImportError, OSError, ValueError, KeyError, IndexError):
        facts |= _weight_facts(path)
    config_path = path.with_name("adapter_config.json")
    with suppress(OSError, ValueError, AttributeError):
        config = json.loads(config_path.read_text("utf-8"))
        facts |= {name: config.get(key) for key, name in _CONFIG.items()}
    return {name: str(value) for name, value in facts.items() if value is not None}


def _weight_facts(path: Path) -> dict[str, Any]:
    from gguf import GGUFReader

    reader = GGUFReader(path)
    ranks = {int(tensor.shape[-1]) for tensor in reader.tensors if tensor.name.endswith(".lora_a")}
    kind, alpha = (reader.get_field(f"adapter.{key}") for key in ("type", "lora.alpha"))
    return {
        "adapter rank": ", ".join(map(str, sorted(ranks))) or None,
        "adapter type": kind.contents() if kind else None,
        "adapter alpha": f"{alpha.contents():g}" if alpha else None,
    }
