"""Names that went, and what to write instead: read by the message for an unknown key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_ftgate.readers.yaml import KeyPath

#: The end of a key's path, without numbers of lists, and what to do with it.
REMOVED_KEYS: Mapping[str, str] = {
    "repeats.baseline": "write repeats: N, the replies to each case of every variant",
    "repeats.variants": "write repeats: N, the replies to each case of every variant",
    "metric.macro_f1": "write metric: balanced_accuracy",
    "accuracy.max_change": "write max_drop",
    "format.max_change": "write max_drop",
    "gates.divergence": "the gate forgetting limits what a fine-tune may lose",
    "score.margin": "write score: choice",
    "data.want_rows": "remove it; min_rows is the limit",
    "data.near": "near duplicates share at least 80% of their words now: remove it",
    **{
        f"variants.{key}": f"write load: {{{key}: …}}"
        for key in ("revision", "dtype", "device", "device_map", "quantization", "attention")
    },
    **dict.fromkeys(
        (
            *("ladder.worth", "ladder.fewest_examples", "ladder.wanted_examples"),
            *("ladder.most_changes", "ladder.long_prompt", "ladder.costly_prompt"),
            *("ladder.format_errors", "ladder.knowledge"),
            *("ladder.payback_days", "ladder.retirement_days"),
        ),
        "it is a constant now, which docs/ladder.md explains: remove it",
    ),
}

#: Keys that took several values once, and what to do with them.
REMOVED_LISTS: Mapping[str, str] = {"base_url": "put a load balancer before the servers"}


def removed_key(key_path: KeyPath) -> str:
    """Return what to do with a key that went, or "" for a key that never was."""
    names = [part for part in key_path if isinstance(part, str)]
    if names[:1] == ["variants"]:
        del names[1:2]  # the name of the variant
    ends = (".".join(names[start:]) for start in range(len(names)))
    return next((REMOVED_KEYS[end] for end in ends if end in REMOVED_KEYS), "")


def removal(key_path: KeyPath, detail: Mapping[str, Any], message: str) -> str:
    """Return what is said of a key or a value that went, or "".

    *detail* is the error of its validation. Of a key that took several values once, *message* is
    said, and what to do with them.
    """
    match key_path:
        case (*_, key) if isinstance(detail["input"], list) and key in REMOVED_LISTS:
            return f"{message}; {REMOVED_LISTS[str(key)]}"
    found = [key_path] if detail["type"] == "extra_forbidden" else []
    if detail["type"] == "literal_error":
        found = [(*key_path, str(detail["input"]))]
    if isinstance(detail["input"], Mapping):
        found += [(*key_path, key) for key in detail["input"]]
    told = ((path[-1], removed_key(path)) for path in found)
    return next(
        (f'"{key}" is no longer supported: {instead}' for key, instead in told if instead), ""
    )
