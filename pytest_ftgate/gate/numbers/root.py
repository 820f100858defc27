"""Where a function crosses zero."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["root"]


def root(function: Callable[[float], float], low: float, high: float, xtol: float) -> float:
    """Return where *function*, which has another sign at *low* than at *high*, is zero.

    Args:
        function: continuous.
        low: one end.
        high: the other.
        xtol: how far from it may be answered.
    """
    # On demand: half of what SciPy costs is this module of it, and most gates need no root.
    from scipy.optimize import brentq

    return float(brentq(function, low, high, xtol=xtol))
