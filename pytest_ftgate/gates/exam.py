"""How what decides a gate, its exam, differs from what was accepted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LossOfExam(StrEnum):
    """What decided when a run was accepted, and does not decide any more."""

    GATE = "gate"
    VARIANT = "variant"
    COMPARED = "compared"
    LIMIT = "limit"
    MUST_PASS = "must pass"  # noqa: S105 - not a password
    BASELINE = "baseline"


@dataclass(frozen=True, slots=True)
class ExamLoss:
    """One thing that does not decide any more, by its name; of a limit the values."""

    kind: LossOfExam
    name: str
    before: float | str = ""
    now: float | str = ""


@dataclass(frozen=True, slots=True)
class LostCases:
    """Accepted cases that do not decide as they did.

    Attributes:
        kind: ``gone``, ``without weight`` or ``changed``.
        right: how many of them were right; None if that is not known.
        ids: the first few of them.
    """

    kind: str
    count: int
    right: int | None
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamChange:
    """How what decides a gate differs from what was accepted.

    Attributes:
        accepted: the number of accepted cases.
        came, came_ids: the cases that came since, and the first few of them; they block nothing.
        is_older: True if the record does not say what decided.
    """

    accepted: int = 0
    lost: tuple[LostCases, ...] = ()
    came: int = 0
    came_ids: tuple[str, ...] = ()
    losses: tuple[ExamLoss, ...] = ()
    is_older: bool = False

    @property
    def has_shrunk(self) -> bool:
        """True if anything does not decide any more, or may not."""
        return bool(self.lost or self.losses or self.is_older)
