"""What the paired tests count of two sides on the same cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

from pytest_ftgate.gate.numbers.proportion import Numbers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Counts", "Pairs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts(Generic[Numbers]):
    """What the paired tests count over n cases answered by both sides, of one suite or of many.

    gains, losses: expected discordant cases out of n, whole when replies are right or wrong and
    asked once. effective: cases of a once-asked suite that tell as much (N_eff). binary: whether
    the counts are plain counts. groups: number of groups of related cases, None if independent;
    below ten a caller should not conclude anything. Floats for one suite; arrays of one shape,
    one entry a suite, for many.
    """

    n: float
    gains: Numbers
    losses: Numbers
    effective: Numbers
    binary: bool | NDArray[np.bool_] = True
    groups: int | None = None

    @property
    def delta(self) -> Numbers:
        """Estimated difference, candidate minus baseline, -1 to 1."""
        return (self.gains - self.losses) / self.n

    @property
    def countable(self) -> bool | NDArray[np.bool_]:
        """Whether exact tests apply: whole counts of independent cases, nothing rescaled."""
        whole: bool | NDArray[np.bool_] = (self.gains % 1.0 == 0.0) & (self.losses % 1.0 == 0.0)
        unscaled: bool | NDArray[np.bool_] = self.effective == self.n
        return self.binary & whole & unscaled if self.groups is None else False

    @property
    def scaled(self) -> tuple[Numbers, Numbers, Numbers]:
        """Gains, losses and cases on the scale of the effective number of cases."""
        ratio = self.effective / self.n
        return self.gains * ratio, self.losses * ratio, self.effective


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs(Counts[float]):
    """The counts of one suite, and the mean scores of its two sides, each 0 to 1."""

    before: float
    after: float
