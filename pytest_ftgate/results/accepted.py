"""The accepted record: one JSON file beside each suite."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from inspect import getsourcefile, unwrap
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from pytest_ftgate.client.budget import Bill
from pytest_ftgate.errors import Fault, SuiteFaults
from pytest_ftgate.gates.rates import Accepted
from pytest_ftgate.gates.samples import Cell, side_of
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.results.run import Report
from pytest_ftgate.scoring.scores import Column, rests_on
from pytest_ftgate.suite.model import Case, Suite, digest
from pytest_ftgate.suite.references import source_files
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.weights import sha256_of

__all__ = [
    "FORMAT",
    "Kept",
    "Record",
    "accept",
    "accepted_of",
    "accepted_path",
    "kept",
    "read_record",
    "record_from_json",
    "write_record",
]

FORMAT = 1


class Kept(NamedTuple):
    """What is kept of one case: never the reply itself.

    Attributes:
        correct, valid: mean scores, 0 to 1, or None where there is none.
        repeats: how many replies they rest on.
        yardstick: a digest of the case and how it is marked.
        rests_on: a digest of the calls and the replies.
        meant: the mean over the replies whose form holds for a lenient reader; None where no form
            is wanted, and in records of earlier versions.
    """

    correct: float | None
    valid: float | None
    repeats: int
    yardstick: str
    rests_on: str
    meant: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What one run found in one suite, what its replies cost, and which variant is to serve."""

    suite: str
    at: str
    format: int = FORMAT
    verdicts: tuple[Verdict, ...] = ()
    variants: Mapping[str, Mapping[str, Kept]] = field(default_factory=dict)
    bill: Bill | None = None
    serves: str = ""


# Built on first use: pydantic builds the validators of nested classes in milliseconds, not none.
@cache
def _records() -> TypeAdapter[Record]:
    return TypeAdapter(Record)


def _yardstick(case: Case, folder: Path) -> str:
    """Return a digest of a case and how it is marked, the code that its rules name included."""
    named = ("python", "pydantic")
    rules = [rule for rule in (case.score, *case.format) if rule.kind in named]
    code = [sha256_of(file) for rule in rules for file in source_files(str(rule.value), folder)]
    code += [sha256_of(file) for rule in (case.score, *case.format) for file in _offered(rule)]
    return digest([case.yardstick, code])[:16] if code else case.yardstick


def _offered(rule: Rule) -> tuple[Path, ...]:
    """Return the file of a function that a plugin offers; what it imports is the plugin's own."""
    if rule.function is None:
        return ()
    function = rule.function.func if isinstance(rule.function, partial) else rule.function
    try:
        file = getsourcefile(unwrap(function))
    except TypeError:
        return ()
    return (Path(file),) if file else ()


def kept(column: Column, folder: Path) -> dict[str, Kept]:
    """Return what is kept of each answered case of *column*.

    Args:
        column: the scores of a variant.
        folder: where python rules are looked for first.
    """
    return {
        key: Kept(
            row.correct,
            row.valid,
            len(row.scores),
            _yardstick(row.case, folder),
            rests_on(row),
            row.meant,
        )
        for key, row in column.rows.items()
        if row.scores
    }


def write_record(path: Path, record: Record) -> None:
    """Write *record*, one case a line, so that a review shows which cases changed."""
    document = _records().dump_python(record, mode="json")
    variants = document.pop("variants")
    text = json.dumps(document, ensure_ascii=False, indent=1)[:-2]
    blocks = [
        f"  {json.dumps(name)}: {{\n"
        + ",\n".join(f"   {json.dumps(k)}: {json.dumps(list(v))}" for k, v in cells.items())
        + "\n  }"
        for name, cells in variants.items()
    ]
    part = path.with_name(f"{path.name}.part")
    part.write_text(f'{text},\n "variants": {{\n' + ",\n".join(blocks) + "\n }\n}\n", "utf-8")
    part.replace(path)


def record_from_json(text: str | bytes) -> Record:
    """Read what *write_record* wrote.

    Raises:
        ValidationError: it is no record.
    """
    return _records().validate_json(text)


def read_record(path: Path, name: str) -> Record | None:
    """Return the record at *path*, or None where there is none.

    Raises:
        SuiteFaults: the file is no record, or of a later format.
    """
    if not path.is_file():
        return None
    try:
        record = record_from_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        message = f"no accepted record ({place}: {first['msg']}); restore it or delete it"
        raise SuiteFaults(name, [Fault(str(path.name), 0, message)]) from error
    if record.format > FORMAT:
        message = f"record format {record.format} is newer than this version reads; upgrade"
        raise SuiteFaults(name, [Fault(str(path.name), 0, message)])
    return record


def accepted_path(root: Path, suite: str) -> Path:
    """Return where the accepted record of *suite* lies, which is named from *root* on."""
    return root / (suite.removesuffix(".ftgate.yaml") + ".accepted.json")


def accept(
    root: Path,
    suite: str,
    cells: Mapping[str, Mapping[str, Sequence[Any]]],
    report: Report,
    serves: str,
) -> str:
    """Accept what *report* tells of *suite*, and say so.

    Args:
        root: the root directory.
        suite: the name of the suite.
        cells: by variant and case the values of a *Kept*.
        report: the run.
        serves: the variant that is meant to serve.
    """
    path = accepted_path(root, suite)
    before = read_record(path, suite)
    variants = dict(before.variants) if before else {}
    # What models said stays out of a file that is committed.
    verdicts = tuple(replace(one, flips=()) for one in report.verdicts if one.suite == suite)
    variants |= {v: {k: Kept(*one) for k, one in own.items()} for v, own in cells.items()}
    record = Record(
        suite=suite,
        at=report.at,
        verdicts=verdicts,
        variants=variants,
        bill=report.bill,
        serves=serves,
    )
    write_record(path, record)
    bad = sum(one.gated and one.outcome != "passed" for one in verdicts)
    told = f" ({bad} of its gates did not pass)" if bad else ""
    name = path.relative_to(root).as_posix()
    return f"accepted {', '.join(cells)} in {name}; commit it with the change{told}"


def accepted_of(record: Record | None, suite: Suite, variant: str, kind: str) -> Accepted | None:
    """Return what was accepted of *variant* for the gate *kind*; stale cases are left out."""
    if record is None or variant not in record.variants:
        return None
    cases = {case.id: case for case in suite.cases}
    known = {key: k for key, k in record.variants[variant].items() if key in cases}
    folder = suite.path.parent
    fresh = {k: one for k, one in known.items() if one.yardstick == _yardstick(cases[k], folder)}
    cells = {key: _cell(k, cases[key], kind) for key, k in fresh.items()}
    return Accepted(side_of(cells), len(known) - len(fresh))


def _cell(one: Kept, case: Case, kind: str) -> Cell:
    value = one.correct if kind == "accuracy" else one.valid
    return Cell(value, one.repeats, one.rests_on, case.group, case.weight)
