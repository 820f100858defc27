"""The keys that the config of an adapter may have, and what each may hold.

PEFT imports the modules that some keys name, so what is not in this list is refused before PEFT
sees it. The keys are those of ``LoraConfig`` in PEFT 0.17 to 0.21, and of trainers that add some.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

#: The longest text in a config: the name of a module, a pattern of names. And the largest number.
_LONGEST_TEXT, _LARGEST = 4_000, 1e15


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_number(value: Any) -> bool:
    # JSON has whole numbers that no float can hold, and Python reads NaN and Infinity in it.
    is_number = isinstance(value, int | float) and not _is_flag(value)
    return is_number and -_LARGEST <= value <= _LARGEST


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT


def _are_texts(value: Any) -> bool:
    return _is_text(value) or (isinstance(value, list) and all(map(_is_text, value)))


def _are_numbers(value: Any) -> bool:
    """Return True for a number, a list of numbers, and a list of such lists."""
    members = value if isinstance(value, list) else [value]
    lists = (one if isinstance(one, list) else [one] for one in members)
    return all(map(_is_number, chain.from_iterable(lists)))


def _by_name(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, Mapping) and all(map(_is_text, value)) and all(map(check, value.values()))
    )


def _is_setting(value: Any) -> bool:
    return value is None or _is_flag(value) or _are_numbers(value) or _are_texts(value)


#: A check of a value, and what it lets pass, in words.
_Kind = tuple[Callable[[Any], bool], str]
_TEXT: _Kind = (_is_text, "a text")
_FLAG: _Kind = (_is_flag, "true or false")
_NUMBER: _Kind = (_is_number, "a number")
_NUMBERS: _Kind = (_are_numbers, "numbers")
_NAMES: _Kind = (_are_texts, "names")
_PATTERN: _Kind = (_by_name(_is_number), "numbers by name")
_INDICES: _Kind = (lambda one: _are_numbers(one) or _by_name(_are_numbers)(one), "numbers")
_START: _Kind = (lambda one: _is_flag(one) or _is_text(one), "true, false or the name of a method")
_METHOD: _Kind = (lambda one: _is_flag(one) or _by_name(_is_setting)(one), "settings by name")
#: The keys, and what each may hold beside null.
_ALLOWED: Mapping[str, _Kind] = {
    **dict.fromkeys(("base_model_name_or_path", "revision", "task_type", "peft_type"), _TEXT),
    **dict.fromkeys(("peft_version", "bias", "lora_dtype"), _TEXT),
    **dict.fromkeys(("inference_mode", "fan_in_fan_out", "use_rslora", "use_dora"), _FLAG),
    **dict.fromkeys(("use_qalora", "lora_bias", "ensure_weight_tying"), _FLAG),
    **dict.fromkeys(("r", "lora_alpha", "lora_dropout", "qalora_group_size"), _NUMBER),
    **dict.fromkeys(("target_modules", "exclude_modules", "modules_to_save"), _NAMES),
    **dict.fromkeys(("layers_pattern", "target_parameters"), _NAMES),
    **dict.fromkeys(("layers_to_transform", "layer_replication"), _NUMBERS),
    "alora_invocation_tokens": _NUMBERS,
    **dict.fromkeys(("rank_pattern", "alpha_pattern"), _PATTERN),
    "trainable_token_indices": _INDICES,
    "init_lora_weights": _START,
    **dict.fromkeys(("loftq_config", "eva_config", "corda_config", "lora_ga_config"), _METHOD),
    **dict.fromkeys(("use_bdlora", "velora_config", "monteclora_config"), _METHOD),
    **dict.fromkeys(("kasa_config", "arrow_config"), _METHOD),
}
#: Classes of transformers, which PEFT notes where no task was named.
_LIBRARY = re.compile(r"transformers(\.\w+)*")


def config_problem(values: Mapping[str, Any]) -> str:
    """Return what *values*, the config of an adapter, may not hold, with a remedy; "" if nothing.

    Null is allowed everywhere, and keys of later versions are while they are off: false, a number,
    or empty.
    """
    return next((why for key, value in values.items() if (why := _problem(key, value))), "")


def _problem(key: str, value: Any) -> str:
    if key in _ALLOWED:
        check, words = _ALLOWED[key]
        is_right = value is None or check(value)
        return "" if is_right else f"{key} must be {words}, or null; save the adapter again"
    if key == "auto_mapping" and value is not None:
        return _mapping_problem(value)
    # PEFT always writes the second of these, and imports it only with a megatron_config.
    if value in (None, False, [], {}) or (key, value) == ("megatron_core", "megatron.core"):
        return ""
    if key in ("megatron_config", "megatron_core"):
        return f"{key} makes PEFT import a module, and an adapter may name no code; write null"
    if _are_numbers(value):
        return ""
    known = "is no key of a LoRA adapter that is known here, and may name code"
    return f"{key[:80]} {known}; write null or remove it"


def _mapping_problem(value: Any) -> str:
    """Return what is wrong with ``auto_mapping``, which names the class of the base."""
    names = value if isinstance(value, Mapping) else {"": value}
    library = names.get("parent_library")
    is_plain = all(one is None or _is_flag(one) or _is_text(one) for one in names.values())
    known = {"base_model_class", "parent_library", "unsloth_fixed"}
    is_known = names.keys() <= known and (library is None or _LIBRARY.fullmatch(str(library)))
    if is_plain and is_known:
        return ""
    return "auto_mapping names a module outside transformers; write null, nothing needs it"
