"""Function calling, from the data of the Berkeley Function Calling Leaderboard."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import distribution, version
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from items import SCORERS, Item, Task, shuffled

_FORM = (
    'Reply with nothing but a JSON list of all calls that this takes, such as [{"name": "f", '
    '"arguments": {"x": 1}}].'
)
#: The names of types in the data that JSON Schema calls otherwise.
_TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": "string"}
#: Longer descriptions cost more than they show.
_MOST_CHARS = 6000
_Entry = tuple[str, list[dict[str, Any]], list[dict[str, Any]]]


def _with_types(value: Any) -> Any:
    if isinstance(value, dict):
        fixed = {key: _with_types(part) for key, part in value.items()}
        kind = fixed.get("type")
        return fixed | {"type": _TYPES.get(kind, kind)} if isinstance(kind, str) else fixed
    return [_with_types(part) for part in value] if isinstance(value, list) else value


def _entries(name: str) -> list[_Entry]:
    """Return question, functions and accepted calls of each entry of one part of the data."""
    folder = Path(str(distribution("bfcl-eval").locate_file("bfcl_eval/data")))
    file = f"BFCL_v4_{name}.json"
    rows = [json.loads(line) for line in (folder / file).read_text("utf-8").splitlines()]
    answers = {
        row["id"]: row["ground_truth"]
        for row in map(
            json.loads, (folder / "possible_answer" / file).read_text("utf-8").splitlines()
        )
    }
    entries = []
    for row in rows:
        turns = row["question"][0]
        functions = _with_types(row["function"])
        is_short = len(json.dumps(functions)) <= _MOST_CHARS
        if is_short and [turn["role"] for turn in turns] == ["user"]:
            entries.append((turns[0]["content"].strip(), functions, answers[row["id"]]))
    return entries


def _item(questions: list[str], functions: list[Any], calls: list[Any], tokens: int) -> Item:
    listed = "\n".join(json.dumps(function, ensure_ascii=False) for function in functions)
    asked = "\n".join(questions)
    return {
        "input": f"You can call these functions:\n{listed}\n\n{_FORM}\n\nRequest: {asked}",
        "expected": json.dumps(calls, ensure_ascii=False),
        "score": {"python": f"{SCORERS}:calls"},
        "max_tokens": tokens,
    }


_PARTS = ("simple_python", "multiple", "live_multiple", "parallel")


def _items(random: Random, level: int) -> Iterator[Item]:
    if level > len(_PARTS):
        yield from _merged(random)
        return
    for question, functions, calls in shuffled(random, _entries(_PARTS[level - 1])):
        yield _item([question], functions, calls, 256 * (1 + (level > 3)))


def _merged(random: Random) -> Iterator[Item]:
    """Yield three requests at once, with the functions of twelve others between theirs."""
    several = shuffled(random, _entries("parallel_multiple"))
    others = [shuffled(random, _entries(name)) for name in ("live_multiple", "simple_python")]
    pool = [entry for group in others for entry in group]
    for first in several:
        chosen = [first, *(group.pop() for group in others)]
        names = {function["name"] for entry in chosen for function in entry[1]}
        if len(names) < sum(len(entry[1]) for entry in chosen):
            continue
        functions = [function for entry in chosen for function in entry[1]]
        for entry in random.sample(pool, 12):
            # One function of a name: two with other parameters would have two right calls.
            new = [function for function in entry[1] if function["name"] not in names]
            names |= {function["name"] for function in new}
            functions += new
        questions = [f"({n}) {entry[0]}" for n, entry in zip(count(1), chosen, strict=False)]
        calls = [call for entry in chosen for call in entry[2]]
        yield _item(questions, shuffled(random, functions), calls, 1024)


_SOURCE = (
    f"bfcl-eval {version('bfcl-eval')}, Berkeley Function Calling Leaderboard "
    "(Gorilla, UC Berkeley), Apache-2.0"
)
TASKS = (Task("function_calls", _SOURCE, _items),)
