"""Training files in the formats that trainers use, and files of recorded replies."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple

from pytest_ftgate.errors import Fault, did_you_mean
from pytest_ftgate.readers.source import Source, folded
from pytest_ftgate.readers.table import rows
from pytest_ftgate.suite.model import Turn

__all__ = ["OUGHT", "Example", "Misshapen", "example", "most_recorded", "recorded", "training_rows"]

#: What the roles of a conversation are called by those who train on it.
_ROLES = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model"), "assistant"),
    **dict.fromkeys(("tool", "function", "function_call", "observation"), "tool"),
}
_REPLY = '{"role": "assistant", "content": "the answer"}'
#: What others call the answer, of whom it is not known how they call the input.
_ANSWERS = ("answer", "completion", "label", "reply", "response", "target")
#: So many keys of a row are told.
_MOST_KEYS = 8
_MESSAGE = '{"role": "user", "content": "the text"}'
#: A training row in its simplest shape.
OUGHT = '{"input": "the text", "expected": "the answer"}'


@dataclass(frozen=True, slots=True)
class Example:
    """One row of training data, whatever its shape was.

    Attributes:
        line: where it begins in its file.
        system: its own system prompt, or an empty text.
        turns: what was said before the answer; of a bare text, all of it as one turn of the user.
        answer: what was to be learned, or None where the row tells no answer apart.
        teaches: whether the answer is one to follow: not where a label or a weight says no, nor
            where tools or pictures had a part in it, which cannot be shown as text.
        values: what a template may name besides the input.
    """

    line: int
    system: str
    turns: tuple[Turn, ...]
    answer: str | None
    teaches: bool = True
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """What is asked, in the words of a person: the last thing the user says."""
        return next(text for role, text in reversed(self.turns) if role == "user")


class Misshapen(ValueError):
    """A row whose shape is not known, or that lacks something; says what to write."""


class _Said(NamedTuple):
    """One message; *plain* where it is text and nothing but text."""

    role: str
    text: str
    plain: bool = True
    weight: Any = 1


class _Lesson(NamedTuple):
    """What a row says: the messages before the answer, and the answer."""

    said: Sequence[_Said]
    answer: str | None
    teaches: bool = True


_Row = Mapping[str, Any]


def example(line: int, row: Any) -> Example:
    """Return what a row of any known shape teaches.

    Raises:
        Misshapen: it has none of the shapes, or something is wrong with it.
    """
    if not isinstance(row, dict):
        raise Misshapen(f"a training row is an object such as {OUGHT}")
    shapes = _SHAPES.items()
    read = next((r for keys, r in shapes if all(row.get(k) is not None for k in keys)), _unknown)
    said, answer, teaches = read(row)
    own = _said(row["system"], "system", "system") if row.get("system") else []
    system = "\n".join(one.text for one in (*own, *said) if one.role == "system")
    turns = tuple((one.role, one.text) for one in said if one.role != "system")
    if not any(role == "user" for role, _ in turns):
        raise Misshapen(f"no message of the user stands before the answer; one is {_MESSAGE}")
    plain = all(one.plain for one in said)
    return Example(line, system, turns, answer, teaches and plain, _values(row))


def _values(row: _Row) -> dict[str, Any]:
    named = {key: row[key] for key in ("id", "tags") if key in row}
    own = row.get("vars")
    return {**named, **own} if isinstance(own, dict) else named


# The shapes ----------------------------------------------------------------------------------


def _chat(row: _Row) -> _Lesson:
    said = _messages(row["messages"], "messages")
    if row.get("expected") is None:
        return _ended(said)
    return _Lesson(said, _answer(row["expected"], "expected"))


def _sharegpt(row: _Row) -> _Lesson:
    return _ended(_messages(row["conversations"], "conversations"))


def _preferred(row: _Row) -> _Lesson:
    asked = row["input"]
    if not isinstance(asked, dict):
        raise Misshapen(f'input: beside preferred_output it is {{"messages": [{_MESSAGE}]}}')
    said = _messages(asked.get("messages"), "input: messages")
    return _ended([*said, *_said(row["preferred_output"], "preferred_output")])


def _chosen(row: _Row) -> _Lesson:
    chosen, prompt = row["chosen"], row.get("prompt")
    if isinstance(chosen, str) and prompt is None:
        return _bare({"text": chosen})
    said = _said(chosen, "chosen")
    # Some write the whole conversation into what was chosen.
    whole = prompt is None or said[0].role != "assistant"
    return _ended(said if whole else [*_said(prompt, "prompt", "user"), *said])


def _completion(row: _Row) -> _Lesson:
    asked = _said(row["prompt"], "prompt", "user")
    lesson = _ended([*asked, *_said(row["completion"], "completion")])
    # From an answer that was rejected nothing is to be learned.
    rejected = str(row.get("label")).lower() in ("false", "0")
    return lesson._replace(teaches=lesson.teaches and not rejected)


def _instruction(row: _Row) -> _Lesson:
    instruction, given = _text(row["instruction"], "instruction"), row.get("input")
    answer = _answer(row["output"], "output")
    if not given:
        return _Lesson([_Said("user", instruction)], answer)
    # An instruction beside an input is what is called the prompt here.
    return _Lesson([_Said("system", instruction), _Said("user", _text(given, "input"))], answer)


def _own(row: _Row) -> _Lesson:
    said = [_Said("user", _text(row["input"], "input"))]
    for key in ("expected", "output"):
        if row.get(key) is not None:
            return _Lesson(said, _answer(row[key], key))
    for key in map(str, row):
        if near := did_you_mean(key, ["expected"]):
            raise Misshapen(f'unknown key "{key}"{near}')
        if key in _ANSWERS:
            raise Misshapen(f'beside "input" the answer is called "expected", and not "{key}"')
    return _Lesson(said, None)


def _labelled(row: _Row) -> _Lesson:
    return _Lesson(_bare(row).said, _answer(row["label"], "label"))


def _bare(row: _Row) -> _Lesson:
    return _Lesson([_Said("user", _text(row["text"], "text"))], None)


def _unknown(row: _Row) -> _Lesson:
    found = ", ".join(f'"{key}"' for key in islice(row, _MOST_KEYS)) or "no keys"
    known = {key for keys in _SHAPES for key in keys}
    strange = islice((str(key) for key in row if key not in known), _MOST_KEYS)
    hints = (did_you_mean(key, known) for key in strange)
    near = next(filter(None, hints), "")
    shapes = ", ".join(" + ".join(keys) for keys in _SHAPES)
    told = f"a training row is {OUGHT}, or has other keys that are known: {shapes}"
    raise Misshapen(f"{told}; this one has {found}{near}")


#: The keys by which a shape is known; the first whose keys are all there is taken.
_SHAPES: Mapping[tuple[str, ...], Callable[[_Row], _Lesson]] = {
    ("messages",): _chat,
    ("conversations",): _sharegpt,
    ("input", "preferred_output"): _preferred,
    ("chosen",): _chosen,
    ("instruction", "output"): _instruction,
    ("prompt", "completion"): _completion,
    ("input",): _own,
    ("text", "label"): _labelled,
    ("text",): _bare,
}


# Their parts ---------------------------------------------------------------------------------


def _ended(said: Sequence[_Said]) -> _Lesson:
    """Take the last message as the answer."""
    *before, last = said
    if last.role != "assistant":
        raise Misshapen(f"the last message is not the answer to learn; one is {_REPLY}")
    if not last.plain:
        return _Lesson(before, None, teaches=False)
    return _Lesson(before, _answer(last.text, "the answer"), teaches=last.weight != 0)


def _said(value: Any, key: str, role: str = "assistant") -> list[_Said]:
    """Read what is a text, a list of messages, or a list of the parts of a text."""
    if isinstance(value, list) and any(isinstance(v, dict) and "role" in v for v in value):
        return _messages(value, key)
    return [_Said(role, *_content(value, key))]


def _messages(value: Any, key: str) -> list[_Said]:
    if not isinstance(value, list) or not value:
        raise Misshapen(f"{key} must be a list of messages such as {_MESSAGE}")
    return [_message(one, key) for one in value]


def _message(message: Any, key: str) -> _Said:
    if not isinstance(message, dict):
        raise Misshapen(f"{key}: a message is {_MESSAGE}")
    written = message.get("role", message.get("from"))
    role = _ROLES.get(written) if isinstance(written, str) else None
    if role is None:
        known = "system, user, assistant, tool"
        raise Misshapen(f'{key}: role "{written}" is none of {known}; a message is {_MESSAGE}')
    content = message.get("content", message.get("value"))
    if role == "tool" or message.get("tool_calls") or message.get("function_call"):
        return _Said(role, content if isinstance(content, str) else "", plain=False)
    text, plain = _content(content, f"{key}: content")
    return _Said(role, text, plain, message.get("weight", 1))


def _content(value: Any, key: str) -> tuple[str, bool]:
    """Return a text, and whether there was nothing but text."""
    if isinstance(value, str):
        return _text(value, key), True
    if not isinstance(value, list) or not value:
        raise Misshapen(f'{key} must be text, or a list of parts such as {{"text": "the text"}}')
    texts = [p["text"] for p in value if isinstance(p, dict) and isinstance(p.get("text"), str)]
    plain, text = len(texts) == len(value), "\n".join(texts)
    return _text(text, key) if plain else text, plain


def _text(value: Any, key: str) -> str:
    if not isinstance(value, str):
        raise Misshapen(f"{key} must be text, such as {OUGHT}")
    if not value.strip():
        raise Misshapen(f"{key} is empty; write a text, or remove the row")
    return value


def _answer(value: Any, key: str) -> str:
    """Return an answer as text; of several the first."""
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return _text(value, key).strip()


def training_rows(source: Source, path: Path) -> tuple[Example, ...]:
    """Return the rows of a training file; what is wrong with others goes to *source*.

    A file is read once however many variants, suites and stages ask for it.
    """
    changed = path.stat()
    examples, faults = _read(path, (changed.st_mtime_ns, changed.st_size))
    for fault in faults:
        source.say(fault.line, fault.message, path)
    return examples


@lru_cache(maxsize=4)
def _read(path: Path, changed: tuple[int, int]) -> tuple[tuple[Example, ...], tuple[Fault, ...]]:
    del changed  # only there so that an edited file is read again
    source = Source(root=path.parent, path=path)
    examples = tuple(_examples(source, path))
    return examples, tuple(_remedied(fault) for fault in folded(source.faults))


def _remedied(fault: Fault) -> Fault:
    """Let a fault of a line that cannot be read say what a row looks like, as the others do."""
    if not fault.message.startswith("not JSON"):
        return fault
    return replace(fault, message=f"{fault.message}; a training row is {OUGHT}")


def _examples(source: Source, path: Path) -> Iterator[Example]:
    for row in rows(source, path, what="training data"):
        try:
            yield example(row.line, row.value)
        # Not only Misshapen: a number may be too long to be written out.
        except ValueError as error:
            source.say(row.line, str(error), path)


def recorded(path: Path) -> Mapping[str, int]:
    """Return the number of replies by case id; a line that cannot be read counts for none."""
    return _counted(path, path.stat().st_mtime_ns)


def most_recorded(path: Path) -> int:
    """Return the number of replies of the case that has most."""
    return _most(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=16)
def _most(path: Path, changed: int) -> int:
    return max(_counted(path, changed).values(), default=0)


@lru_cache(maxsize=16)
def _counted(path: Path, changed: int) -> Mapping[str, int]:
    del changed  # only there so that an edited file is read again
    found: Counter[str] = Counter()
    with path.open("rb") as stream:
        for line in stream:
            with suppress(ValueError, KeyError, TypeError):
                found[intern(str(json.loads(line)["id"]))] += 1
    return found
