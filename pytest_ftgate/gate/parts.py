"""What became of parts of the cases: a skill, a tag, a label; and how answers were lost."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LossKind", "Retention", "Slice"]


@dataclass(frozen=True, slots=True)
class Retention:
    """After divided by before, and its 95 % interval; *high* is None where nothing bounds it."""

    share: float
    low: float
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What became of one part of the cases: ``lost``, ``kept``, ``open`` or ``blind``.

    Blind is a part of which so little was there that a loss as large as the margin cannot be.

    Attributes:
        kind: what the part shares: ``skill``, ``tag``, ``label``, ``language`` or ``difficulty``.
        name: which of them.
        judged: whether a loss of it matters to the verdict; else it is shown and no more.
        margin: the loss that is ruled out where it is kept; *required* where it must be.
        weight: how much it counts in the mean over the skills.
        kept, lost, gained: cases that were right before and still are; that fell; that rose.
        retention: how much of it is left; None where there was next to nothing.
        under: as in *Check* of gate/verdict.py.
    """

    kind: str
    name: str
    n: int
    before: float
    after: float
    low: float
    high: float
    p_drop: float
    state: str
    judged: bool = True
    margin: float | None = None
    required: bool = False
    weight: float = 1.0
    kept: int = 0
    lost: int = 0
    gained: int = 0
    retention: Retention | None = None
    under: str = ""

    @property
    def change(self) -> float:
        """The difference, after minus before."""
        return self.after - self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class LossKind:
    """In how many of the lost answers a model went wrong in one way.

    Attributes:
        kind: one of six, see gate/losses.py; *examples* are the ids of a few.
        cases: how many; *share* is that of all lost answers.
        under: as in *Check* of gate/verdict.py.
    """

    kind: str
    cases: int
    share: float
    examples: tuple[str, ...] = ()
    under: str = ""
