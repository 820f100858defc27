"""What people said of replies, by which a judge is examined."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pytest_ftgate.errors import did_you_mean
from pytest_ftgate.suite.faults import folded, keys_of, sentence
from pytest_ftgate.suite.judge import Label
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rows import Row, rows
from pytest_ftgate.suite.source import Source

__all__ = ["labels_of"]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    case: Annotated[str, Field(min_length=1)]
    reply: str | None = None
    first: str | None = None
    second: str | None = None
    grade: str
    # What a person who labels is shown, and may write down.
    input: Any = None
    expected: Any = None
    note: Any = None


def labels_of(
    source: Source,
    written: str | None,
    line: int,
    cases: tuple[Case, ...],
    grades: Collection[str],
    *,
    pairs: bool,
) -> tuple[Label, ...]:
    """Return the labels in the file that a suite calls *written*; faults go to *source*.

    Args:
        source: the suite file.
        written: the path of the file, or None where there is none.
        line: where it is named.
        cases: of the suite.
        grades: what the judge may say.
        pairs: it says it of two replies.
    """
    path = source.find(written, line, "judge: human") if written else None
    if path is None:
        return ()
    known = {case.id: case for case in cases}
    before = len(source.faults)
    found = [
        one
        for row in rows(source, path, line, "judge: human")
        for one in _label(source, row, known, grades, pairs=pairs)
    ]
    if not found and len(source.faults) == before:
        source.say(line, f"judge: human: {written} holds no labels")
    source.faults[before:] = folded(source.faults[before:])
    return tuple(found)


def _label(
    source: Source, row: Row, cases: Mapping[str, Case], grades: Collection[str], *, pairs: bool
) -> Iterator[Label]:
    try:
        read = _Row.model_validate(row.value)
    except ValidationError as error:
        for one in error.errors():
            told = sentence(dict(one), keys_of(_Row), row.written.get(tuple(one["loc"])))
            source.say(row.line, f"in a label: {told}", row.path)
        return
    wrong = _wrong(read, cases, grades, pairs=pairs)
    if wrong:
        source.say(row.line, f"in a label: {wrong}", row.path)
        return
    first, second = (read.first or "", read.second) if pairs else (read.reply or "", None)
    where = f"{source.name(row.path)}:{row.line}"
    yield Label(case=cases[read.case], reply=first, other=second, grade=read.grade, where=where)


def _wrong(
    read: _Row, cases: Mapping[str, Case], grades: Collection[str], *, pairs: bool
) -> str | None:
    if read.case not in cases:
        return f'there is no case "{read.case}" in the suite{did_you_mean(read.case, cases)}'
    if pairs and (read.first is None or read.second is None):
        return 'a judge that compares needs "first" and "second", the two replies'
    if not pairs and read.reply is None:
        return '"reply" is missing: the text that was graded'
    either = " or ".join(grades)
    if not read.grade.strip():
        return f'"grade" is empty; write {either}, or take the row out'
    if read.grade not in grades:
        near = did_you_mean(read.grade, grades)
        return f'"{read.grade}" is none of the grades {either}{near}'
    return None
