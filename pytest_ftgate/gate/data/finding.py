"""What was found in a training file, and what it is held to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rules import Rule
from pytest_ftgate.suite.shapes import Example

__all__ = ["Finding", "Item", "Severity", "Yardstick"]


class Severity(StrEnum):
    """What a finding does to the gate: an error fails it, the others are told."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One kind of defect of a training file.

    Attributes:
        kind: one of ``suite.margins.FINDINGS``.
        told: what is wrong, in a sentence that never quotes a secret.
        count: how many rows, or cases, are affected; 0 where the file as a whole is meant.
        lines: where, each line once, ascending.
        next: what to do about it.
        cases: the ids of cases of the suite that are affected.
    """

    kind: str
    severity: Severity
    told: str
    count: int = 0
    lines: tuple[int, ...] = ()
    next: str = ""
    cases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """One row of a training file: what it teaches, and as it was written."""

    example: Example
    raw: Any

    @property
    def line(self) -> int:
        """Where it begins in its file."""
        return self.example.line

    @property
    def answer(self) -> str | None:
        """What it teaches, or None where it teaches nothing."""
        return self.example.answer if self.example.teaches else None

    @property
    def texts(self) -> Sequence[str]:
        """Every text in it."""
        own = self.example
        return [*filter(None, (own.system, own.answer)), *(text for _, text in own.turns)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardstick:
    """What a training file is held to.

    Attributes:
        cases: those that the trained model is judged by.
        format: the form that replies must have.
        folder: where functions of the suite are looked for first.
        min_rows, want_rows: fewer rows to learn from are an error, and a warning.
        near: the share of all their different words that near duplicates have in common.
        balance: how many times as many rows the most frequent label may have as the least.
        context: the tokens that the model takes, or None where nobody has said.
        ignore: kinds that are not told.
    """

    cases: tuple[Case, ...] = ()
    format: tuple[Rule, ...] = ()
    folder: Path = Path()
    min_rows: int = 200
    want_rows: int = 500
    near: float = 0.8
    balance: float = 20.0
    context: int | None = None
    ignore: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that a reply may be, where the form has such."""
        return tuple(label for rule in self.format if rule.kind == "choice" for label in rule.value)
