"""Labels of pairs of replies to inputs without an expected answer: ``NAME.pairs.jsonl``.

A label belongs to an input, to the normalised texts of two replies, and to a version of the
instruction. So it stays valid when prompts and models change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StrictBool

from pytest_ftgate.readers.source import Count, Declared, Source, Text, fold_similar
from pytest_ftgate.readers.table import Row, read_rows, validate_row

#: The normalised text of a reply without an answer: a refusal, or one that was cut off.
NO_ANSWER = ""
#: A label tells nothing if the person who gave it knew which variant answered.
_TELLING_KEYS = ("variant", "variants", "model", "prompt", "side")


class PairAnswer(StrEnum):
    """What a label says of the two replies: which of them is right."""

    FIRST = "first"
    SECOND = "second"
    BOTH = "both"
    NEITHER = "neither"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class PairLabel:
    """One label of a pair of replies, or of a single reply.

    Attributes:
        draw: the digest of the inputs that differed, and of their replies, when they were drawn.
        place: the place of the pair in the order of the draw, from 1.
        id: the id of the input, for readers.
        input: the digest of the input.
        first, second: the normalised texts in the order in which they were shown; *second* is None
            for a single reply.
        instruction: the version of the instruction and of the normalisation.
        by: who labelled it; the model, if *judge*.
        judge: True if a model labelled it.
        again: True if the pair was shown a second time, in the other order.
        expected: the right answer, where neither text is and the labeller knows it.
        location: ``path:line``, or "" for a label that is not in a file yet.
    """

    draw: str
    place: int
    id: str
    input: str
    first: str
    second: str | None
    answer: PairAnswer
    instruction: str
    by: str
    judge: bool = False
    again: bool = False
    expected: str | None = None
    location: str = ""

    @property
    def votes(self) -> Mapping[str, float | None]:
        """For each text 1 if the label calls it right, 0 if wrong, None if it cannot say."""
        texts = [self.first] if self.second is None else [self.first, self.second]
        right = {
            PairAnswer.FIRST: (1.0, 0.0),
            PairAnswer.SECOND: (0.0, 1.0),
            PairAnswer.BOTH: (1.0, 1.0),
            PairAnswer.NEITHER: (0.0, 0.0),
            PairAnswer.UNKNOWN: (None, None),
        }[self.answer]
        return dict(zip(texts, right, strict=False))

    @property
    def line(self) -> str:
        """The label as a line of its file; keys with their default value are left out."""
        keys = {name: getattr(self, name) for name in _LabelRow.model_fields}
        left_out = {"judge": False, "again": False, "expected": None}
        kept = {k: value for k, value in keys.items() if left_out.get(k, k) != value}
        return json.dumps(kept, ensure_ascii=False) + "\n"


class _LabelRow(Declared):
    """One line of a file of labels."""

    draw: Text
    place: Count
    id: Text
    input: Text
    first: str
    second: str | None
    answer: PairAnswer
    instruction: Text
    by: Annotated[str, Field(min_length=1)]
    judge: StrictBool = False
    again: StrictBool = False
    expected: Text | None = None


def read_pair_labels(source: Source, path: Path) -> tuple[PairLabel, ...]:
    """Return the labels in *path*, or () if there is no such file; errors go to *source*."""
    if not path.is_file():
        return ()
    errors_before = len(source.errors)
    labels = []
    for row in read_rows(source, path, 0, "labels"):
        if problem := telling_key(row.value):
            source.add_error(row.line, problem, row.path)
        elif label := pair_label(source, row):
            labels.append(label)
    source.errors[errors_before:] = fold_similar(source.errors[errors_before:])
    return tuple(labels)


def pair_label(source: Source, row: Row) -> PairLabel | None:
    """Return the label in *row*, or None after adding its errors to *source*."""
    declared = validate_row(source, row, _LabelRow, "label")
    if declared is None:
        return None
    location = f"{source.display_path(row.path)}:{row.line}"
    return PairLabel(**vars(declared), location=location)


def telling_key(value: Any) -> str:
    """Return what is wrong with a label in *value* that says who answered, or ""."""
    keys = value if isinstance(value, Mapping) else ()
    told = next((key for key in _TELLING_KEYS if key in keys), "")
    remedy = "labels are given without knowing who answered: label the pairs again"
    return f'a label has the key "{told}"; {remedy}' if told else ""
