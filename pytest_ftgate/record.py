"""One JSON document: what a run found, and what a team accepted of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from pytest_ftgate.advise.advice import Advice
from pytest_ftgate.ask.bill import Bill
from pytest_ftgate.errors import Fault, SuiteFaults
from pytest_ftgate.gate.rates import Accepted
from pytest_ftgate.gate.side import Cell, side_of
from pytest_ftgate.gate.verdict import Verdict
from pytest_ftgate.score.sheet import Column, rests_on
from pytest_ftgate.suite.model import Case, Suite, digest
from pytest_ftgate.suite.reference import source_files
from pytest_ftgate.weights import sha256_of

__all__ = [
    "FORMAT",
    "Kept",
    "Record",
    "accepted_of",
    "advice_from_json",
    "advice_to_json",
    "keep_verdicts",
    "kept",
    "last_verdicts",
    "node_id",
    "read_record",
    "record_of",
    "verdict_from_json",
    "verdict_to_json",
    "write_record",
]

FORMAT = 1
_VERDICTS = "verdicts.jsonl"


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


@cache
def _advices() -> TypeAdapter[Advice]:
    return TypeAdapter(Advice)


@cache
def _verdicts() -> TypeAdapter[Verdict]:
    return TypeAdapter(Verdict)


def verdict_to_json(verdict: Verdict) -> str:
    """Return *verdict* as one line of JSON, the form in which it travels between processes."""
    return _verdicts().dump_json(verdict).decode()


def verdict_from_json(text: str) -> Verdict:
    """Read what *verdict_to_json* wrote."""
    return _verdicts().validate_json(text)


def advice_to_json(advice: Advice) -> str:
    """Return *advice* as one line of JSON, the form in which it travels between processes."""
    return _advices().dump_json(advice).decode()


def advice_from_json(text: str) -> Advice:
    """Read what *advice_to_json* wrote."""
    return _advices().validate_json(text)


def keep_verdicts(folder: Path, texts: Sequence[str]) -> None:
    """Keep the verdicts of a run beside the ledger, in place of older ones of the same gates."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {node_id(one): one for one in last_verdicts(folder)}
    kept |= {node_id(one): one for one in map(verdict_from_json, texts)}
    part = folder / f"{_VERDICTS}.part"
    part.write_text("".join(f"{verdict_to_json(one)}\n" for one in kept.values()), "utf-8")
    part.replace(folder / _VERDICTS)


def last_verdicts(folder: Path) -> tuple[Verdict, ...]:
    """Return the verdicts that were kept in *folder*; those of another version are left out."""
    path = folder / _VERDICTS
    found = []
    for line in path.read_text("utf-8").splitlines() if path.is_file() else ():
        with suppress(ValidationError):
            found.append(verdict_from_json(line))
    return tuple(found)


def node_id(verdict: Verdict) -> str:
    """Return the name by which pytest knows the gate of *verdict*."""
    return f"{verdict.suite}::{verdict.gate}[{verdict.variant}]"


def _yardstick(case: Case, folder: Path) -> str:
    """Return a digest of a case and how it is marked, the code that its rules name included."""
    named = ("python", "pydantic")
    rules = [rule for rule in (case.score, *case.format) if rule.kind in named]
    code = [sha256_of(file) for rule in rules for file in source_files(str(rule.value), folder)]
    return digest([case.yardstick, code])[:16] if code else case.yardstick


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


def read_record(path: Path, name: str) -> Record | None:
    """Return the record at *path*, or None where there is none.

    Raises:
        SuiteFaults: the file is no record, or of a later format.
    """
    if not path.is_file():
        return None
    try:
        record = _records().validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        message = f"no accepted record ({place}: {first['msg']}); restore it or delete it"
        raise SuiteFaults(name, [Fault(str(path.name), 0, message)]) from error
    if record.format > FORMAT:
        message = f"record format {record.format} is newer than this version reads; upgrade"
        raise SuiteFaults(name, [Fault(str(path.name), 0, message)])
    return record


def record_of(text: bytes) -> Record | None:
    """Return the record that *text* is, or None where this version reads none in it."""
    with suppress(ValidationError):
        record = _records().validate_json(text)
        return record if record.format <= FORMAT else None
    return None


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
