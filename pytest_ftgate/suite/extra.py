"""The keys under ``extra``: what a server reads beyond the keys of a variant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

#: Keys of a request that the product sets -> what to write instead.
_OWN_KEYS: Mapping[str, str] = {
    "model": "write it as the variant's model",
    "messages": "they come from prompt, user and examples",
    "stream": "replies are read as a whole; remove it",
    "stream_options": "replies are read as a whole; remove it",
    "n": "write repeats in the suite",
    "reasoning_effort": "write it as the variant's effort",
    "response_format": "write response_schema: true",
    "functions": "write tools",
    "function_call": "write tools",
    "tool_choice": "write tools",
    **dict.fromkeys(("max_completion_tokens", "n_predict"), "write it as the variant's max_tokens"),
    **{
        key: f"write it as the variant's {key}"
        for key in ("max_tokens", "temperature", "top_p", "seed", "stop", "tools")
    },
}
#: Keys that restrict replies to a grammar. Requests for general skills leave them out.
_RESTRICTING_KEYS = (
    *("structured_outputs", "guided_choice", "guided_json", "guided_regex", "guided_grammar"),
    *("guided_decoding_backend", "guided_whitespace_pattern", "regex", "ebnf"),
    *("grammar", "json_schema"),
)
_SECRET_KEY = re.compile(
    r"api.?key|authorization|password|passwd|secret|credential|bearer"
    r"|(access|auth|api|refresh|session|hf).?token",
    re.IGNORECASE,
)
#: The beginnings of well-known tokens, and tokens after the name of their scheme.
_SECRET_VALUE = re.compile(
    r"\b(sk|pk|rk|gsk|hf|xai|nvapi|ghp|github_pat|glpat|xox[abp])[-_][\w-]{16,}"
    r"|\bAKIA[0-9A-Z]{16}\b|\bAIza[\w-]{30,}|\beyJ[\w-]{10,}\.[\w-]{10,}"
    r"|\b(bearer|basic)\s+\S{8,}",
    re.IGNORECASE,
)


def extra_errors(extra: Mapping[str, Any], *, in_process: bool) -> Iterator[str]:
    """Yield an error for each key of *extra* that the product sets, and for each secret.

    *in_process* is True if the provider loads adapters itself. A message never has a value in it.
    """
    own_keys = dict(_OWN_KEYS)
    if in_process:
        own_keys["lora"] = "write it as the variant's adapter and scale"
    for key in extra:
        if key in own_keys:
            yield f"extra: {key} is set by pytest-ftgate; {own_keys[key]}"
    secret = next(_secret_keys(extra), None)
    if secret:
        yield (
            f"extra: {secret} looks like a credential, and the suite and the reports show extra; "
            "put it into a variable, and name that in api_key_env"
        )


def _secret_keys(value: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of keys and values that look like credentials."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            key_path = f"{path}.{key}" if path else str(key)
            if _SECRET_KEY.search(str(key)):
                yield key_path
            else:
                yield from _secret_keys(item, key_path)
    elif isinstance(value, list):
        for item in value:
            yield from _secret_keys(item, path)
    elif isinstance(value, str) and _SECRET_VALUE.search(value):
        yield path


def without_restrictions(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return *extra* without the keys that restrict replies to a grammar."""
    return {key: value for key, value in extra.items() if key not in _RESTRICTING_KEYS}
