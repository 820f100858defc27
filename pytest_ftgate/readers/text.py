"""Texts of others: lone surrogates, values of unexpected types, and where texts differ."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os.path import commonprefix
from typing import Any

from pytest_ftgate.errors import ConfigurationError

_SURROGATE = re.compile("[\ud800-\udfff]")


def replace_lone_surrogates(text: str) -> str:
    r"""Return *text* with U+FFFD in place of each lone surrogate; pairs become one character.

    JSON can escape one half of a character, as in ``"\ud83d"``: a model that is cut off within an
    emoji leaves one.
    """
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def replace_in_json(value: Any) -> Any:
    """Return a value from JSON or YAML with `replace_lone_surrogates` applied to all its texts."""
    if isinstance(value, str):
        return replace_lone_surrogates(value)
    if isinstance(value, dict):
        return {replace_in_json(key): replace_in_json(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(replace_in_json(member) for member in value)
    return value


def common_start(text: str, others: Iterable[str]) -> int:
    """Return how many characters *text* begins alike with the likest of *others* that differ."""
    differing = (other for other in others if other != text)
    return max((len(commonprefix((text, other))) for other in differing), default=0)  # noqa: RUF071


def normalised_words(text: str) -> tuple[str, ...]:
    """Return the sorted words of *text* in lower case, without punctuation."""
    # A text without words, such as a single sign, stands for itself.
    return tuple(sorted(word_sequence(text))) or (text.strip(),)


def word_sequence(text: str) -> tuple[str, ...]:
    """Return the words of *text* in lower case, in their order, without punctuation."""
    return tuple(re.findall(r"\w+", text.lower()))


def value_at(record: Any, path: str) -> Any:
    """Return the value at *path*, such as ``metadata.topic`` or ``choices.0.text``, or None."""
    if isinstance(record, Mapping) and path in record:
        return record[path]
    value = record
    for key in path.split("."):
        if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        elif isinstance(value, Mapping) and key in value:
            value = value[key]
        else:
            return None
    return value


def text_at(record: Mapping[str, Any], path: str, *, role: str = "assistant") -> str:
    """Return the text at *path* of *record*; "" if there is none."""
    return text_of(value_at(record, path), role=role) or ""


def text_of(value: Any, *, role: str = "assistant") -> str | None:
    """Return *value* as text, or None if it has none.

    Of messages it is the last one of *role*, else the last one; of parts their texts.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, Mapping):
        inner = next((value[key] for key in ("content", "text") if key in value), None)
        return _to_json(value) if inner is None else text_of(inner, role=role)
    if isinstance(value, Sequence) and value and all(isinstance(v, Mapping) for v in value):
        if any("role" in message for message in value):
            of_role = [message for message in value if message.get("role") == role]
            return text_of((of_role or value)[-1], role=role)
        return "\n".join(filter(None, (text_of(part, role=role) for part in value)))
    return _to_json(value)


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def first_of(record: Mapping[str, Any], names: Iterable[str]) -> Any:
    """Return the first value that *record* has under one of *names*, or None."""
    return next((record[name] for name in names if record.get(name) is not None), None)


def joined_values(variables: Mapping[str, Any]) -> str:
    """Return the variables as text; a single one by its value."""
    texts = {name: text_of(value) or "" for name, value in variables.items()}
    if len(texts) == 1:
        return next(iter(texts.values()))
    return "\n".join(f"{name}: {text}" for name, text in texts.items())


def as_mapping(value: Any) -> Mapping[str, Any]:
    """Return *value* if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def mappings_in(values: Iterable[Any] | None) -> list[Mapping[str, Any]]:
    """Return the mappings among *values*, a list that may be missing."""
    return [one for one in values or () if isinstance(one, Mapping)]


def json_or_text(text: str) -> Any:
    """Return the value of *text* if it is JSON, else *text*."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def replace_in_fields(instance: object, *names: str) -> None:
    """Apply `replace_in_json` to the fields *names* of a frozen dataclass while it is made."""
    for name in names:
        value = getattr(instance, name)
        # Most fields of most records are empty or ASCII.
        if not value or (isinstance(value, str) and value.isascii()):
            continue
        if (whole := replace_in_json(value)) != value:
            object.__setattr__(instance, name, whole)


@contextmanager
def values_checked(name: str) -> Iterator[None]:
    """Turn what a missing or unexpected value causes into an error of the file *name*.

    Raises:
        ConfigurationError: the file has such a value.
    """
    try:
        yield
    except KeyError as error:
        raise ConfigurationError(f"{name}: {error.args[0]} is missing; {_EXPORT_AGAIN}") from error
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        message = f"{name}: a value is not what its tool writes there ({error}); {_EXPORT_AGAIN}"
        raise ConfigurationError(message) from error


_EXPORT_AGAIN = "let the tool write the file again"


#: The most characters of a text in an example.
_MAX_CHARACTERS = 40


def short_text(text: str) -> str:
    """Return *text* in one line, cut off where it is too long for an example."""
    text = " ".join(text.split())
    return text if len(text) <= _MAX_CHARACTERS else f"{text[: _MAX_CHARACTERS - 1]}…"


def case_note(names: Sequence[str], what: str, unit: str = "case") -> Iterator[str]:
    """Yield how many cases are *what*, with the first of their *names*, if there are any."""
    if names:
        yield f"{len(names):,} {unit}{'s' * (len(names) != 1)} {what}: {examples(names)}"


def error_note(count: int, of: int, noun: str) -> Iterator[str]:
    """Yield how many of so many ended with an error, if any did; *noun* is what one is called."""
    if count:
        yield f"{count:,} of {of:,} {noun}s ended with an error: they have no reply"


def examples(names: Sequence[str]) -> str:
    """Return the first three of *names* that are not ours, each cut to its beginning."""
    return ", ".join(map(short_text, names[:3])) + ", …" * (len(names) > 3)  # noqa: PLR2004
