"""The rows of a training file, and the rules that they are held to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_ftgate.suite.gate_kinds import DataGate
from pytest_ftgate.suite.model import Case, ThoughtMarks
from pytest_ftgate.suite.rule import Rule, choice_labels
from pytest_ftgate.suite.training_data import TrainingExample


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One row of a training file: the parsed example, and the row as written."""

    example: TrainingExample
    raw: Any

    @property
    def line(self) -> int:
        """The line of the file at which the row begins."""
        return self.example.line

    @property
    def answer(self) -> str | None:
        """The answer that the row teaches, or None if it teaches none."""
        return self.example.answer if self.example.usable else None

    @property
    def answer_text(self) -> str:
        """The answer that the row teaches, or "" if it teaches none."""
        return self.answer or ""

    @property
    def texts(self) -> Sequence[str]:
        """All texts of the row."""
        example = self.example
        turns = (text for _, text in example.turns)
        return [*filter(None, (example.system, example.answer)), *turns]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingDataRules:
    """The rules for a training file.

    Attributes:
        cases: the eval cases of the trained model.
        format: the format rules of replies.
        thoughts: the marks around a thought in an answer; None for the known ones.
        folder: the first folder in which functions of the suite are looked up.
        gate: the limits that the suite declares, or their defaults.
        context: the context size of the model in tokens, or None if unknown.
    """

    cases: tuple[Case, ...] = ()
    format: tuple[Rule, ...] = ()
    thoughts: ThoughtMarks | None = None
    folder: Path = Path()
    gate: DataGate = field(default_factory=DataGate)
    context: int | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the ``choice`` rules of the format."""
        return choice_labels(self.format)
