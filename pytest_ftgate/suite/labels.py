"""What people said of replies, by which a judge is examined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pytest_ftgate.errors import did_you_mean
from pytest_ftgate.suite.faults import folded, keys_of, sentence
from pytest_ftgate.suite.judge import Judge, Label
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
    source: Source, written: str | None, line: int, cases: tuple[Case, ...], judge: Judge
) -> tuple[Label, ...]:
    """Return the labels in the file that a suite calls *written*; faults go to *source*.

    Args:
        source: the suite file.
        written: the path of the file, or None where there is none.
        line: where it is named.
        cases: of the suite.
        judge: who is to be examined, for its grades.
    """
    path = source.find(written, line, "judge: human") if written else None
    if path is None:
        return ()
    known = {case.id: case for case in cases}
    before = len(source.faults)
    found = [
        one
        for row in rows(source, path, line, "judge: human")
        for one in _label(source, row, known, judge)
    ]
    if not found and len(source.faults) == before:
        source.say(line, f"judge: human: {written} holds no labels")
    source.faults[before:] = folded(source.faults[before:])
    return tuple(found)


def _label(source: Source, row: Row, cases: Mapping[str, Case], judge: Judge) -> Iterator[Label]:
    try:
        read = _Row.model_validate(row.value)
    except ValidationError as error:
        for one in error.errors():
            told = sentence(dict(one), keys_of(_Row), row.written.get(tuple(one["loc"])))
            source.say(row.line, f"in a label: {told}", row.path)
        return
    wrong = _wrong(read, cases, judge)
    if wrong:
        source.say(row.line, f"in a label: {wrong}", row.path)
        return
    pair = (read.first or "", read.second) if judge.compares else (read.reply or "", None)
    where = f"{source.name(row.path)}:{row.line}"
    yield Label(case=cases[read.case], reply=pair[0], other=pair[1], grade=read.grade, where=where)


def _wrong(read: _Row, cases: Mapping[str, Case], judge: Judge) -> str | None:
    if read.case not in cases:
        return f'there is no case "{read.case}" in the suite{did_you_mean(read.case, cases)}'
    if judge.compares and (read.first is None or read.second is None):
        return 'a judge that compares needs "first" and "second", the two replies'
    if not judge.compares and read.reply is None:
        return '"reply" is missing: the text that was graded'
    if not read.grade.strip():
        return f'"grade" is empty; write {_either(judge)}, or take the row out'
    if read.grade not in judge.grades:
        near = did_you_mean(read.grade, judge.grades)
        return f'"{read.grade}" is none of the grades {_either(judge)}{near}'
    return None


def _either(judge: Judge) -> str:
    return " or ".join(judge.grades)
