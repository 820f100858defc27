"""Read training files in the formats that trainers use, and count recorded replies."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple

from pytest_ftgate.errors import Diagnostic, did_you_mean
from pytest_ftgate.readers.memory import reads_once
from pytest_ftgate.readers.source import Source, fold_similar
from pytest_ftgate.readers.table import read_rows
from pytest_ftgate.readers.text import replace_lone_surrogates
from pytest_ftgate.suite.model import Turn

#: role name in a training file -> role
_ROLES = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model"), "assistant"),
    **dict.fromkeys(("tool", "function", "function_call", "observation"), "tool"),
}
_REPLY_EXAMPLE = '{"role": "assistant", "content": "the answer"}'
#: Answer keys of other formats. With one of them, a row of "input" gets a specific error.
_ANSWER_KEYS = ("answer", "completion", "label", "reply", "response", "target")
#: The most keys of a row that an error lists.
_MAX_KEYS_SHOWN = 8
_MESSAGE_EXAMPLE = '{"role": "user", "content": "the text"}'
#: A training row in its simplest format.
ROW_EXAMPLE = '{"input": "the text", "expected": "the answer"}'


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """One row of training data, in any format.

    Attributes:
        line: the line of the file at which the row begins.
        system: the system prompt of the row, or an empty text.
        turns: the turns before the answer. A row of plain text is one turn of the user.
        answer: the answer to learn, or None if the row has no separate answer.
        usable: the answer can serve as a few-shot example. False if a label or a weight rejects
            the answer, or if the conversation contains tool calls or images.
        values: further template variables.
    """

    line: int
    system: str
    turns: tuple[Turn, ...]
    answer: str | None
    usable: bool = True
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def input_text(self) -> str:
        """The last message of the user."""
        return next(text for role, text in reversed(self.turns) if role == "user")


class TrainingRowError(ValueError):
    """A row has an unknown format or lacks a part. The message tells what to write."""


class _Message(NamedTuple):
    """One message of a conversation.

    Attributes:
        role: ``system``, ``user``, ``assistant`` or ``tool``.
        text: the text of the message.
        text_only: the message has no other content than text.
        weight: the training weight. 0 excludes the message from training.
    """

    role: str
    text: str
    text_only: bool = True
    weight: Any = 1


class _ParsedRow(NamedTuple):
    """The messages of a row before the answer, and the other values of `TrainingExample`."""

    messages: Sequence[_Message]
    answer: str | None
    usable: bool = True


_JsonRow = Mapping[str, Any]


def parse_training_row(line: int, row: Any) -> TrainingExample:
    """Return the training example in *row*, parsed from JSON, which begins at *line*.

    Raises:
        TrainingRowError: the format is unknown, or a part is missing or invalid.
    """
    if not isinstance(row, dict):
        raise TrainingRowError(f"a training row is an object such as {ROW_EXAMPLE}")
    parsers = (
        parser
        for keys, parser in _ROW_FORMATS.items()
        if all(row.get(key) is not None for key in keys)
    )
    messages, answer, usable = next(parsers, _reject_unknown_row)(row)
    own_system = row.get("system")
    prompts = _parse_text_or_messages(own_system, "system", "system") if own_system else []
    system = "\n".join(m.text for m in (*prompts, *messages) if m.role == "system")
    turns = tuple((m.role, m.text) for m in messages if m.role != "system")
    if not any(role == "user" for role, _ in turns):
        raise TrainingRowError(
            f"no message of the user comes before the answer; an example is {_MESSAGE_EXAMPLE}"
        )
    text_only = all(message.text_only for message in messages)
    return TrainingExample(line, system, turns, answer, usable and text_only, _template_values(row))


def _template_values(row: _JsonRow) -> dict[str, Any]:
    values = {key: row[key] for key in ("id", "tags") if key in row}
    variables = row.get("vars")
    return {**values, **variables} if isinstance(variables, dict) else values


# Row formats ---------------------------------------------------------------------------------


def _parse_messages_row(row: _JsonRow) -> _ParsedRow:
    key = "messages" if row.get("messages") is not None else "conversations"
    messages = _parse_messages(row[key], key)
    if row.get("expected") is None or key == "conversations":
        return _last_message_as_answer(messages)
    return _ParsedRow(messages, _answer_text(row["expected"], "expected"))


def _parse_contents_row(row: _JsonRow) -> _ParsedRow:
    """Parse a row of Gemini, whose system prompt is apart."""
    messages = _parse_messages(row["contents"], "contents")
    for key in ("systemInstruction", "system_instruction"):
        if isinstance(instruction := row.get(key), dict):
            system = _parse_content(instruction.get("parts"), f"{key}: parts")
            messages = [_Message("system", *system), *messages]
    return _last_message_as_answer(messages)


def _parse_text_row(
    row: _JsonRow, text: str = "input_text", answer: str = "output_text"
) -> _ParsedRow:
    """Parse a row whose text and answer stand at the keys *text* and, if not empty, *answer*."""
    messages = [_Message("user", _check_text(row[text], text))]
    return _ParsedRow(messages, _answer_text(row[answer], answer) if answer else None)


def _parse_preference_row(row: _JsonRow) -> _ParsedRow:
    request = row["input"]
    if not isinstance(request, dict):
        example = f'{{"messages": [{_MESSAGE_EXAMPLE}]}}'
        raise TrainingRowError(f"input: with preferred_output, write it as {example}")
    messages = _parse_messages(request.get("messages"), "input: messages")
    preferred = _parse_text_or_messages(row["preferred_output"], "preferred_output")
    return _last_message_as_answer([*messages, *preferred])


def _parse_chosen_row(row: _JsonRow) -> _ParsedRow:
    chosen, prompt = row["chosen"], row.get("prompt")
    if isinstance(chosen, str) and prompt is None:
        return _parse_text_row({"text": chosen}, "text", "")
    messages = _parse_text_or_messages(chosen, "chosen")
    # Some data sets repeat the whole conversation in `chosen`.
    is_whole = prompt is None or messages[0].role != "assistant"
    if not is_whole:
        messages = [*_parse_text_or_messages(prompt, "prompt", "user"), *messages]
    return _last_message_as_answer(messages)


def _parse_completion_row(row: _JsonRow) -> _ParsedRow:
    prompt = _parse_text_or_messages(row["prompt"], "prompt", "user")
    completion = _parse_text_or_messages(row["completion"], "completion")
    parsed = _last_message_as_answer([*prompt, *completion])
    # KTO data labels each completion as desirable or not.
    rejected = str(row.get("label")).lower() in ("false", "0")
    return parsed._replace(usable=parsed.usable and not rejected)


def _parse_instruction_row(row: _JsonRow) -> _ParsedRow:
    instruction, row_input = _check_text(row["instruction"], "instruction"), row.get("input")
    answer = _answer_text(row["output"], "output")
    if not row_input:
        return _ParsedRow([_Message("user", instruction)], answer)
    # With an input, the instruction plays the part of the system prompt.
    user = _Message("user", _check_text(row_input, "input"))
    return _ParsedRow([_Message("system", instruction), user], answer)


def _parse_input_row(row: _JsonRow) -> _ParsedRow:
    for key in ("expected", "output"):
        if row.get(key) is not None:
            return _parse_text_row(row, "input", key)
    for key in (str(key) for key in row if key not in ("expected", "output")):
        if hint := did_you_mean(key, ["expected"]):
            raise TrainingRowError(f'unknown key "{key}"{hint}')
        if key in _ANSWER_KEYS:
            raise TrainingRowError(
                f'beside "input" the answer is called "expected", and not "{key}"'
            )
    return _parse_text_row(row, "input", "")


def _reject_unknown_row(row: _JsonRow) -> _ParsedRow:
    row_keys = ", ".join(f'"{key}"' for key in islice(row, _MAX_KEYS_SHOWN)) or "no keys"
    known = {key for keys in _ROW_FORMATS for key in keys}
    unknown = islice((str(key) for key in row if key not in known), _MAX_KEYS_SHOWN)
    hint = next(filter(None, (did_you_mean(key, known) for key in unknown)), "")
    formats = ", ".join(" + ".join(keys) for keys in _ROW_FORMATS)
    example = f"a training row is {ROW_EXAMPLE}, or has other keys that are known: {formats}"
    raise TrainingRowError(f"this row has {row_keys}; {example}{hint}")


#: keys of a row format -> its parser. The first entry with all its keys in the row applies.
_ROW_FORMATS: Mapping[tuple[str, ...], Callable[[_JsonRow], _ParsedRow]] = {
    ("messages",): _parse_messages_row,
    ("conversations",): _parse_messages_row,
    ("input", "preferred_output"): _parse_preference_row,
    ("chosen",): _parse_chosen_row,
    ("instruction", "output"): _parse_instruction_row,
    ("prompt", "completion"): _parse_completion_row,
    ("contents",): _parse_contents_row,
    ("input_text", "output_text"): _parse_text_row,
    ("input",): _parse_input_row,
    ("text", "label"): partial(_parse_text_row, text="text", answer="label"),
    ("text",): partial(_parse_text_row, text="text", answer=""),
}


# Parts of a row ------------------------------------------------------------------------------


def _last_message_as_answer(messages: Sequence[_Message]) -> _ParsedRow:
    *before, last = messages
    if last.role != "assistant":
        raise TrainingRowError(
            f"the last message is not the answer to learn; one is {_REPLY_EXAMPLE}"
        )
    if not last.text_only:
        return _ParsedRow(before, None, usable=False)
    return _ParsedRow(before, _answer_text(last.text, "the answer"), usable=last.weight != 0)


def _parse_text_or_messages(value: Any, key: str, role: str = "assistant") -> list[_Message]:
    """Return the messages of *value*: a text, a list of messages, or a list of text parts."""
    if isinstance(value, list) and any(isinstance(v, dict) and "role" in v for v in value):
        return _parse_messages(value, key)
    return [_Message(role, *_parse_content(value, key))]


def _parse_messages(value: Any, key: str) -> list[_Message]:
    if not isinstance(value, list) or not value:
        raise TrainingRowError(f"{key} must be a list of messages such as {_MESSAGE_EXAMPLE}")
    return [_parse_message(message, key) for message in value]


def _parse_message(message: Any, key: str) -> _Message:
    if not isinstance(message, dict):
        raise TrainingRowError(f"{key}: a message is {_MESSAGE_EXAMPLE}")
    written_role = message.get("role", message.get("from"))
    role = _ROLES.get(written_role) if isinstance(written_role, str) else None
    if role is None:
        known = "system, user, assistant, tool"
        raise TrainingRowError(
            f'{key}: role "{written_role}" is none of {known}; a message is {_MESSAGE_EXAMPLE}'
        )
    content = message.get("content", message.get("value", message.get("parts")))
    if role == "tool" or message.get("tool_calls") or message.get("function_call"):
        return _Message(role, content if isinstance(content, str) else "", text_only=False)
    text, text_only = _parse_content(content, f"{key}: content")
    return _Message(role, text, text_only, message.get("weight", 1))


def _parse_content(value: Any, key: str) -> tuple[str, bool]:
    """Return the text of a message, and whether it has no other content."""
    if isinstance(value, str):
        return _check_text(value, key), True
    if not isinstance(value, list) or not value:
        raise TrainingRowError(
            f'{key} must be text, or a list of parts such as {{"text": "the text"}}'
        )
    texts = [p["text"] for p in value if isinstance(p, dict) and isinstance(p.get("text"), str)]
    text_only, text = len(texts) == len(value), "\n".join(texts)
    return _check_text(text, key) if text_only else text, text_only


def _check_text(value: Any, key: str) -> str:
    if not isinstance(value, str):
        raise TrainingRowError(f"{key} must be text, such as {ROW_EXAMPLE}")
    if not value.strip():
        raise TrainingRowError(f"{key} is empty; write a text, or remove the row")
    return value


def _answer_text(value: Any, key: str) -> str:
    """Return an answer as text. Of a list, return the first."""
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return _check_text(value, key).strip()


def read_training_rows(source: Source, path: Path) -> tuple[TrainingExample, ...]:
    """Return the valid rows of a training file. Errors of the others go to *source*.

    The result is cached until the file changes.
    """
    examples, errors = _parsed_rows(path)
    for error in errors:
        source.add_error(error.line, error.message, path)
    return examples


@reads_once(files=4)
def _parsed_rows(path: Path) -> tuple[tuple[TrainingExample, ...], tuple[Diagnostic, ...]]:
    source = Source(root=path.parent, path=path)
    examples = tuple(_parse_file(source, path))
    return examples, tuple(_with_example(error) for error in fold_similar(source.errors))


def _with_example(error: Diagnostic) -> Diagnostic:
    """Return *error* with an example of a row, if the line is not JSON."""
    if not error.message.startswith("not JSON"):
        return error
    return replace(error, message=f"{error.message}; a training row is {ROW_EXAMPLE}")


def _parse_file(source: Source, path: Path) -> Iterator[TrainingExample]:
    for row in read_rows(source, path, what="training data"):
        try:
            yield parse_training_row(row.line, row.value)
        # TrainingRowError, or a number with too many digits to convert to text.
        except ValueError as error:
            source.add_error(row.line, str(error), path)


#: The id of a recorded reply where it is the first key: such a line is not parsed for it.
_LEADING_ID = re.compile(rb'\s*\{\s*"id"\s*:\s*"([^"\\]*)"')


@reads_once(files=16)
def count_repeated_replies(path: Path) -> Mapping[str, int]:
    """Return the number of recorded replies of each case that has several, by its id.

    Lines without an id do not count.
    """
    counts: Counter[str] = Counter()
    with path.open("rb") as stream:
        for line in stream:
            with suppress(ValueError, KeyError, TypeError, RecursionError):
                found = _LEADING_ID.match(line)
                case_id = found[1].decode() if found else str(json.loads(line)["id"])
                counts[intern(replace_lone_surrogates(case_id))] += 1
    # Most files have one reply to each case, and the ids of all cases would stay in memory.
    return {case_id: count for case_id, count in counts.items() if count > 1}
