"""What the gate of training data finds in a file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pytest_ftgate.gates.notes import Note


class Severity(StrEnum):
    """The effect of a finding: an error fails the gate, the others are only reported."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One kind of defect of a training file.

    Attributes:
        kind: one of ``suite.training_data.FINDINGS``.
        message: what is wrong; its values never hold a secret.
        count: the number of affected rows or cases; 0 if the finding is about the whole file.
        lines: the affected lines, unique and ascending.
        next: what to do about it.
        cases: the ids of the affected cases of the suite.
    """

    kind: str
    severity: Severity
    message: Note
    count: int = 0
    lines: tuple[int, ...] = ()
    next: Note | None = None
    cases: tuple[str, ...] = ()
