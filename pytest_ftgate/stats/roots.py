"""The root of a function of one number.

SciPy has it as well, but the import of `scipy.optimize` takes longer than all roots of a run.
"""

from __future__ import annotations

import math
from collections.abc import Callable

#: Relative tolerance: a few units in the last place.
_RTOL = 1e-15


def find_root(function: Callable[[float], float], low: float, high: float, xtol: float) -> float:
    """Return the root of *function* between *low* and *high*.

    It is found by inverse quadratic interpolation where that is safe, and by bisection elsewhere
    (Chandrupatla 1997, Advances in Engineering Software 28:145-149).

    Args:
        function: continuous, with different signs at *low* and *high*.
        low: the lower end.
        high: the upper end.
        xtol: absolute tolerance of the root.

    Raises:
        ValueError: the signs at *low* and *high* are the same.
    """
    x1, x2 = high, low
    f1, f2 = function(x1), function(x2)
    if f1 * f2 > 0.0:
        msg = f"the function has the same sign at {low:g} and {high:g}"
        raise ValueError(msg)
    step = 0.5
    while True:
        root, value = (x1, f1) if abs(f1) < abs(f2) else (x2, f2)
        least = (xtol + _RTOL * abs(root)) / abs(x2 - x1) if x1 != x2 else 1.0
        if value == 0.0 or least > 0.5:  # noqa: PLR2004 - no step is left inside
            return root
        x = x1 + min(max(step, least), 1.0 - least) * (x2 - x1)
        f = function(x)
        # x1 is the newest point, the root lies between it and x2, and x3 is what they replace.
        if math.copysign(1.0, f) == math.copysign(1.0, f1):
            x1, x3, f1, f3 = x, x1, f, f1
        else:
            x1, x2, x3, f1, f2, f3 = x, x1, x2, f, f1, f2
        step = _next_step((x1, f1), (x2, f2), (x3, f3))


def _next_step(
    newest: tuple[float, float], other: tuple[float, float], former: tuple[float, float]
) -> float:
    """Return the place of the next point between *newest* and *other*, as a share of the way."""
    (x1, f1), (x2, f2), (x3, f3) = newest, other, former
    xi, phi = (x1 - x2) / (x3 - x2), (f1 - f2) / (f3 - f2)
    if not (phi * phi < xi and (1.0 - phi) ** 2 < 1.0 - xi):
        return 0.5
    first = f1 / (f2 - f1) * f3 / (f2 - f3)
    return first + (x3 - x1) / (x2 - x1) * f1 / (f3 - f1) * f2 / (f3 - f2)
