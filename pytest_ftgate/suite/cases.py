"""Cases from .jsonl, .csv and .yaml files, from globs, and in place."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from pytest_ftgate import skills
from pytest_ftgate.errors import SuiteFaults
from pytest_ftgate.suite.declared import DeclaredCase
from pytest_ftgate.suite.expected import unfit
from pytest_ftgate.suite.faults import keys_of, sentence
from pytest_ftgate.suite.model import Case, ReplyRules, digest
from pytest_ftgate.suite.rules import Rule, read_schema
from pytest_ftgate.suite.source import Source
from pytest_ftgate.suite.yaml import Document, Where, read_yaml

__all__ = ["Row", "in_place", "rows", "skill_cases", "to_cases"]

_CONFLICT = ("<<<<<<<", "=======", ">>>>>>>")


class Row(NamedTuple):
    """One case as it was written, and where."""

    path: Path
    line: int
    value: Any
    written: Mapping[Where, str] = {}


def rows(source: Source, path: Path, line: int = 0) -> Iterator[Row]:
    """Read the cases of one file; a broken line becomes a fault, the others are still read."""
    text = source.text(path, line, "cases")
    if text is None:
        return
    match path.suffix:
        case ".jsonl":
            yield from _jsonl(source, path, text)
        case ".csv":
            yield from _csv(source, path, text)
        case ".yaml" | ".yml":
            yield from _yaml(source, path, text)
        case other:
            source.say(
                line, f"cases: {path.name}: {other or 'no'} suffix; use .jsonl, .csv or .yaml"
            )


def _jsonl(source: Source, path: Path, text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        if line.startswith(_CONFLICT):
            source.say(number, "a version-control conflict marker; resolve the conflict", path)
            continue
        try:
            value = json.loads(line, object_pairs_hook=_once)
        except ValueError as error:
            source.say(number, f"not JSON: {error}", path)
            continue
        # The first row of a data file may describe it instead of being a case.
        if number == 1 and isinstance(value, dict) and "about" in value:
            continue
        yield Row(path, number, value)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f'key "{key}" stands here twice; keep one')
    return dict(pairs)


def _csv(source: Source, path: Path, text: str) -> Iterator[Row]:
    # Strict, because a quote that is not closed would swallow the cases after it.
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        for record in reader:
            if None in record:
                source.say(reader.line_num, "more cells than the header has columns", path)
                continue
            cells = [cell for cell in record.values() if cell]
            line = reader.line_num - sum(cell.count("\n") for cell in cells)
            if cells and cells[0].startswith(_CONFLICT):
                source.say(line, "a version-control conflict marker; resolve the conflict", path)
                continue
            yield Row(path, line, _from_cells(record))
    except csv.Error as error:
        message = f"not CSV: {error}; is every quote closed?"
        source.say(reader.line_num + 1, message, path)


def _from_cells(record: Mapping[str, str | None]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for column, cell in record.items():
        if not cell:
            continue
        if column.startswith("vars."):
            value.setdefault("vars", {})[column.removeprefix("vars.")] = cell
        elif column == "tags":
            value["tags"] = cell.replace(",", " ").split()
        else:
            value[column] = _read(column, cell)
    return value


def _read(column: str, cell: str) -> Any:
    """Return what a cell stands for; what cannot be read is left for the validation to name."""
    try:
        match column:
            case "max_tokens" | "difficulty":
                return int(cell)
            case "weight":
                return float(cell)
            case "must_pass":
                return {"true": True, "false": False}.get(cell.strip().lower(), cell)
    except ValueError:
        pass
    return cell


def _yaml(source: Source, path: Path, text: str) -> Iterator[Row]:
    document = read_yaml(text, source.name(path))
    source.faults.extend(document.faults)
    if isinstance(document.value, list):
        yield from in_place(path, document, ())
    elif document.value is not None:
        source.say(1, "a file of cases is a list of them", path)


def in_place(path: Path, document: Document, where: Where) -> Iterator[Row]:
    """Yield the cases that stand as a list at *where* of a YAML document."""
    value: Any = document.value
    for key in where:
        value = value[key]
    for index, case in enumerate(value):
        at = (*where, index)
        inner = {w[len(at) :]: t for w, t in document.written.items() if w[: len(at)] == at}
        yield Row(path, document.line(at), case, inner)


def to_cases(source: Source, found: Iterator[Row], reply: ReplyRules) -> tuple[Case, ...]:
    """Validate rows and give each case its id, its scorer and its form."""
    cases: dict[str, Case] = {}
    for row in found:
        case = _case(source, row, reply)
        if case is None:
            continue
        if case.id in cases:
            message = f'id "{case.id}" is taken by {cases[case.id].where}; ids must be unique'
            source.say(row.line, message, row.path)
            continue
        cases[case.id] = case
    return _together(cases.values())


def _together(cases: Collection[Case]) -> tuple[Case, ...]:
    """Put cases that ask the same into one group: counted apart, they would pass for more."""
    asked = [digest([case.input, case.messages, dict(case.vars)]) for case in cases]
    times = Counter(asked)
    first = {same: case.id for same, case in zip(reversed(asked), reversed([*cases]), strict=True)}
    groups = [f"same as {first[same]}" if times[same] > 1 else None for same in asked]
    pairs = zip(cases, groups, strict=True)
    return tuple(replace(case, group=case.group or group) for case, group in pairs)


def _case(source: Source, row: Row, reply: ReplyRules) -> Case | None:
    try:
        declared = DeclaredCase.model_validate(row.value)
    except ValidationError as error:
        for one in error.errors():
            known = keys_of(DeclaredCase)
            text = sentence(dict(one), known, row.written.get(tuple(one["loc"])))
            source.say(row.line, f"in a case: {text}", row.path)
        return None
    problem = _problem(declared, reply)
    if problem:
        source.say(row.line, problem, row.path)
        return None
    # A file that a case names lies beside the file of the case.
    beside = replace(source, path=row.path)
    form = tuple(read_schema(beside, rule, row.line) for rule in declared.format or ())
    where = f"{source.name(row.path)}:{row.line}"
    return _made(declared, where, form or reply.format, reply)


def _problem(case: DeclaredCase, reply: ReplyRules) -> str | None:
    for key in case.model_fields_set:
        if (DeclaredCase.model_fields[key].json_schema_extra or {}) == {"later": True}:
            return f"{key} is not available yet; remove it"
    if case.must_pass and case.expected is None and (case.score or reply.score).kind != "python":
        return "must_pass needs expected: without it no reply is wrong"
    if not case.input and not case.messages:
        return 'a case needs "input" or "messages"'
    if case.input and case.messages:
        return 'a case has "input" or "messages", not both; put the input into the messages'
    score: Rule = case.score or reply.score
    return unfit(case.expected, score, case.format or reply.format)


def _made(case: DeclaredCase, where: str, form: tuple[Rule, ...], reply: ReplyRules) -> Case:
    messages = tuple((m.role, m.content) for m in case.messages)
    return Case(
        id=case.id or digest([case.input, messages, case.vars])[:8],
        where=where,
        input=case.input,
        messages=messages,
        vars=case.vars,
        expected=case.expected,
        tags=case.tags,
        group=case.group,
        score=case.score or reply.score,
        format=form,
        max_tokens=case.max_tokens,
        skill=case.skill,
        difficulty=case.difficulty,
        language=case.language,
        weight=case.weight,
        must_pass=case.must_pass,
    )


@lru_cache(maxsize=8)
def skill_cases(names: tuple[str, ...]) -> tuple[Case, ...]:
    """Return the cases of the bundled skills *names*, each a set or a skill.

    Raises:
        KeyError: a name is neither.
        SuiteFaults: never for the bundled data; a test loads all of it.
    """
    paths = skills.files(names)
    source = Source(root=paths[0].parent, path=paths[0])
    reply = ReplyRules(score=Rule("contains"), max_tokens=32)
    found = (row for path in paths for row in rows(source, path))
    cases = to_cases(source, found, reply)
    if source.faults:
        raise SuiteFaults("skills", source.faults)
    return cases
