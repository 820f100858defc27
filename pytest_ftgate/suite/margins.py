"""What each kind of gate allows: of what replies are worth, and of what they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pytest_ftgate.suite.model import Case

__all__ = [
    "FINDINGS",
    "CostGate",
    "DataGate",
    "ForgettingGate",
    "Gate",
    "LatencyGate",
    "RateGate",
    "SpendGate",
]

#: What may be found in training data, in the order in which it is told.
FINDINGS = (
    *("broken", "size", "secret", "leak", "near leak", "conflict", "format", "missing label"),
    *("roles", "truncated", "doubtful label", "duplicate", "near duplicate", "balance"),
    *("unverified", "facts", "personal"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateGate:
    """The accuracy or the format gate.

    Attributes:
        kind: ``accuracy`` or ``format``.
        min: the least share that will do, or None.
        max_drop: the largest drop that will do, as a share, or None where none is compared.
        metric: ``accuracy``, or ``macro_f1``, the mean F1 over the labels.
        evidence: ``statistics``, or ``point`` for plain thresholds on what was seen.
        slices: the kinds of parts that are looked at one by one: ``tag``, ``label``, ``language``.
        stop_early: ask the cases in five blocks, and stop once the verdict is clear.
        settle: the most repeats that may be asked while the verdict is open, or None.
        called: the marked function whose own scores it judges, or "" for those of the suite.
    """

    kind: str
    line: int
    min: float | None = None
    max_drop: float | None = None
    metric: str = "accuracy"
    evidence: str = "statistics"
    slices: tuple[str, ...] = ()
    stop_early: bool = False
    settle: int | None = None
    called: str = ""

    @property
    def compares(self) -> bool:
        """Whether it looks at the baseline too."""
        return self.max_drop is not None

    @property
    def name(self) -> str:
        """What it is called in a report and in the name of its test."""
        return self.called or self.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgettingGate:
    """How much of its general skills a fine-tuned variant may lose. Margins are shares.

    Attributes:
        cases: of all skills, each with the name of its own.
        max_drop: of the mean over the skills.
        each: that every skill must itself be shown to keep to, or None.
        margins: the same for single skills, in place of *each*.
        weights: how much a skill counts in the mean, where that is not 1.
        may_lose: skills that are asked and shown, and judged by nothing.
        prompt: skills are asked under the variant's system prompt as well, and judged there too.
        left_out: skills that cannot be scored on this machine, and why.
    """

    kind: str = "forgetting"
    line: int
    cases: tuple[Case, ...]
    max_drop: float
    each: float | None = None
    margins: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    may_lose: tuple[str, ...] = ()
    prompt: bool = False
    left_out: str = ""
    #: It always looks at the base too.
    compares: ClassVar[bool] = True

    @property
    def unders(self) -> tuple[str, ...]:
        """What skills are asked under: nothing but their own messages, and the prompt."""
        return ("", "prompt") if self.prompt else ("",)

    def judges(self, skill: str) -> bool:
        """Tell whether a loss of *skill* matters to the verdict."""
        return skill not in self.may_lose

    def required(self, skill: str) -> float | None:
        """Return the margin that *skill* must itself be shown to keep to, or None."""
        return self.margins.get(skill, self.each) if self.judges(skill) else None

    def weight(self, skill: str) -> float:
        """Return how much *skill* counts in the mean."""
        return self.weights.get(skill, 1.0) if self.judges(skill) else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CostGate:
    """What the calls of a variant may cost.

    Attributes:
        max_usd_per_1k: the most USD that a thousand of its calls may cost, or None.
        max_rise: how much more than the baseline's, as a share of these, or None.
    """

    kind: str = "cost"
    line: int
    max_usd_per_1k: float | None = None
    max_rise: float | None = None

    @property
    def compares(self) -> bool:
        """Whether it looks at the baseline too."""
        return self.max_rise is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyGate:
    """How long the replies of a variant may take.

    Attributes:
        max_p50_ms, max_p95_ms: the milliseconds that half of them, and 95 in 100, may take at
            most, or None.
        max_rise: how much longer than the baseline's, as a share of these, or None.
    """

    kind: str = "latency"
    line: int
    max_p50_ms: float | None = None
    max_p95_ms: float | None = None
    max_rise: float | None = None

    @property
    def compares(self) -> bool:
        """Whether it looks at the baseline too."""
        return self.max_rise is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataGate:
    """What the training data of a variant must be like; it asks nothing.

    Attributes:
        min_rows: fewer rows to learn from fail.
        want_rows: fewer are warned of.
        near: texts that share so many of all their different words are near duplicates, 0 to 1.
        balance: how many times as many rows the most frequent label may have as the least.
        context: the tokens that a row may have, or None for the model's own.
        ignore: kinds of findings that do not count.
    """

    kind: str = "data"
    line: int = 0
    min_rows: int = 200
    want_rows: int = 500
    near: float = 0.8
    balance: float = 20.0
    context: int | None = None
    ignore: tuple[str, ...] = ()
    #: It looks at no reply, and at no other variant.
    compares: ClassVar[bool] = False


SpendGate = CostGate | LatencyGate
Gate = RateGate | ForgettingGate | SpendGate | DataGate
