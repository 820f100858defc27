"""Grammars and schemas that restrict replies: how large they may be for the libraries in C."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_ftgate.readers.file_limits import depth_of

#: The deepest nesting, the longest text, and the most repetitions of a part: a parser in C that
#: calls itself for each level, or copies a part for each repetition, ends the whole process.
MAX_DEPTH, MAX_LENGTH, MAX_REPETITIONS = 100, 1_000_000, 10_000
#: Literals, sets of characters and comments of a grammar: brackets in them open nothing. One that
#: does not end matches too, and counts as it is: else the end is sought from each later one again.
_LITERALS = re.compile(r'"(?:\\[\s\S]|[^"\\])*("?)|\[(?:\\[\s\S]|[^\]\\])*(\]?)|#.*')
_REPEATED = re.compile(r"\{([\s\d,]*)\}")


def schema_size_error(schema: Any) -> str:
    """Return why a JSON Schema is too large, or ""."""
    if depth_of(schema, MAX_DEPTH) > MAX_DEPTH:
        return f"it nests deeper than {MAX_DEPTH} levels; write the inner ones as $defs"
    if len(json.dumps(schema, default=str)) > MAX_LENGTH:
        return f"it has more than {MAX_LENGTH:,} characters; write a shorter one"
    return ""


def restriction_errors(extra: Mapping[str, Any], keys: tuple[str, ...]) -> Iterator[str]:
    """Yield an error for each grammar or schema too large among the *keys* of *extra*."""
    for key in keys:
        value = extra.get(key)
        problem = grammar_error(value) if isinstance(value, str) else schema_size_error(value)
        if problem:
            yield f"extra: {key}: {problem}"


def grammar_error(text: str) -> str:
    """Return why a grammar is too large to be parsed in this process, or ""."""
    if len(text) > MAX_LENGTH:
        return f"it has more than {MAX_LENGTH:,} characters; write a shorter one"
    depth = deepest = 0
    structure = _LITERALS.sub(lambda one: one[0] if "" in one.groups() else " ", text)
    for bracket in re.findall(r"[()]", structure):
        depth += 1 if bracket == "(" else -1
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        return f"its brackets nest deeper than {MAX_DEPTH} levels; give inner parts names"
    counts = re.findall(r"\d+", " ".join(_REPEATED.findall(structure)))
    # Python turns no text of thousands of digits into a number.
    if any(int(n.lstrip("0")[:9] or 0) > MAX_REPETITIONS for n in counts):
        return f"a part is repeated more than {MAX_REPETITIONS:,} times; write * or +"
    return ""
