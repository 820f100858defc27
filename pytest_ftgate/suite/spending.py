"""Gates on what replies take, in money and in time, and not on what they are worth."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CostGate", "LatencyGate", "SpendGate"]


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


SpendGate = CostGate | LatencyGate
