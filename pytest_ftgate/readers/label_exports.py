"""Labels of pairs as other tools write them: tables, the page, Label Studio and Argilla."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pytest_ftgate.readers.source import Source
from pytest_ftgate.readers.table import Row, read_delimited, read_rows

#: What people write for each answer.
ANSWER_WORDS = {
    "first": ("1", "first", "left"),
    "second": ("2", "second", "right"),
    "both": ("b", "both", "tie"),
    "neither": ("n", "neither", "none"),
    "unknown": ("s", "cannot say", "skip", "unknown"),
}
_ANSWERS = {word: answer for answer, words in ANSWER_WORDS.items() for word in words}
#: A cell that begins with one of these is a formula to a spreadsheet.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_KNOWN_FORMATS = (
    "write the table of --csv, what the page saves, an export of Label Studio (JSON), or rows of "
    "Argilla"
)


class ExportedLabel(NamedTuple):
    """A label in a file.

    Attributes:
        row: where it stands.
        pair: the id of the pair, or the pair itself, by the names of the keys of a label.
        answer: ``first``, ``second``, ``both``, ``neither`` or ``unknown``.
        by: who gave it, or "".
        expected: the right answer, or None.
    """

    row: Row
    pair: str | Mapping[str, Any]
    answer: str
    by: str = ""
    expected: str | None = None


def read_exported(source: Source, path: Path) -> Iterator[ExportedLabel]:
    """Yield the labels in *path*; what cannot be read becomes an error of *source*."""
    if path.suffix.lower() in (".csv", ".tsv"):
        rows = read_delimited(source, path, source.read_lines(path, 0, "labels"))
    else:
        rows = read_rows(source, path, 0, "labels")
    for row in rows:
        value = row.value
        read = next((r for key, r in _READERS if isinstance(value, Mapping) and key in value), None)
        if read is None:
            source.add_error(row.line, f"no label of a pair; {_KNOWN_FORMATS}", path)
            return
        try:
            yield from read(row)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            is_own = type(error) is ValueError
            told = str(error) if is_own else f"no label as this tool writes it: {error!r}"
            source.add_error(row.line, told, path)


def quoted(value: Any) -> str:
    """Return the beginning of foreign text in one line, in quotes."""
    return json.dumps(str(value)[:_MOST_QUOTED], ensure_ascii=False)


#: The most characters of foreign text in a message.
_MOST_QUOTED = 40


def _answer(written: Any) -> str:
    """Return the answer that *written* stands for.

    Raises:
        ValueError: it stands for none.
    """
    word = str(written).strip().lower()
    if word not in _ANSWERS:
        known = ", ".join(words[0] for words in ANSWER_WORDS.values())
        raise ValueError(f"label {quoted(written)} is none; write {known}")
    return _ANSWERS[word]


def _table_row(row: Row) -> Iterator[ExportedLabel]:
    value = row.value
    # A row without a label is one that nobody has come to yet.
    if value.get("label"):
        expected = value.get("expected") or None
        if expected and expected.startswith("'") and expected[1:].startswith(FORMULA_STARTS):
            expected = expected[1:]
        answer = _answer(value["label"])
        by = value.get("by") or ""
        yield ExportedLabel(row, value.get("pair_id") or "", answer, by.strip(), expected)


def _page_line(row: Row) -> Iterator[ExportedLabel]:
    value = dict(row.value)
    own = {key: value.pop(key, None) for key in ("answer", "by", "expected", "judge")}
    answer, by = _answer(own["answer"]), str(own["by"] or "")
    yield ExportedLabel(row, value, answer, by, own["expected"] or None)


def _label_studio_task(row: Row) -> Iterator[ExportedLabel]:
    pair = str(row.value["data"]["pair_id"])
    for annotation in row.value["annotations"]:
        person = annotation.get("completed_by", "")
        by = str(person.get("email") or person["id"] if isinstance(person, dict) else person)
        if annotation.get("was_cancelled"):
            yield ExportedLabel(row, pair, "unknown", by)
        elif results := annotation["result"]:
            value = results[0]["value"]
            chosen = value["selected"] if "selected" in value else value["choices"][0]
            yield ExportedLabel(row, pair, _answer(chosen), by)


def _argilla_row(row: Row) -> Iterator[ExportedLabel]:
    pair = str(row.value["external_id"])
    found = (answers for answers in row.value.values() if isinstance(answers, list))
    for response in (one for answers in found for one in answers if "status" in one):
        by = str(response["user_id"])
        if response["status"] == "discarded":
            yield ExportedLabel(row, pair, "unknown", by)
        elif response["status"] == "submitted":
            value = response["value"]
            ranks = dict(zip(value["value"], value["rank"], strict=True))
            first, second = (ranks[name] for name in sorted(ranks))
            order = (first < second) - (first > second)
            yield ExportedLabel(row, pair, ("both", "first", "second")[order], by)


#: By a key that only rows of the tool have.
_READERS: tuple[tuple[str, Callable[[Row], Iterator[ExportedLabel]]], ...] = (
    ("pair_id", _table_row),
    ("answer", _page_line),
    ("annotations", _label_studio_task),
    ("external_id", _argilla_row),
)
